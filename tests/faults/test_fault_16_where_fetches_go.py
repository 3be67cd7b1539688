"""Fault 16: a Dataset's URI that leads inside. Nothing reaches a forbidden target, and no error repeats what a server said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.web import Names, serving
from training.errors import FetchFailed, Forbidden
from training.fetch import Source, fetch, local_folder
from training.guard import is_public

TABLE = b"a,b\n1,2\n"
SECRET = b"the-answer-of-a-private-service"


def get(uri: str, folder: Path, *, resolver: Any = None, **options: Any) -> Any:
    return fetch(Source(uri=uri, folder=folder, **options), folder / "data", "csv", resolver=resolver)


@pytest.mark.parametrize(
    "uri", ["../secret.csv", "/etc/passwd", "file:///etc/passwd", "link.csv", "dir/link/passwd", "a/../../secret.csv", "file://host/x.csv"]
)  # fmt: skip
def test_a_file_outside_the_roots_is_forbidden(tmp_path: Path, uri: str) -> None:
    """A path leads outside by dots, by being absolute or by a link: it is never read."""
    folder = tmp_path / "specs"
    (folder / "a").mkdir(parents=True)
    (folder / "dir").mkdir()
    (tmp_path / "secret.csv").write_bytes(SECRET)
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "dir" / "link").symlink_to("/etc")
    with pytest.raises(Forbidden):
        get(uri, folder)
    with pytest.raises(Forbidden):
        local_folder(Source(uri=uri, folder=folder))
    assert list((folder / "data").iterdir()) == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
)  # fmt: skip
def test_no_spelling_of_loopback_is_reached(tmp_path: Path, host: str) -> None:
    """However the address is written, not one connection is made, and the error does not repeat an answer."""
    with serving(t__csv=(200, {}, SECRET)) as server:
        with pytest.raises((Forbidden, FetchFailed)) as caught:
            get(f"http://{host}:{server.port}/t.csv", tmp_path)
        assert server.connections == 0
    assert SECRET.decode() not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
     "::1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1", "fd00::1", "ff02::1",
     "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1"],
)  # fmt: skip
def test_private_addresses_are_forbidden(tmp_path: Path, address: str) -> None:
    """A name that resolves to a private address, in whatever disguise, is refused before a socket is made."""
    assert not is_public(address)
    with pytest.raises(Forbidden, match="allowedHosts"):
        get("http://innocent.example/t.csv", tmp_path, resolver=Names(innocent_example=[address]))


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_judged_by_what_it_carries(address: Any) -> None:
    """Mapped, translated, 6to4: an IPv6 address that carries an IPv4 one is as public as that."""
    number = int(address)
    for disguise in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"):
        assert is_public(disguise) == is_public(str(address))


def test_a_redirect_to_a_private_address_is_not_followed(tmp_path: Path) -> None:
    """Each hop is checked anew: the target never hears of it."""
    with serving(t__csv=(200, {}, SECRET)) as private:
        location = f"http://internal.example:{private.port}/t.csv"
        with serving(go=(302, {"Location": location}, b"")) as public:
            names = Names(public_example=["127.0.0.1"], internal_example=["127.0.0.2"])
            with pytest.raises(Forbidden):
                get(f"http://public.example:{public.port}/go", tmp_path, resolver=names, allowed_hosts=("public.example",))
        assert private.connections == 0


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/y", "gopher://127.0.0.1/", "javascript:x"])
def test_a_redirect_to_another_scheme_is_not_followed(tmp_path: Path, location: str) -> None:
    """Only http and https."""
    with serving(go=(302, {"Location": location}, b"")) as server, pytest.raises(Forbidden):
        get(f"http://127.0.0.1:{server.port}/go", tmp_path, allowed_hosts=("127.0.0.1",))


def test_redirects_end(tmp_path: Path) -> None:
    """A circle of redirects is left after five."""
    with serving(go=(302, {"Location": "/go"}, b"")) as server:
        with pytest.raises(FetchFailed, match="redirects"):
            get(f"http://127.0.0.1:{server.port}/go", tmp_path, allowed_hosts=("127.0.0.1",))
        assert len(server.requests) == 6


def test_names_that_flip_are_met_where_the_socket_is_made(tmp_path: Path) -> None:
    """DNS that answers publicly first and privately afterwards gains nothing: what is connected to is what was checked."""
    with serving(t__csv=(200, {}, SECRET)) as server:
        names = Names(flip_example=["127.0.0.1", "93.184.216.34"])
        with pytest.raises(Forbidden):
            get(f"http://flip.example:{server.port}/t.csv", tmp_path, resolver=names)
        assert server.connections == 0


def test_a_large_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """10 GB announced: not fetched. Announced as less, or not at all: cut off at the limit."""
    with serving(big=(200, {"Content-Length": "10000000000"}, b"x" * 4096)) as server, pytest.raises(Forbidden, match="larger"):
        get(f"http://127.0.0.1:{server.port}/big", tmp_path, allowed_hosts=("127.0.0.1",), max_bytes=10**9)
    with (
        serving(big=(200, {"Content-Length": "", "Connection": "close"}, b"x" * 500_000)) as server,
        pytest.raises((Forbidden, FetchFailed)),
    ):
        get(f"http://127.0.0.1:{server.port}/big", tmp_path, allowed_hosts=("127.0.0.1",), max_bytes=1000)
    (tmp_path / "big.csv").write_bytes(b"x" * 2000)
    with pytest.raises(Forbidden, match="larger than 1000 bytes"):
        get("big.csv", tmp_path, max_bytes=1000)
    assert list((tmp_path / "data").iterdir()) == []


def test_an_answer_is_not_repeated(tmp_path: Path) -> None:
    """What a server says with its error stays out of ours: a fetch is no way to read what its author may not."""
    with serving(t__csv=(500, {"X-Secret": "s"}, SECRET)) as server, pytest.raises(FetchFailed) as caught:
        get(f"http://127.0.0.1:{server.port}/t.csv", tmp_path, allowed_hosts=("127.0.0.1",))
    assert "500" in str(caught.value)
    assert SECRET.decode() not in str(caught.value)


def test_a_token_goes_to_its_host_only(tmp_path: Path) -> None:
    """A redirect to another origin does not carry the credentials along."""
    with serving(t__csv=(200, {}, TABLE)) as other:
        with serving(go=(302, {"Location": f"http://127.0.0.1:{other.port}/t.csv"}, b"")) as server:
            get(f"http://127.0.0.1:{server.port}/go", tmp_path, allowed_hosts=("127.0.0.1",), secret="s3cret")
            assert server.requests[0][1]["Authorization"] == "Bearer s3cret"
        assert "Authorization" not in other.requests[0][1]


@pytest.mark.parametrize("uri", ["ftp://example.org/t.csv", "memory://x", "ssh://h/p", "https://user:pw@example.org/t.csv"])
def test_other_schemes_and_inline_passwords_are_refused(tmp_path: Path, uri: str) -> None:
    """http, https, s3 and files; no secret in a URI."""
    with pytest.raises(Forbidden):
        get(uri, tmp_path)

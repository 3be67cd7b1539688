"""Where a fetch may go, and where not: nothing reaches a forbidden target, and no error repeats what a server said."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from aiohttp.abc import AbstractResolver
from hypothesis import given
from hypothesis import strategies as st

from training.errors import FetchFailed, Forbidden
from training.fetch import Source, fetch, local_folder
from training.guard import is_public

TABLE = b"a,b\n1,2\n"
SECRET = b"the-answer-of-a-private-service"


class Server:
    """An HTTP server on loopback that counts who reached it."""

    def __init__(self, pages: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                status, headers, body = pages[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        class Counting(ThreadingHTTPServer):
            def get_request(self) -> Any:
                outer.connections += 1
                return super().get_request()

        self._server = Counting(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(**pages: tuple[int, dict[str, str], bytes]) -> Iterator[Server]:
    with Server({f"/{name.replace('__', '.')}": page for name, page in pages.items()}) as server:
        yield server


class Names(AbstractResolver):
    """A resolver that answers what it is told, another answer each time if there are several."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers, self.asked = {name.replace("_", "."): list(rows) for name, rows in answers.items()}, 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[Any]:
        self.asked += 1
        rows = self.answers[host]
        address = rows.pop(0) if len(rows) > 1 else rows[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [{"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": socket.AI_NUMERICHOST}]

    async def close(self) -> None: ...


def get(uri: str, folder: Path, *, resolver: Any = None, **options: Any) -> Any:
    return fetch(Source(uri=uri, folder=folder, **options), folder / "data", "csv", resolver=resolver)


def test_a_file_is_copied_under_the_name_of_its_content(tmp_path: Path) -> None:
    """A table lies under its digest; fetching it again changes nothing."""
    (tmp_path / "t.csv").write_bytes(TABLE)
    first, second = get("t.csv", tmp_path), get((tmp_path / "t.csv").as_uri(), tmp_path)
    assert first == second
    assert first.path.read_bytes() == TABLE
    assert first.path.name == first.digest.removeprefix("sha256:") + ".csv"
    assert [path.name for path in (tmp_path / "data").iterdir()] == [first.path.name]


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


def test_a_data_root_may_be_read(tmp_path: Path) -> None:
    """What the daemon's owner allows is allowed."""
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "t.csv").write_bytes(TABLE)
    (tmp_path / "specs").mkdir()
    assert get(str(tmp_path / "roots" / "t.csv"), tmp_path / "specs", roots=(tmp_path / "roots",)).bytes == len(TABLE)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe does not hang the fetch, a folder and a missing file say so."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(Forbidden, match="no regular file"):
        get("pipe.csv", tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises((Forbidden, FetchFailed)):
        get("folder.csv", tmp_path)
    with pytest.raises(FetchFailed, match="there is no such file"):
        get("nothing.csv", tmp_path)


def test_a_table_from_an_allowed_host_arrives(tmp_path: Path) -> None:
    """allowedHosts names private hosts that may be fetched from, by name or by address."""
    with serving(t__csv=(200, {}, TABLE)) as server:
        names = Names(tables_lan=["127.0.0.1"])
        found = get(f"http://tables.lan:{server.port}/t.csv", tmp_path, resolver=names, allowed_hosts=("tables.lan",))
        assert found.path.read_bytes() == TABLE
        assert get(f"http://127.0.0.1:{server.port}/t.csv", tmp_path, allowed_hosts=("127.0.0.1",)).digest == found.digest


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


def test_a_slow_server_is_left(tmp_path: Path) -> None:
    """The whole fetch has a time limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FetchFailed, match="longer than"):
        get(f"http://127.0.0.1:{silent.getsockname()[1]}/", tmp_path, allowed_hosts=("127.0.0.1",), seconds=0.2)


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


def test_a_table_from_a_bucket_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """s3:// goes through fsspec, with the same limit of size; key and secret come from the credentials."""
    bucket, asked = fsspec.filesystem("memory"), {}
    bucket.pipe("/bucket/t.csv", TABLE)

    class Bucket:
        def info(self, uri: str) -> Any:
            return bucket.info(uri.removeprefix("s3:/"))

        def open(self, uri: str, mode: str) -> Any:
            return bucket.open(uri.removeprefix("s3:/"), mode)

    def filesystem(protocol: str, **options: str) -> Any:
        asked.update(options, protocol=protocol)
        return Bucket()

    monkeypatch.setattr(fsspec, "filesystem", filesystem)
    assert get("s3://bucket/t.csv", tmp_path, secret="k:s").bytes == len(TABLE)
    assert asked == {"protocol": "s3", "key": "k", "secret": "s"}
    with pytest.raises(Forbidden, match="larger"):
        get("s3://bucket/t.csv", tmp_path, max_bytes=3)

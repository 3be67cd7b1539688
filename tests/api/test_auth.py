"""Fault 6: who has no token, calls the server by another name, or comes from a web page, gets 401 or 403 and changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml
from cryptography import x509

from reconciler.api.auth import host_of, own_names
from reconciler.api.pki import CA_DAYS, SERVER_DAYS, Pki, UnsafeFile
from reconciler.api.server import ApiServer
from reconciler.api.settings import ApiSettings
from reconciler.client import CONFIGMAPS
from reconciler.home import Home
from tests.support.apiserver import configmap, running, session

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "NONSENSE")
PATHS = (
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/configmaps/a",
    "/",
    "/metrics",
    "/anneal/v1/status",
    "*",
)
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def raw(server: ApiServer, method: str, path: str, headers: str, body: bytes = b"") -> int:
    """The status of one request, sent byte for byte; 0 if the connection was closed without an answer."""
    context = ssl.create_default_context(cadata=server.pki.ca.read_text())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(f"{method} {path} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return int(line.split()[1]) if line else 0


def refusals(server: ApiServer) -> dict[str, str]:
    """Headers that must not be let in."""
    host, bearer = f"Host: 127.0.0.1:{server.port}\r\n", f"Authorization: Bearer {server.token}\r\n"
    return {
        "no token": host,
        "wrong token": f"{host}Authorization: Bearer {server.token[:-1]}x\r\n",
        "empty token": f"{host}Authorization: Bearer \r\n",
        "token of another scheme": f"{host}Authorization: Basic {server.token}\r\n",
        "two tokens": f"{host}{bearer}{bearer}",
        "foreign host": f"Host: evil.com\r\n{bearer}",
        "host that only begins like ours": f"Host: 127.0.0.1.evil.com\r\n{bearer}",
        "no host": bearer,
        "two hosts": f"{host}Host: evil.com\r\n{bearer}",
        "a web page": f"{host}{bearer}Origin: https://evil.com\r\n",
        "a web page of our own": f"{host}{bearer}Origin: {server.url}\r\n",
        "a page in a sandbox": f"{host}{bearer}Origin: null\r\n",
        "a websocket without a token": host + UPGRADE,
        "a websocket of a web page": f"{host}{bearer}Origin: https://evil.com\r\n{UPGRADE}",
    }


async def test_fault_6_nobody_gets_in(server: ApiServer) -> None:
    """Every method on every path is refused without the token, under a foreign name, or from a page; nothing is written."""
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    before = server.store.newest()
    body = json.dumps(configmap("b")).encode()
    cases = [(why, method, path, headers) for why, headers in refusals(server).items() for method in METHODS for path in PATHS]
    gate = asyncio.Semaphore(16)

    async def knock(method: str, path: str, headers: str) -> int:
        async with gate:
            return await raw(server, method, path, f"{headers}Content-Type: application/json\r\n", body)

    answers = await asyncio.gather(*(knock(method, path, headers) for _, method, path, headers in cases))
    # 400: the HTTP parser itself refused what is no HTTP.
    wrong = [
        (why, method, path, code)
        for (why, method, path, _), code in zip(cases, answers, strict=True)
        if code not in (400, 401, 403)
    ]
    assert wrong == []
    assert {401, 403} <= set(answers)
    assert server.store.newest() == before


async def test_the_holder_of_the_token_gets_in(server: ApiServer) -> None:
    """With token and Host as in the kubeconfig the same request is answered."""
    headers = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
    assert await raw(server, "GET", PATHS[0], headers) == 200
    assert await raw(server, "GET", PATHS[0], headers.replace("127.0.0.1:", "localhost:")) == 200


async def test_only_liveness_is_told_to_strangers(server: ApiServer) -> None:
    """/healthz and /livez answer without a token, but not under a foreign name; /readyz and /metrics need it."""
    async with session(server, token="") as stranger:
        for path, code in (("/healthz", 200), ("/livez", 200), ("/readyz", 401), ("/metrics", 401), ("/version", 401)):
            assert (await stranger.get(path)).status == code, path
        assert (await stranger.post("/healthz")).status == 401
        assert (await stranger.get("/healthz", headers={"Host": "evil.com"})).status == 403


async def test_readiness_is_the_daemons(tmp_path: Path) -> None:
    """/readyz tells the daemon's reasons for not being ready, with 503."""
    reasons = ["cannot list: no answer"]
    async with running(tmp_path / "home", not_ready=lambda: reasons) as server, session(server) as http:
        answer = await http.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "cannot list: no answer")
        reasons.clear()
        assert (await http.get("/readyz")).status == 200


async def test_extra_routes_are_behind_the_same_gate(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """What the daemon mounts is served with the token and refused without, also when mounted after the start."""

    async def hello(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.json_response({"hello": request.match_info["name"]})

    server.mount([aiohttp.web.get("/anneal/v1/hello/{name}", hello)])
    assert await (await http.get("/anneal/v1/hello/you")).json() == {"hello": "you"}
    assert (await http.post("/anneal/v1/hello/you")).status == 405
    assert (await http.get("/anneal/v1/nothing")).status == 404
    async with session(server, token="") as stranger:
        assert (await stranger.get("/anneal/v1/hello/you")).status == 401
    with pytest.raises(ValueError, match="cannot mount /api/v1/x"):
        server.mount([aiohttp.web.get("/api/v1/x", hello)])


async def test_plain_http_is_not_spoken(server: ApiServer) -> None:
    """Without TLS there is no answer, so the token never crosses the wire in the clear to us."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(server.url.replace("https", "http") + "/healthz")


async def test_another_address_still_asks_for_both(tmp_path: Path) -> None:
    """Bound to all addresses, TLS and token are demanded as on loopback, and the certificate names the addresses."""
    async with running(tmp_path / "home", host="0.0.0.0") as server:
        async with session(server, token="") as stranger:
            assert (await stranger.get("/api/v1/namespaces")).status == 401
        async with session(server) as http:
            assert (await http.get("/api/v1/namespaces")).status == 200
        cert = x509.load_pem_x509_certificate(server.pki.cert.read_bytes())
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {str(name.value) for name in names} >= set(own_names("0.0.0.0"))


async def test_loopback_only_by_default(server: ApiServer) -> None:
    """Unasked, the server listens on the loopback address alone."""
    connections = [c for c in psutil_listeners() if c[1] == server.port]
    assert {host for host, _ in connections} == {"127.0.0.1"}


def psutil_listeners() -> list[tuple[str, int]]:
    import psutil

    return [(c.laddr.ip, c.laddr.port) for c in psutil.Process().net_connections("tcp") if c.status == psutil.CONN_LISTEN]


# --- files -----------------------------------------------------------------------------------------------------------


async def test_what_is_secret_is_0600(server: ApiServer) -> None:
    """Key files, token, kubeconfig and database, with the files beside it, are readable by their owner alone."""
    home = server.home
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    files = [home.kubeconfig, home.server_record, *home.pki.iterdir(), *home.root.glob("anneal.db*")]
    assert len(files) >= 8
    assert {str(f): oct(stat.S_IMODE(f.stat().st_mode)) for f in files if stat.S_IMODE(f.stat().st_mode) != 0o600} == {}
    assert stat.S_IMODE(home.pki.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["kubeconfig", "anneal.db", "pki/token", "pki/ca.key", "pki/server.key", "pki/secrets.key"])
async def test_a_file_that_others_can_read_stops_the_start(tmp_path: Path, name: str) -> None:
    """The server does not start on an open file, and names the file and the command that closes it."""
    async with running(tmp_path / "home"):
        pass
    path = tmp_path / "home" / name
    path.chmod(0o640)
    with pytest.raises(UnsafeFile, match=f"mode 0640 lets others in; run: chmod 600 {path}"):
        await ApiServer(Home(tmp_path / "home")).start()
    path.chmod(0o600)
    async with running(tmp_path / "home"):
        pass


async def test_the_kubeconfig_is_plain_yaml(server: ApiServer) -> None:
    """One context, anneal, in the namespace default; a restart keeps url, token and CA."""
    content = yaml.safe_load(server.kubeconfig.read_text())
    assert content["current-context"] == "anneal"
    assert content["contexts"] == [{"name": "anneal", "context": {"cluster": "anneal", "user": "anneal", "namespace": "default"}}]
    assert content["clusters"][0]["cluster"]["server"] == server.url


async def test_a_restart_keeps_the_address(tmp_path: Path) -> None:
    """The port that was chosen is recorded and taken again; where it is taken by somebody else, another one is."""
    async with running(tmp_path / "home") as server:
        first, written = server.url, server.kubeconfig.read_text()
    async with running(tmp_path / "home") as server:
        assert (server.url, server.kubeconfig.read_text()) == (first, written)
        port = server.port
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        async with running(tmp_path / "home") as server:
            assert server.url != first
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await ApiServer(Home(tmp_path / "home"), port=port).start()


async def test_the_port_is_none_that_outgoing_connections_get(tmp_path: Path) -> None:
    """While the daemon is down nobody's outgoing connection can take its port: it lies below the system's range for those."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    async with running(tmp_path / "home") as server:
        assert server.port < max(lowest, 32_768)


def test_a_second_server_on_one_home_refuses(tmp_path: Path) -> None:
    """Two processes never write one database: the second says who holds it."""
    command = [sys.executable, "-m", "reconciler.api", "--home", str(tmp_path / "home")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline().startswith(b"https://127.0.0.1:")
            second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            assert second.returncode == 1
            assert f"(pid {first.pid})" in second.stderr
        finally:
            first.terminate()


def test_certificates_are_renewed_in_time(tmp_path: Path) -> None:
    """The server's certificate is renewed under the same CA before it ends; the CA itself likewise."""
    pki, now = Pki(tmp_path), datetime.now(UTC)
    pki.ensure(["127.0.0.1"], now)
    ca, cert = pki.ca.read_bytes(), pki.cert.read_bytes()
    pki.ensure(["127.0.0.1"], now + timedelta(days=SERVER_DAYS - 40))
    assert (pki.ca.read_bytes(), pki.cert.read_bytes()) == (ca, cert)
    pki.ensure(["127.0.0.1"], now + timedelta(days=SERVER_DAYS - 20))
    assert pki.ca.read_bytes() == ca
    assert pki.cert.read_bytes() != cert
    cert = pki.cert.read_bytes()
    pki.ensure(["127.0.0.1", "box.example"], now + timedelta(days=SERVER_DAYS - 20))
    assert pki.cert.read_bytes() != cert
    pki.ensure(["127.0.0.1"], now + timedelta(days=CA_DAYS - 20))
    assert pki.ca.read_bytes() != ca


@pytest.mark.parametrize(
    ("header", "host"),
    [("127.0.0.1:1", "127.0.0.1"), ("localhost", "localhost"), ("[::1]:8443", "::1"), ("[::1]", "::1"),
     ("EVIL.com:80", "evil.com"), ("127.0.0.1:1:2", "127.0.0.1:1"), ("", "")],
)  # fmt: skip
def test_the_host_of_a_header(header: str, host: str) -> None:
    """The port, and nothing else, is cut off."""
    assert host_of(header) == host


# --- sizes and times -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"metadata":' * 5000 + b"1" + b"}" * 5000, 400),
        (b"{" + b'"a":{' * 150 + b"}" * 151, 400),
        (b'{"a": [NaN}', 400),
        (b"nonsense", 400),
        (b"[]", 400),
        (b"", 400),
        (b'{"data": "' + b"x" * (3 * 2**20) + b'"}', 413),
        (b"a: &a [1,1]\nb: &b [*a,*a]\n", 400),
    ],
    ids=["brackets", "braces", "too deep", "NaN", "nonsense", "a list", "nothing", "too long", "aliases"],
)
async def test_bodies_that_are_none(server: ApiServer, http: aiohttp.ClientSession, body: bytes, code: int) -> None:
    """A body that is no object, or too much of one, gets a clear answer, and the server goes on."""
    before = server.store.newest()
    for content in ("application/json", "application/yaml"):
        answer = await http.post(PATHS[0], data=body, headers={"Content-Type": content})
        assert (answer.status, (await answer.json())["kind"]) == (code, "Status")
    assert server.store.newest() == before
    assert (await http.get("/livez")).status == 200


async def test_who_dawdles_is_cut_off(tmp_path: Path) -> None:
    """A header that trickles in for too long ends the connection; a body that does gets 408."""
    async with running(tmp_path / "home", ApiSettings(idle_seconds=0.2, body_seconds=0.2)) as server:
        context = ssl.create_default_context(cadata=server.pki.ca.read_text())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        headers = f"Host: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\nContent-Length: 100\r\n"
        writer.write(f"POST {PATHS[0]} HTTP/1.1\r\n{headers}\r\n{{".encode())
        assert b"408" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_the_port_is_not_for_reading_the_token(server: ApiServer) -> None:
    """No answer, refused or given, holds the token."""
    async with session(server) as http:
        for path in ("/metrics", "/version", "/api", "/nothing", "/api/v1/namespaces"):
            assert server.token not in await (await http.get(path)).text()
    assert server.token not in json.dumps(dict(os.environ))

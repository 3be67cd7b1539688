"""The one file that imports openstacksdk, and what it does with configuration and failures before anything is sent."""

from __future__ import annotations

import ast
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from drivers.contract import Ambiguous, CredentialsInvalid, LeaseLost, Unreachable
from drivers.openstack.client import Answer, CloudClient

ROOT = Path(__file__).parents[3]
PACKAGES = ("specs", "drivers", "reconciler", "modelstore", "training", "serving")


def imports(file: Path) -> set[str]:
    """Top-level names of what a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


def test_one_file_imports_the_sdk_and_only_when_it_is_needed():
    """Nobody else does, and even there the import stands in a function: without a Machine on OpenStack it costs nothing."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    users = [file for file in files if imports(file) & {"openstack", "keystoneauth1"}]
    assert [str(file.relative_to(ROOT)) for file in users] == ["drivers/openstack/client.py"]
    top = [node for node in ast.parse(users[0].read_text("utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [node for node in top if "openstack" in ast.unparse(node).split(".")[0] or "keystoneauth1" in ast.unparse(node)]


@pytest.fixture
def nowhere():
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v3"


def config(url: str) -> dict[str, object]:
    auth = {"auth_url": url, "username": "u", "password": "hunter2", "project_name": "p"}
    return {"region_name": "r", "auth": auth | {"user_domain_id": "default", "project_domain_id": "default"}}


async def test_a_keystone_that_is_away_means_that_nothing_was_sent(nowhere):
    """Without a token no change leaves the house: Unreachable, not Ambiguous; and the password is not in the message."""
    asked = threading.Event()
    client = CloudClient("test", lambda: config(nowhere), asked.set, 2.0)
    for call in (client.write("create it", "compute", "POST", "/servers", {}), client.read("look", "compute", "/servers")):
        with pytest.raises(Unreachable) as caught:
            await call
        assert caught.value.happened is False
        assert "hunter2" not in str(caught.value)
    assert not asked.is_set()
    await client.close()
    await client.close()


@pytest.fixture
def refusing():
    """A Keystone that knows of no such application credential."""
    body = b'{"error": {"code": 404, "message": "Could not find Application Credential: 16c0."}}'

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            versions = {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": refuser.url}]}}
            self.answer(200, orjson.dumps(versions))

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(404, body)

        def answer(self, status, raw):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            """Silent."""

    refuser = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    refuser.url = f"http://127.0.0.1:{refuser.server_address[1]}/v3"
    threading.Thread(target=refuser.serve_forever, daemon=True).start()
    yield refuser.url
    refuser.shutdown()
    refuser.server_close()


async def test_a_login_that_is_not_found_is_a_matter_of_credentials(refusing):
    """Keystone answers 404 where an application credential was revoked: no wrong spec, and tried again with what comes next."""
    client = CloudClient("test", lambda: config(refusing), lambda: None)
    for call in (client.project(), client.read("look", "compute", "/servers"), client.write("go", "compute", "POST", "/x", {})):
        with pytest.raises(CredentialsInvalid, match="Could not find Application Credential") as caught:
            await call
        assert caught.value.happened is False
    await client.close()


async def test_a_configuration_that_cannot_be_read_is_said_without_it(nowhere):
    """Whatever the source raises: CredentialsInvalid, by the name of the error alone."""

    def broken() -> dict[str, object]:
        raise ValueError("hunter2")

    client = CloudClient("test", broken, lambda: None)
    with pytest.raises(CredentialsInvalid) as caught:
        await client.read("look", "compute", "/servers")
    assert "hunter2" not in str(caught.value)
    await client.close()


def test_losing_the_lease_is_no_doubt():
    """The fence's word is final: it is none of the errors that ask for a second look."""
    assert not issubclass(LeaseLost, Ambiguous)


class Pages(CloudClient):
    """Answers from a list of pages."""

    def __init__(self, *pages: object) -> None:
        super().__init__("test", dict, lambda: None)
        self.pages, self.asked = list(pages), list[object]()

    async def read(self, doing, service, path, query=None):
        self.asked.append(dict(query or {}))
        return Answer(200, self.pages.pop(0))


NEXT = [{"rel": "next", "href": "http://cloud/next"}]


@pytest.mark.parametrize(
    ("table", "first", "second", "marker"),
    [
        ("servers", {"id": "1"}, {"id": "2"}, "1"),
        ("keypairs", {"keypair": {"name": "a"}}, {"keypair": {"name": "b"}}, "a"),
    ],
)
async def test_a_list_is_read_to_its_last_page(table, first, second, marker):
    """However many pages the cloud makes of it; a page that cannot be followed is silence, not the end."""
    client = Pages({table: [first], f"{table}_links": NEXT}, {table: [second]})
    assert await client.rows("list", "compute", "/x", table, {"tags": "t"}) == [first, second]
    assert client.asked == [{"tags": "t"}, {"tags": "t", "marker": marker}]
    with pytest.raises(Unreachable):
        await Pages({table: [{}], f"{table}_links": NEXT}).rows("list", "compute", "/x", table)
    with pytest.raises(Unreachable):
        await Pages({"error": "none"}).rows("list", "compute", "/x", table)

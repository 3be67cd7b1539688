"""A cloud behind TLS, as far as entering it goes: a real TLS server on loopback, and a Secret with a clouds.yaml and a CA."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from drivers.contract import CertificateInvalid, CredentialsInvalid, Unreachable
from reconciler.api.pki import Pki
from reconciler.kinds.providers import Providers
from specs.meta import Reason
from specs.openstack import IdentityRef

REF = IdentityRef.model_validate({"name": "cloud", "cloudName": "lab"})


class Keystone(BaseHTTPRequestHandler):
    """Hands out one token for one password, and has one flavor."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: Any, **headers: str) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(raw))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def do_POST(self) -> None:
        """The login."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = f"https://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[attr-defined]
        if asked["auth"]["identity"]["password"]["user"]["password"] != "right":
            self._answer(401, {"error": {"code": 401, "message": "The request you have made requires authentication."}})
            return
        endpoint = {"id": "e", "interface": "public", "region": "r", "region_id": "r", "url": f"{url}/v2.1"}
        service = {"id": "s", "type": "compute", "name": "nova", "endpoints": [endpoint]}
        token = {
            "methods": ["password"], "expires_at": "2100-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}}, "catalog": [service],
            "project": {"id": "p", "name": "p", "domain": {"id": "default", "name": "Default"}}, "roles": [],
        }  # fmt: skip
        self._answer(201, {"token": token}, X_Subject_Token="t")

    def do_GET(self) -> None:
        """Versions, and the flavors."""
        url = f"https://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[attr-defined]
        nova = {"id": "v2.1", "status": "CURRENT", "version": "2.90", "min_version": "2.1"}
        nova |= {"links": [{"rel": "self", "href": f"{url}/v2.1/"}]}
        if "flavors" in self.path:
            self._answer(200, {"flavors": [{"id": "1", "name": "small"}]})
        elif self.path.startswith("/v3"):
            links = [{"rel": "self", "href": f"{url}/v3/"}]
            self._answer(200, {"version": {"id": "v3.14", "status": "stable", "links": links}})
        else:
            self._answer(200, {"version": nova})


class Cloud:
    """The server, with a CA of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.pki = Pki(folder)
        self.pki.ensure(["127.0.0.1"])
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Keystone)
        self._server.socket = self.pki.context().wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where one logs in."""
        return f"https://127.0.0.1:{self._server.server_address[1]}/v3"

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Secrets:
    """An API server with one Secret."""

    def __init__(self, **data: str) -> None:
        self.data = data

    async def get(self, *_: Any) -> Any:
        return {"data": {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in self.data.items()}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    running = Cloud(tmp_path / "cloud")
    yield running
    running.stop()


@pytest.fixture
async def enter(cloud: Cloud, tmp_path: Path):
    """Log in with this password and this CA, and list the flavors; the daemon's providers stay the same from call to call."""
    secrets = Secrets()
    (tmp_path / "run").mkdir()
    providers = Providers(secrets, lambda: None, "i", 1.0, 5.0, tmp_path / "run")  # type: ignore[arg-type]

    async def attempt(password: str = "right", ca: Path | str | None = None, url: str = "") -> list[dict[str, Any]]:
        auth = {"auth_url": url or cloud.url, "username": "u", "password": password, "project_name": "p"}
        entry = {"region_name": "r", "auth": auth | {"user_domain_id": "default", "project_domain_id": "default"}}
        secrets.data = {"clouds_yaml": yaml.safe_dump({"clouds": {"lab": entry}})}
        if ca is not None:
            secrets.data["cacert"] = ca if isinstance(ca, str) else ca.read_text()
        account = await providers.openstack(REF, "default")
        return await account.client.rows("list flavors", "compute", "/flavors", "flavors")

    yield attempt
    await providers.close()


async def test_the_ca_of_the_secret_is_trusted(enter, cloud):
    """The keys clouds.yaml and cacert of one Secret are enough."""
    assert await enter(ca=cloud.pki.ca) == [{"id": "1", "name": "small"}]


@pytest.mark.parametrize("which", ["none", "another"])
async def test_a_wrong_ca_is_told_from_refused_credentials(enter, cloud, tmp_path, which):
    """Without the CA, or with another: CertificateInvalid, with the words of OpenSSL, and where to mend it."""
    other = Pki(tmp_path / "other")
    other.ca.parent.mkdir()
    other.ensure(["127.0.0.1"])
    with pytest.raises(CertificateInvalid, match="certificate verify failed") as caught:
        await enter(password="wrong", ca=None if which == "none" else other.ca)
    assert caught.value.reason == Reason.CERTIFICATE_INVALID
    assert caught.value.happened is False
    assert "check cacert" in str(caught.value)
    assert await enter(ca=cloud.pki.ca), "the right one is taken without a restart"


async def test_refused_credentials_are_told_from_a_wrong_ca(enter, cloud):
    """The right CA and another password: CredentialsInvalid, and the password is not repeated."""
    with pytest.raises(CredentialsInvalid, match="requires authentication") as caught:
        await enter(password="hunter2", ca=cloud.pki.ca)
    assert "hunter2" not in str(caught.value)


async def test_a_cloud_that_is_away_is_told_from_both(enter, cloud):
    """Nobody listens: Unreachable and nothing else. Somebody who does not speak TLS: likewise."""
    cloud.stop()
    with pytest.raises(Unreachable) as caught:
        await enter(ca=cloud.pki.ca)
    assert caught.value.reason == Reason.PROVIDER_UNREACHABLE
    plain = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=plain.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        with pytest.raises(Unreachable) as caught:
            await enter(ca=cloud.pki.ca, url=f"https://127.0.0.1:{plain.server_address[1]}/v3")
    finally:
        plain.shutdown()
        plain.server_close()
        thread.join()
    assert caught.value.reason == Reason.PROVIDER_UNREACHABLE


async def test_what_is_no_ca_is_said_before_anything_is_sent(enter):
    """A key, a path, nothing at all: it names the Secret, and does not quote it."""
    with pytest.raises(CertificateInvalid, match='key cacert of Secret "cloud" holds no certificate') as caught:
        await enter(ca="-----BEGIN hunter2-----")
    assert "hunter2" not in str(caught.value)

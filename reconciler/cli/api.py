"""One connection to an API server: requests, streams, and errors in words. http.client, because it loads fast and keeps alive."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from reconciler.cli.errors import ApiError, CliError, UnreachableError
from reconciler.cli.kubeconfig import Access

Object = dict[str, Any]

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 90.0
FIELD_MANAGER = "anneal-cli"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Api:
    """A conversation with one server. Not for several threads: `another()` gives each its own."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.url = access.server
        parts = urlsplit(access.server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CliError(f"cannot use server {access.server!r}: it is not an http(s) URL; check the kubeconfig")
        self._parts = parts
        self._tls = _tls(access) if parts.scheme == "https" else None
        self._connection: HTTPConnection | None = None

    def another(self) -> Api:
        """A second connection to the same server."""
        return Api(self.access)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- requests ------------------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, accept: str = "application/json") -> Any:
        """GET, decoded."""
        return self.request("GET", path, query, accept=accept)

    def find(self, path: str) -> Object | None:
        """GET one object; None if there is none."""
        try:
            found: Object = self.get(path)
        except ApiError as error:
            if error.http == 404:
                return None
            raise
        return found

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """Send one request and decode the answer. ApiError for a refusal, UnreachableError where no answer came."""
        return self.exchange(method, path, query, body=body, content_type=content_type, accept=accept, seconds=seconds)[1]

    def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        seconds: float = ANSWER_SECONDS,
    ) -> tuple[int, Any]:
        """As `request`, with the HTTP code: 201 says that it was created."""
        response = self._send(method, path, query, body, content_type, accept, seconds)
        try:
            data = response.read()
        except (OSError, HTTPException) as error:
            self.close()
            raise self._lost(error) from error
        if response.status >= 400:
            raise refusal(response.status, data)
        try:
            return response.status, (json.loads(data) if data else None)
        except ValueError as error:
            raise CliError(
                f"cannot understand the answer of {self.url}{path}: it is not JSON; is this an API server of anneal?"
            ) from error

    def stream(self, path: str, query: Mapping[str, Any] | None = None, *, accept: str = "application/json") -> Iterator[bytes]:
        """GET, line by line for as long as the server sends; ends when the server ends it, or the connection drops."""
        response = self._send("GET", path, query, None, "", accept, None)
        if response.status >= 400:
            raise refusal(response.status, response.read())
        try:
            while line := response.readline():
                yield line
        except (OSError, HTTPException, ValueError):
            return
        finally:
            self.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        content_type: str,
        accept: str,
        seconds: float | None,
    ) -> HTTPResponse:
        target = self._parts.path.rstrip("/") + quote(path, safe="/:@!$&'()*+,;=~.-_")
        if query and (pairs := {key: _text(value) for key, value in query.items() if value not in (None, "")}):
            target += "?" + urlencode(pairs)
        headers = {"Accept": accept, "User-Agent": "anneal-cli"}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        reused = self._connection is not None
        try:
            return self._once(method, target, payload, headers, seconds)
        except (HTTPException, ConnectionError) as error:
            self.close()
            # A kept-alive connection that the server closed meanwhile: a read may simply be sent again.
            if not (reused and method == "GET"):
                raise self._lost(error) from error
        except OSError as error:
            self.close()
            raise self._lost(error) from error
        try:
            return self._once(method, target, payload, headers, seconds)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._lost(error) from error

    def _once(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str], seconds: float | None
    ) -> HTTPResponse:
        connection = self._connection or self._connect()
        connection.sock.settimeout(seconds)
        connection.request(method, target, payload, headers)
        return connection.getresponse()

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        connection = HTTPConnection(host, port) if self._tls is None else HTTPSConnection(host, port, context=self._tls)
        raw = socket.create_connection((host, port or (443 if self._tls else 80)), CONNECT_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = self.access.tls_name or host
        connection.sock = self._tls.wrap_socket(raw, server_hostname=name) if self._tls else raw
        self._connection = connection
        return connection

    def _lost(self, error: Exception) -> CliError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return UnreachableError(
                f"cannot trust {self.url}: {error.verify_message or error}; the kubeconfig belongs to another server or is old"
            )
        if isinstance(error, ConnectionRefusedError):
            cause = "nobody listens there"
        elif isinstance(error, TimeoutError):
            cause = "no answer in time"
        else:
            cause = str(getattr(error, "strerror", None) or error or type(error).__name__)
        return UnreachableError(
            f"cannot reach {self.url}: {cause}; is the daemon running? `anneal status` tells, `anneal up -d` starts it"
        )


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _tls(access: Access) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif access.ca:
        try:
            context.load_verify_locations(cadata=access.ca)
        except (ssl.SSLError, ValueError) as error:
            raise CliError(
                "cannot use the kubeconfig: its certificate authority is not a PEM certificate; write it anew"
            ) from error
    else:
        context.load_default_certs()
    if access.certificate and access.key:
        _present(context, access.certificate, access.key)
    return context


def _present(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client certificate. The ssl module reads files only: an anonymous one in memory keeps the key off the disk."""
    handle = os.memfd_create("anneal-client-certificate")
    try:
        os.write(handle, certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    except (ssl.SSLError, OSError) as error:
        raise CliError(
            f"cannot use the kubeconfig: its client certificate and key do not load ({error}); write them anew"
        ) from error
    finally:
        os.close(handle)


def refusal(code: int, data: bytes) -> ApiError:
    """The error that a metav1.Status (or any other body) stands for, with what to do next."""
    try:
        status = json.loads(data)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": data[:300].decode(errors="replace")}
    message = str(status.get("message") or status.get("error") or f"HTTP {code}").rstrip(".")
    reason = str(status.get("reason") or "")
    if code == 401:
        message = (
            f"cannot log in: the token of the kubeconfig was refused ({message}); use the kubeconfig of this very installation"
        )
    elif code == 403:
        message = f"cannot do this: the API server forbids it ({message}); ask for the role"
    elif code == 422 and (causes := (status.get("details") or {}).get("causes")):
        kind = (status.get("details") or {}).get("kind", "object")
        name = (status.get("details") or {}).get("name", "")
        lines = "".join(f"\n  {cause.get('field', '')}: {cause.get('message', '')}" for cause in causes)
        message = f'{kind} "{name}" is invalid:{lines}\n  `anneal explain {kind}` describes the fields'
    return ApiError(code, reason, message, status)

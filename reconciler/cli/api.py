"""A conversation with an API server: requests, streams, and errors in words."""

from __future__ import annotations

import gc
import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.cli.errors import ApiError, CliError, UnreachableError
from reconciler.cli.kubeconfig import Access
from reconciler.cli.wire import Answer, Connection, WireError, quote

Object = dict[str, Any]

ANSWER_SECONDS = 90.0
FIELD_MANAGER = "anneal-cli"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

APPLY = "application/apply-patch+yaml"

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)(?::(\d{1,5}))?(/[^?#\s]*)?")


class Api:
    """A conversation with one server. Not for several threads: `another()` gives each its own."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.url = access.server
        if not (parts := _URL.fullmatch(access.server)):
            raise CliError(f"cannot use server {access.server!r}: it is not an http(s) URL; check the kubeconfig")
        self._tls = _tls(access) if parts[1] == "https" else None
        self._host, self._port = parts[2].strip("[]"), int(parts[3] or (443 if self._tls else 80))
        self._base = (parts[4] or "").rstrip("/")
        self._connection: Connection | None = None

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
        except (OSError, WireError) as error:
            self.close()
            raise self._lost(error) from error
        if not response.keeps_alive:
            self.close()
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
        gc.enable()  # main switched it off for short commands; a stream may live for days
        response = self._send("GET", path, query, None, "", accept, None)
        if response.status >= 400:
            raise refusal(response.status, response.read())
        try:
            yield from response.lines()
        except (OSError, WireError):
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
    ) -> Answer:
        target = self._base + quote(path)
        if query and (pairs := [f"{key}={quote(_text(value))}" for key, value in query.items() if value not in (None, "")]):
            target += "?" + "&".join(pairs)
        headers = {"Accept": accept, "User-Agent": "anneal-cli"}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        reused = self._connection is not None
        while True:
            try:
                if self._connection is None:
                    self._connection = Connection(self._host, self._port, self._tls, self.access.tls_name)
                return self._connection.ask(method, target, headers, payload, seconds)
            except (OSError, WireError) as error:
                self.close()
                # The server may have closed a kept-alive connection meanwhile: a read is simply sent again, a write never.
                if not (reused and method == "GET") or isinstance(error, TimeoutError):
                    raise self._lost(error) from error
                reused = False

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

"""Stands between a driver and a real service of the cloud: honest until told otherwise, and it counts."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

REFUSALS = {
    "unauthorized": (401, "The request you have made requires authentication."),
    "forbidden": (403, "Policy doesn't allow this to be performed."),
    "quota": (403, "Quota exceeded for cores: Requested 8, but already used 56 of 60 cores"),
    "over_quota": (409, "Quota exceeded for resources: ['port']."),
    "too_large": (413, "Quota exceeded for volumes"),
    "rate_limited": (429, "This request was rate-limited."),
    "fail_create": (400, "Invalid input."),
    "delete_forbidden": (403, "Policy doesn't allow this to be performed."),
    "delete_in_use": (409, "It is in use."),
    "unavailable": (503, "Service Unavailable"),
}
LONGEST_HANG = 60.0
"""Seconds; an end comes earlier, when the proxy is told to be honest."""


@dataclass
class Fault:
    """What to do wrong, with which requests, and how often (-1: until told otherwise)."""

    name: str
    path: str = "/"
    methods: tuple[str, ...] = ()
    message: str = ""
    retry_after: float | None = None
    count: int = -1
    seconds: float = 0.0
    """How long "slow" takes."""
    words: tuple[str, str] = ("", "")
    """What "shows" shows in place of what."""

    def meets(self, method: str, path: str) -> bool:
        """Whether this request goes wrong."""
        return self.count != 0 and re.search(self.path, path) is not None and (not self.methods or method in self.methods)


@dataclass
class FaultProxy:
    """In threads of its own. `url` is where it listens; `upstream` is the service, such as http://127.0.0.1:28774."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    """Of those that meet a request the first one counts."""
    log: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of every request that arrived."""
    struck: int = 0
    """How many requests went wrong since it was last told what to do wrong."""
    _released: threading.Event = field(default_factory=threading.Event)
    _quiet: threading.Condition = field(default_factory=threading.Condition)
    _busy: int = 0
    """Requests that are being handled and do not hang."""

    def lie(self, *faults: Fault) -> None:
        """Do these things wrong, and no others, until told otherwise."""
        self.faults, self.struck = list(faults), 0

    def honest(self) -> None:
        """No fault any more; what hangs is let go."""
        self.faults = []
        self._released.set()
        self._released = threading.Event()

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until all that arrived was answered or hangs, though nobody may wait for it any more."""
        with self._quiet:
            assert self._quiet.wait_for(lambda: self._busy == 0, seconds)

    def arrived(self, count: int, seconds: float = 60.0) -> bool:
        """Wait until so many requests went wrong since it was told to do wrong; whether they did."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self.struck >= count, seconds)

    def _count(self, busy: int, struck: int = 0) -> None:
        with self._quiet:
            self._busy += busy
            self.struck += struck
            self._quiet.notify_all()

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                outer.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        self._count(1)
        try:
            self._handle(request)
        finally:
            self._count(-1)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        method, path = request.command, request.path
        self.log.append((method, path))
        fault = next((one for one in self.faults if one.meets(method, path)), None)
        if fault is not None:
            fault.count -= fault.count > 0
            self._count(0, struck=1)
        match fault.name if fault else "":
            case "drop_before":
                return self._drop(request)
            case "hang":
                return self._hang(request)
            case "gone":
                return self._answer(
                    request, 404, b'{"itemNotFound": {"code": 404, "message": "Instance could not be found."}}', {}
                )
            case "garbage":
                return self._answer(request, 200, b"<html>it works!</html>", {})
            case "empty_lists" if method == "GET" and re.search(
                r"/(detail|ports|floatingips|security-groups|os-keypairs)$", path.partition("?")[0]
            ):
                key = {"security-groups": "security_groups", "os-keypairs": "keypairs"}
                last = path.partition("?")[0].removesuffix("/detail").rpartition("/")[2]
                return self._answer(request, 200, json.dumps({key.get(last, last): []}).encode(), {})
            case name if fault is not None and name in REFUSALS:
                status, words = REFUSALS[name]
                headers = {"X-Openstack-Request-Id": "req-0b5f"}
                headers |= {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
                raw = json.dumps({"fault": {"code": status, "message": fault.message or words}}).encode()
                return self._answer(request, status, raw, headers)
        if fault is not None and fault.name == "slow":
            self._released.wait(fault.seconds)
        status, raw, kept = self._forward(request, body)
        match fault.name if fault else "":
            case "shows" if fault is not None:
                raw = raw.replace(*(word.encode() for word in fault.words))
            case "drop_after":
                return self._drop(request)
            case "hang_after":
                return self._hang(request)
            case "ack_then_500":
                return self._answer(request, 502, b"<html>Bad Gateway</html>", {})
        return self._answer(request, status, raw, kept)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        there = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=120)
        headers = {
            key: value for key, value in request.headers.items() if key.lower() not in ("host", "connection", "accept-encoding")
        }
        connection.request(request.command, request.path, body or None, headers)
        response = connection.getresponse()
        raw = response.read().replace(self.upstream.encode(), self.url.encode())
        connection.close()
        kept = {k: v for k, v in response.getheaders() if k.lower() in ("content-type", "x-openstack-request-id", "location")}
        return response.status, raw, kept

    def _answer(self, request: BaseHTTPRequestHandler, status: int, raw: bytes, headers: dict[str, str]) -> None:
        try:
            request.send_response(status)
            for key, value in {"Content-Type": "application/json", **headers}.items():
                request.send_header(key, value)
            request.send_header("Content-Length", str(len(raw)))
            request.end_headers()
            request.wfile.write(raw)
        except OSError:
            request.close_connection = True

    def _hang(self, request: BaseHTTPRequestHandler) -> None:
        """No answer until the fault is over, and none then."""
        self._count(-1)
        self._released.wait(LONGEST_HANG)
        self._count(1)
        self._drop(request)

    def _drop(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        with contextlib.suppress(OSError):
            request.connection.shutdown(2)

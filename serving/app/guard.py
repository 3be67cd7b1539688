"""What a request may be: its size, packed and unpacked, its pace, its sender, where it came from. Everything else gets a 4xx."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Request
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
    TooManyRequests,
    UnsupportedMediaType,
)

from serving.config import Limits

CHUNK = 64 * 1024
WATCH_SECONDS = 0.25
MAX_CLIENTS = 10_000


class Watch:
    """Ends the patience with clients that do not get done sending: their socket is closed for reading at the deadline.

    A timeout of the socket's own would be for each packet, and a byte a second would keep a thread for ever.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, tuple[float, socket.socket | None]] = {}
        self._started = False
        self._lock = threading.Lock()

    def begin(self, sock: socket.socket, seconds: float) -> None:
        """Expect the whole request by then."""
        self._sockets[id(sock)] = (time.monotonic() + seconds, sock)
        if not self._started:
            with self._lock:
                if not self._started:
                    self._started = True
                    threading.Thread(target=self._run, name="watch", daemon=True).start()

    def end(self, sock: socket.socket) -> None:
        """It is here."""
        self._sockets.pop(id(sock), None)

    def _run(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            now = time.monotonic()
            for key, (deadline, sock) in list(self._sockets.items()):
                if sock is not None and now > deadline and self._sockets.pop(key, _NONE)[1] is sock:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RD)


_NONE: tuple[float, socket.socket | None] = (0.0, None)
WATCH = Watch()


def body(request: Request, limits: Limits, *, most: int | None = None) -> bytes:
    """The request's body, unpacked. Raises 400, 408, 413 or 415."""
    most = most or limits.max_bytes
    length = request.content_length
    if length is not None and length > most:
        raise too_large(most)
    stream = request.environ["wsgi.input"]
    packing = request.headers.get("Content-Encoding", "").strip().lower()
    if packing not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise UnsupportedMediaType("the body's Content-Encoding is not supported; gzip and deflate are")
    data = stream.read(length) if length is not None else _all(stream.read, most)
    if (sock := request.environ.get("gunicorn.socket")) is not None:
        WATCH.end(sock)
    if length is not None and len(data) < length:
        raise RequestTimeout("the body did not arrive in time")
    return data if packing in {"", "identity"} else _unpack(data, most)


def _all(read: Callable[[int], bytes], most: int) -> bytes:
    parts, size = [], 0
    while chunk := read(CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            raise too_large(most)
    return b"".join(parts)


def _unpack(data: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it is
    try:
        plain = unpacker.decompress(data, most + 1)
    except zlib.error:
        raise _bad("the body is not packed as its Content-Encoding says") from None
    if len(plain) > most:
        raise too_large(most)
    if not unpacker.eof:
        raise _bad("the packed body is cut short")
    return plain


def too_large(most: int) -> RequestEntityTooLarge:
    """413 with the limit."""
    return RequestEntityTooLarge(f"the body is larger than {most} bytes")


def _bad(message: str) -> HTTPException:
    from werkzeug.exceptions import BadRequest

    return BadRequest(message)


def same_site(request: Request) -> None:
    """Refuse what another site's page sends with a visitor's browser. Raises 403."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise Forbidden("requests from other sites are not accepted")
    origin = request.headers.get("Origin")
    if origin and origin != "null" and urlsplit(origin).netloc != request.host:
        raise Forbidden("requests from other sites are not accepted")
    if origin == "null" and request.mimetype in {"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}:
        raise Forbidden("requests from other sites are not accepted")


def media(request: Request, *allowed: str) -> str:
    """The body's media type, or 415."""
    given = request.mimetype
    if given in allowed:
        return given
    raise UnsupportedMediaType(f"expected a body of type {' or '.join(allowed)}")


class Pace:
    """How many requests a second one address may send: a bucket that holds a second's worth and refills steadily."""

    def __init__(self, per_second: float | None) -> None:
        self._rate = per_second
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> None:
        """Raises 429 when the bucket is empty."""
        if self._rate is None:
            return
        now = time.monotonic()
        most = max(self._rate, 1.0)
        with self._lock:
            left, last = self._buckets.get(client, (most, now))
            left = min(most, left + (now - last) * self._rate)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.clear()
            self._buckets[client] = (max(left - 1, -1.0) if left >= 1 else left, now)
        if left < 1:
            raise busy("too many requests from this address", (1 - left) / self._rate)


def busy(message: str, seconds: float = 1.0) -> TooManyRequests:
    """429 with the time to wait."""
    return TooManyRequests(message, retry_after=max(1, round(seconds)))

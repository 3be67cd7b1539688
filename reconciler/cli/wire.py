"""The little of HTTP/1.1 that the command line speaks: one request at a time, kept alive, answers whole or line by line.

http.client does this too, but takes 15 ms to import (through the e-mail package), a third of what `anneal get` may take in all.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from io import BufferedReader

CONNECT_SECONDS = 10.0
MAX_LINE = 64 << 10
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: .*)?\r?\n")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:")


class WireError(Exception):
    """What came back is no HTTP answer, or the connection ended in the middle of one."""


def quote(text: str) -> str:
    """Percent-encode for a path or a query; slashes and colons stay."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def _ascii(host: str) -> bytes:
    return host.encode("ascii" if host.isascii() else "idna")


class Connection:
    """One TCP (and TLS) connection. Raises OSError where the network fails, WireError where the peer makes no sense."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, tls_name: str | None = None) -> None:
        # Names as bytes: as texts they would load the tables of international domain names.
        raw = socket.create_connection((_ascii(host), port), CONNECT_SECONDS)  # type: ignore[arg-type]
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket: socket.socket = tls.wrap_socket(raw, server_hostname=_ascii(tls_name or host)) if tls else raw
        except BaseException:
            raw.close()
            raise
        self._file: BufferedReader = self._socket.makefile("rb")
        self._host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, seconds: float | None) -> Answer:
        """Send a request and read the head of the answer. `seconds` bounds each wait for bytes; None waits for ever."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", *(f"{name}: {value}" for name, value in headers.items())]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines)
        if "\n" in head.replace("\r\n", "") or not head.isascii():
            raise WireError("a header holds what no header may hold; check the token in the kubeconfig")
        self._socket.settimeout(seconds)
        self._socket.sendall(head.encode() + b"\r\n\r\n" + (body or b""))
        while True:
            answer = Answer(self._file)
            if answer.status >= 200:
                return answer


class Answer:
    """Status and headers (names in lower case); the body is still on the wire."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        if not (line := self._line()):
            raise WireError("the server hung up without an answer")
        if not (found := _STATUS.fullmatch(line)):
            raise WireError("the server does not speak HTTP")
        self.status = int(found[1])
        self.headers: dict[str, str] = {}
        while (line := self._line()).strip():
            name, _, value = line.partition(b":")
            self.headers[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length", "")
        self._left = int(length) if length.isdecimal() else None
        if self.status in (204, 304) or self.status < 200:
            self._chunked, self._left = False, 0

    @property
    def keeps_alive(self) -> bool:
        """True if another request may follow on the same connection once this answer was read."""
        return self.headers.get("connection", "").lower() != "close" and (self._chunked or self._left is not None)

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self._pieces())

    def lines(self) -> Iterator[bytes]:
        """The body line by line, each as soon as it came; a last line without its end, too."""
        rest = b""
        for piece in self._pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def _pieces(self) -> Iterator[bytes]:
        if self._chunked:
            while size := self._size():
                yield self._exactly(size)
                self._line()
            while self._line().strip():  # trailers
                pass
        elif self._left is not None:
            yield self._exactly(self._left)
        else:
            while piece := self._file.read1(64 << 10):
                yield piece

    def _size(self) -> int:
        try:
            return int(self._line().split(b";")[0], 16)
        except ValueError as error:
            raise WireError("the connection ended in the middle of an answer") from error

    def _exactly(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        if len(data) != size:
            raise WireError("the connection ended in the middle of an answer")
        return data

    def _line(self) -> bytes:
        line: bytes = self._file.readline(MAX_LINE)
        if len(line) == MAX_LINE:
            raise WireError("the server sends a header without end")
        return line

"""One gRPC call as bytes on a socket: enough to see whether a server lets a stranger in. (gRPC's own library is not needed here.)

Frames and header coding: RFC 9113, RFC 7541; a call's request and its trailers: the gRPC protocol over HTTP/2.
"""

from __future__ import annotations

import re
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NOTHING = b"\0\0\0\0\0"
"""An empty message: not compressed, no bytes."""


def call(port: int, method: str, headers: dict[str, str] | None = None, seconds: float = 5) -> tuple[int | None, bytes]:
    """Call `/package.Service/Method` on loopback with an empty message: the status (None: none was told) and all that came."""
    said = {":method": "POST", ":scheme": "http", ":path": method, ":authority": f"127.0.0.1:{port}", "te": "trailers"}
    said |= {"content-type": "application/grpc", **(headers or {})}
    came = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(PREFACE + _frame(SETTINGS, 0, 0) + _frame(HEADERS, END_HEADERS, 1, _coded(said)))
        connection.sendall(_frame(DATA, END_STREAM, 1, NOTHING))
        try:
            while (found := _status(came)) is None:
                if not (more := connection.recv(65536)):
                    break
                came += more
        except (TimeoutError, ConnectionError):
            found = None
    return found, came


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _coded(headers: dict[str, str]) -> bytes:
    """Each as a literal without indexing; none is longer than 126 bytes."""
    words = [(name.encode(), value.encode()) for name, value in headers.items()]
    return b"".join(b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in words)


def _status(came: bytes) -> int | None:
    """What stands behind grpc-status, which servers write as it is, without Huffman's code."""
    found = re.search(rb"grpc-status(.)(\d+)", came, re.DOTALL)
    return int(found[2][: found[1][0]]) if found else None

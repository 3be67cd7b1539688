"""The way back on one machine: each web process listens on a Unix socket, and workers write their answers there.

A frame is four bytes of length, then JSON. Sockets are reached through /proc/self/fd, since a path to one may have 107 bytes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

LENGTH = struct.Struct(">I")
MAX_FRAME = 512 * 1024 * 1024
SEND_SECONDS = 5.0
"""A web process that does not read for so long is given up."""


@contextlib.contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)


class Inbox:
    """The socket of one web process. Calls `deliver` with each answer, from one thread."""

    def __init__(self, folder: Path, name: str, deliver: Callable[[bytes], None]) -> None:
        self.address = f"unix:{name}"
        self._deliver = deliver
        self._path = folder / name
        folder.mkdir(parents=True, exist_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short(folder, name) as path:
            self._server.bind(path)
        self._server.listen(64)
        self._path.chmod(0o600)
        Thread(target=self._run, name="replies", daemon=True).start()

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._server, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    with contextlib.suppress(OSError):
                        connection, _ = self._server.accept()
                        selector.register(connection, selectors.EVENT_READ, bytearray())
                elif not self._read(key.fileobj, key.data):  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]

    def _read(self, connection: socket.socket, buffer: bytearray) -> bool:
        try:
            chunk = connection.recv(1 << 20)
        except OSError:
            return False
        if not chunk:
            return False
        buffer += chunk
        while len(buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer)
            if length > MAX_FRAME:
                return False
            if len(buffer) < LENGTH.size + length:
                break
            frame = bytes(buffer[LENGTH.size : LENGTH.size + length])
            del buffer[: LENGTH.size + length]
            self._deliver(frame)
        return True

    def close(self) -> None:
        """Remove the socket: answers that come later have no taker."""
        self._path.unlink(missing_ok=True)


class Outbox:
    """A worker's end: one kept connection to each web process that asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, socket.socket] = {}

    def send(self, address: str, body: bytes) -> bool:
        """Write an answer; False if its web process is gone. Its client is gone with it, so nobody is waiting."""
        name = address.removeprefix("unix:")
        for _ in range(2):
            try:
                connection = self._open.get(name) or self._connect(name)
                connection.sendall(LENGTH.pack(len(body)) + body)
                return True
            except OSError:
                if gone := self._open.pop(name, None):
                    gone.close()
        return False

    def _connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(SEND_SECONDS)
        try:
            with _short(self._folder, name) as path:
                connection.connect(path)
        except OSError:
            connection.close()
            raise
        self._open[name] = connection
        return connection

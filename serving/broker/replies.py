"""The way back: to a Unix socket of each web process on one machine, else to it through Redis.

There an answer is published to who listens: it need not be kept, nor be waited for until it is on a disk. Where nobody hears it,
as when a connection just broke, it is put on a list.

A frame of a socket is four bytes of length, then JSON. Sockets are reached through /proc/self/fd, since a path to one may have
107 bytes.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import structlog

from serving.config import Config

log = structlog.get_logger(__name__)


class Inbox(Protocol):
    """Where a web process hears the answers to its messages."""

    address: str
    """What messages name as the place to answer to."""

    def close(self) -> None:
        """No more answers are expected."""


class Outbox(Protocol):
    """Where a worker answers."""

    def send(self, address: str, body: bytes) -> bool:
        """Send an answer; False if who asked is gone. Its client is gone with it, so nobody is waiting."""


def inbox(config: Config, deliver: Callable[[bytes], None]) -> Inbox:
    """Listen for this process; `deliver` is called from threads of its own, now and then twice with an answer."""
    name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return SocketInbox(config.replies_folder, name, deliver) if config.one_machine else RedisInbox(config, name, deliver)


def outbox(config: Config) -> Outbox:
    """Answer for this process."""
    return SocketOutbox(config.replies_folder) if config.one_machine else RedisOutbox(config)


LENGTH = struct.Struct(">I")
MAX_FRAME = 512 * 1024 * 1024
SEND_SECONDS = 5.0
"""A web process that does not read for so long is given up."""
PAUSE_SECONDS = 0.5
POP_SECONDS = 1
KEPT_SECONDS = 120


@contextlib.contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)


class SocketInbox:
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


class SocketOutbox:
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


class RedisInbox:
    """A channel of Redis that this process listens to, and a list of the same name that it pops from."""

    def __init__(self, config: Config, name: str, deliver: Callable[[bytes], None]) -> None:
        self.address = f"redis:{prefix(config)}:replies:{name}"
        self._client = client(config.results, POP_SECONDS + SEND_SECONDS)
        self._deliver, self._over = deliver, False
        Thread(target=self._listen, name="replies", daemon=True).start()
        Thread(target=self._pop, name="replies-kept", daemon=True).start()

    def _listen(self) -> None:
        from redis.exceptions import NoPermissionError

        channel = self.address.removeprefix("redis:")
        heard = time.monotonic()
        with self._client.pubsub() as listener:
            while not self._over:
                try:
                    if not listener.subscribed:
                        listener.subscribe(channel)
                    found = listener.get_message(timeout=POP_SECONDS)
                    if found:
                        heard = time.monotonic()
                    elif time.monotonic() < heard + SEND_SECONDS:
                        listener.ping()
                    else:  # not even an answer to our questions: the next look connects anew, and is given as long
                        listener.connection.disconnect()
                        heard = time.monotonic()
                except NoPermissionError as error:  # all answers come by the list then
                    log.warning("replies.unheard", error=f"{error}; allow this user of Redis the channels anneal:*, for speed")
                    return
                except Exception:  # Redis is away; the next look connects and listens again
                    time.sleep(PAUSE_SECONDS)
                    continue
                if found and found["type"] == "message":
                    self._deliver(found["data"])

    def _pop(self) -> None:
        connection = self._client.connection_pool.make_connection()  # bare: a client takes longer over it than Redis does
        pop = connection.pack_command("BLPOP", self.address.removeprefix("redis:"), POP_SECONDS)
        asked = False
        while not self._over:
            found = None
            try:
                if not asked:
                    connection.send_packed_command(pop)
                found = connection.read_response()
                connection.send_packed_command(pop)  # Redis looks for the next one meanwhile
                asked = True
            except Exception:  # Redis is away: who waits gets 503 at the end of its patience
                connection.disconnect()
                asked = False
                if not found:
                    time.sleep(PAUSE_SECONDS)
            if found:
                self._deliver(found[1])
        connection.disconnect()

    def close(self) -> None:
        """Stop listening."""
        self._over = True


class RedisOutbox:
    """Publishes to who asked, or puts it on its list. For one thread."""

    def __init__(self, config: Config) -> None:
        self._connection = client(config.results).connection_pool.make_connection()
        self._publishes = True

    def send(self, address: str, body: bytes) -> bool:
        """Send an answer; a list goes by itself when nobody pops it. Over a connection that was closed it is sent once more: who
        asked takes the first of two."""
        from redis.exceptions import NoPermissionError

        name, heard = address.removeprefix("redis:"), 0
        if self._publishes:
            try:
                heard = self._ask(("PUBLISH", name, body))
            except NoPermissionError:
                self._publishes = False
        if not heard:
            self._ask(("RPUSH", name, body), ("EXPIRE", name, KEPT_SECONDS))
        return True

    def _ask(self, *commands: tuple[Any, ...]) -> Any:
        from redis.exceptions import ConnectionError

        packed = self._connection.pack_commands(commands)
        try:
            return self._once(packed, len(commands))
        except ConnectionError:
            return self._once(packed, len(commands))

    def _once(self, packed: list[bytes], answers: int) -> Any:
        try:
            self._connection.send_packed_command(packed)
            first, *_ = [self._connection.read_response() for _ in range(answers)]
            return first
        except BaseException:  # what is still unread would be taken for the answer to the next
            self._connection.disconnect()
            raise


def client(url: str, seconds: float = 1.5) -> Any:
    """A client of Redis that gives up after so many seconds. A connection that was closed is made once more, a timeout is not."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url, socket_connect_timeout=min(seconds, 1.5), socket_timeout=seconds, health_check_interval=30,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )  # fmt: skip


def prefix(config: Config) -> str:
    """Before every key, so that deployments can share a Redis."""
    return f"anneal:{config.namespace}:{config.name}"

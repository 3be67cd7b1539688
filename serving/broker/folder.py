"""The embedded broker: a kombu transport over a folder, for deployments with no server at all.

It stands beside kombu's own filesystem transport, which forgets a message when it is read, can read one that is half written, and
polls. Here a message that was taken and not acknowledged comes back when its taker is gone, as on RabbitMQ, with its count of
deliveries; and who waits is woken by a bell.

    queues/<queue>/<time>-<id>.<deliveries>.msg    to be taken; the first line is the envelope, the rest the body
    queues/<queue>/bells/<pid>-<n>                 a FIFO of each waiting consumer
    held/<holder>/<queue>@<name>                   taken and not acknowledged; held/<holder>.lock is locked while the holder lives

Every step is one rename, so it happens or it does not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import time
import uuid
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

import orjson
from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, virtual

SCHEME = "folder"
QUEUE = re.compile(r"\A[A-Za-z0-9._-]{1,128}\Z")
WAIT_SECONDS = 0.5
"""A consumer looks by itself so often, should a bell have been missed, and looks for the messages of the dead."""


class Holder:
    """Who takes messages: a folder of what it has in hand, locked for as long as its process lives.

    The lock is of the POSIX kind, which a forked child does not share: it falls with the process that took the messages.
    """

    def __init__(self, root: Path) -> None:
        self.held = root / "held"
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.folder = self.held / self.name
        self.folder.mkdir(parents=True)
        fresh = self.held / f"{self.name}.new"
        self._lock = os.open(fresh, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(self.held / f"{self.name}.lock")  # nobody sees it unlocked

    def close(self) -> None:
        """Let go of the lock. What is still in hand can be taken by others from now on."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
            (self.held / f"{self.name}.lock").unlink()
        os.close(self._lock)

    def dead(self) -> list[Path]:
        """The folders of holders whose process is gone."""
        ours = f"{os.getpid()}-"  # a lock of this process would seem free, and be freed
        return [lock.with_suffix("") for lock in self.held.glob("*.lock") if not lock.stem.startswith(ours) and _free(lock)]


def _free(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


class Channel(virtual.Channel):
    """Queues as folders."""

    body_encoding = None
    do_restore = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.root = Path(self.connection.client.transport_options["folder"])
        self._ahead: dict[str, deque[str]] = {}
        self._in_hand: dict[str, Path] = {}
        self._holder: Holder | None = None
        self._next_look = 0.0
        for sub in ("queues", "held", "new"):
            (self.root / sub).mkdir(parents=True, exist_ok=True)

    def _queue(self, queue: str) -> Path:
        if not QUEUE.match(queue) or not queue.strip("."):
            raise ChannelError(f"cannot use the queue name {queue!r}: letters, digits, dots, dashes and underscores only")
        return self.root / "queues" / queue

    def _new_queue(self, queue: str, **_: Any) -> None:
        (self._queue(queue) / "bells").mkdir(parents=True, exist_ok=True)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return self._queue(queue).is_dir()

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        folder = self._queue(queue)
        body = message.pop("body")
        name = f"{time.time_ns():020d}-{message['properties']['delivery_tag']}.0.msg"
        fresh = self.root / "new" / name
        try:
            fresh.write_bytes(orjson.dumps(message) + b"\n" + (body.encode() if isinstance(body, str) else body))
            try:
                fresh.rename(folder / name)
            except FileNotFoundError:
                self._new_queue(queue)
                fresh.rename(folder / name)
        except OSError as error:
            raise ChannelError(f"cannot put a message on {queue}: {error.strerror}; free the disk and try again") from error
        ring(folder)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        folder = self._queue(queue)
        holder = self._holder or self._hold()
        ahead = self._ahead.setdefault(queue, deque())
        for _ in range(2):
            while ahead:
                name = ahead.popleft()
                taken = holder.folder / f"{queue}@{name}"
                try:
                    (folder / name).rename(taken)
                    return self._read(taken)
                except FileNotFoundError:  # another consumer was faster, or somebody removed our own folder
                    if not holder.folder.is_dir():
                        holder = self._hold()
            with contextlib.suppress(FileNotFoundError):
                ahead.extend(sorted(name for name in os.listdir(folder) if name.endswith(".msg")))
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + WAIT_SECONDS
            self.bring_back()
        raise Empty

    def _read(self, taken: Path) -> dict[str, Any]:
        envelope, _, body = taken.read_bytes().partition(b"\n")
        message: dict[str, Any] = orjson.loads(envelope)
        message["body"] = body.decode()
        stem, count, _ = taken.name.rsplit(".", 2)
        deliveries = int(count)
        message["properties"]["delivery_info"]["redelivered"] = deliveries > 0
        message["headers"]["x-delivery-count"] = deliveries
        self._in_hand[stem.rpartition("@")[2].partition("-")[2]] = taken
        return message

    def _hold(self) -> Holder:
        if self._holder:
            self._holder.close()
        self._holder = Holder(self.root)
        return self._holder

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """It is done: forget it."""
        super().basic_ack(delivery_tag, multiple)
        if taken := self._in_hand.pop(delivery_tag, None):
            taken.unlink(missing_ok=True)
        self.connection.wake()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """It is not done: put it back, or forget it."""
        super().basic_reject(delivery_tag, requeue)
        if taken := self._in_hand.pop(delivery_tag, None):
            taken.unlink(missing_ok=True)
        self.connection.wake()

    def _restore(self, message: Any) -> None:
        if taken := self._in_hand.pop(message.delivery_tag, None):
            self._back(taken)

    def bring_back(self) -> int:
        """Put back what dead consumers had in hand; their number."""
        holder, count = self._holder or self._hold(), 0
        for folder in holder.dead():
            for taken in sorted(folder.glob("*.msg")):
                with contextlib.suppress(FileNotFoundError):
                    self._back(taken)
                    count += 1
            with contextlib.suppress(OSError):
                folder.rmdir()
                folder.with_name(f"{folder.name}.lock").unlink()
        return count

    def _back(self, taken: Path) -> None:
        queue, _, name = taken.name.partition("@")
        stem, count, suffix = name.rsplit(".", 2)
        taken.rename(self._queue(queue) / f"{stem}.{int(count) + 1}.{suffix}")
        ring(self._queue(queue))

    def _purge(self, queue: str) -> int:
        names = list(self._queue(queue).glob("*.msg"))
        for path in names:
            path.unlink(missing_ok=True)
        return len(names)

    def _size(self, queue: str) -> int:
        return sum(1 for _ in self._queue(queue).glob("*.msg"))

    def close(self) -> None:
        """Give back what is in hand, and let go."""
        super().close()
        if self._holder:
            self._holder.close()
            self._holder = None


class Transport(virtual.Transport):
    """Wakes at a bell instead of polling."""

    Channel = Channel
    driver_type = driver_name = SCHEME
    polling_interval = None
    default_port = 0

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self._bells: dict[str, tuple[Path, int]] = {}
        self._own: tuple[int, int] | None = None

    def wake(self) -> None:
        """End the wait of this transport's consumer: an acknowledgement made room."""
        if self._own:
            with contextlib.suppress(OSError):
                os.write(self._own[1], b".")

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver the next message, or raise socket.timeout."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            bells = self._listen()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                left = WAIT_SECONDS if end is None else min(WAIT_SECONDS, end - time.monotonic())
            if left <= 0:
                raise TimeoutError
            rung = select.select(bells, [], [], left)[0]
            for handle in rung:
                with contextlib.suppress(BlockingIOError):
                    os.read(handle, 4096)
            if not rung:
                self._check_bells()

    def _listen(self) -> list[int]:
        """The bells of the queues that are consumed. They stand before the queue is looked at, so that nothing is missed."""
        if self._own is None:
            self._own = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for channel in self.channels:
            for queue in channel._active_queues:
                if queue not in self._bells:
                    folder = channel._queue(queue) / "bells"
                    folder.mkdir(parents=True, exist_ok=True)
                    fifo = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
                    os.mkfifo(fifo, 0o600)
                    self._bells[queue] = fifo, os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return [self._own[0], *(handle for _, handle in self._bells.values())]

    def _check_bells(self) -> None:
        """A bell that somebody removed is hung up again."""
        for queue, (fifo, handle) in list(self._bells.items()):
            if not fifo.exists():
                os.close(handle)
                del self._bells[queue]

    def close_connection(self, connection: Any) -> None:
        """Let go of everything."""
        super().close_connection(connection)
        for _, handle in self._bells.values():
            os.close(handle)
        self._bells.clear()
        if self._own:
            for handle in self._own:
                os.close(handle)
            self._own = None


def ring(folder: Path) -> None:
    """Wake who waits for this queue. A bell that nobody listens to is taken down."""
    try:
        names = os.listdir(folder / "bells")
    except FileNotFoundError:
        return
    for name in names:
        bell = folder / "bells" / name
        try:
            handle = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            bell.unlink(missing_ok=True)
            continue
        with contextlib.suppress(OSError):  # full: it rings already
            os.write(handle, b".")
        os.close(handle)


def register() -> None:
    """Make kombu know the scheme."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


__all__ = ["SCHEME", "Channel", "Holder", "Transport", "register", "ring"]

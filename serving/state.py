"""Each process says how it is in a file of its own, state/<unit>.json. The age of the file is the heartbeat."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson

BEAT_SECONDS = 2.0
"""How often a living process touches its file."""


@dataclass(slots=True)
class State:
    """The file of this process. Written whole and renamed, so that a reader never sees half of it."""

    file: Path
    revision: int | None = None
    digest: str | None = None
    ready: bool = False
    message: str = ""
    since: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    _over: Event = field(default_factory=Event)

    def say(self, *, ready: bool, message: str = "") -> None:
        """Write it down; `since` is when `ready` last changed."""
        if not self.since or ready != self.ready:
            self.since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.ready, self.message = ready, message
        body = {
            "pid": os.getpid(), "ready": ready, "revision": self.revision, "digest": self.digest,
            "since": self.since, "message": message, **self.extra,
        }  # fmt: skip
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(f".{os.getpid()}.new")
        fresh.write_bytes(orjson.dumps(body))
        fresh.replace(self.file)

    def beat(self) -> None:
        """Touch the file every two seconds from a thread, until `stop`."""

        def run() -> None:
            while not self._over.wait(BEAT_SECONDS):
                with contextlib.suppress(OSError):
                    os.utime(self.file)

        Thread(target=run, name="heartbeat", daemon=True).start()

    def stop(self, message: str = "stopped") -> None:
        """Say that it is over."""
        self._over.set()
        with contextlib.suppress(OSError):
            self.say(ready=False, message=message)

"""A crowd that asks one web app at a steady rate, whatever happens meanwhile, and remembers every answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(slots=True)
class Load:
    """Asks from entering the block to leaving it; `rate` requests a second are due, each at its own moment.

    Who is late asks at once, so the rate holds on the average; `askers` is how many requests may be on their way.
    """

    url: str
    row: dict[str, Any]
    rate: float = 60.0
    askers: int = 64
    seconds: float = 0.0
    """How long it took, once it is over."""
    revisions: Counter[int] = field(default_factory=Counter)
    """How many answers came from which revision."""
    failures: list[str] = field(default_factory=list)
    """What was no answer."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _sent: int = 0

    @property
    def answered(self) -> int:
        """How many requests were answered with a prediction."""
        return self.revisions.total()

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()

    async def _run(self) -> None:
        began = time.monotonic()
        limits = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(self._ask_on(session, began) for _ in range(self.askers)))
        self.seconds = time.monotonic() - began

    async def _ask_on(self, session: aiohttp.ClientSession, began: float) -> None:
        while not self._ended.is_set():
            due = began + self._sent / self.rate
            self._sent += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                async with session.post(f"{self.url}/predict", json={"rows": [self.row]}) as response:
                    said = await response.text()
                    if response.status != 200:
                        self.failures.append(f"{response.status}: {said[:200]}")
                        continue
                    found = await response.json()
                    assert found["predictions"][0]["prediction"], said
                    self.revisions[found["model"]["revision"]] += 1
            except (aiohttp.ClientError, TimeoutError, AssertionError, KeyError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")

"""Crash points: kill -9 at a chosen write or call, so that tests can prove that a crash anywhere leads to the same end.

Inert unless one of two variables is set when the first point is reached:

ANNEAL_CRASH_AT="<k>:<before|sent|after>"  SIGKILL at the k-th point (from 1): before it is sent; once the other side did it and
                                           nothing of the answer was kept; or with the answer in hand, at the next await.
                                           In place of <k>, a label: "@create web" is the first point whose label begins so, and
                                           "@delete web#2" the second; "@call" is the first call, whatever it is.
ANNEAL_CRASH_COUNT=FILE                    append one JSON line {"k", "kind", "label"} per point: a clean run learned.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NoReturn

Kind = Literal["write", "call"]
PHASES = ("before", "sent", "after")


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")


class _Nowhere:
    """The point of a process that is not to be killed."""

    __slots__ = ()

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


_NOWHERE = _Nowhere()


@dataclass(slots=True)
class _Point:
    """One mutating call or store write, between its two ends."""

    phase: str | None
    """In which phase this very point kills; None if it does not."""

    def __enter__(self) -> None:
        if self.phase == "before":
            _die()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.phase == "sent":
            _die()
        if self.phase == "after":
            try:
                asyncio.get_running_loop().call_soon(_die)
            except RuntimeError:
                _die()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)


@dataclass(slots=True)
class CrashPlan:
    """Which point kills, and where points are written down."""

    at: int | None = None
    phase: str | None = None
    count_file: str | None = None
    label: str | None = None
    """With it, `at` counts only points whose label begins so, or whose kind it is."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _same: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> CrashPlan | None:
        """Read the two variables; None if neither is set, ValueError if the first makes no sense."""
        text, count_file = env.get("ANNEAL_CRASH_AT"), env.get("ANNEAL_CRASH_COUNT")
        if not text:
            return cls(count_file=count_file) if count_file else None
        which, _, phase = text.rpartition(":")
        label, _, number = which[1:].partition("#") if which.startswith("@") else (None, "", which)
        number = number or ("1" if label else "")
        if not number.isdecimal() or int(number) < 1 or phase not in PHASES:
            raise ValueError(f"cannot read ANNEAL_CRASH_AT={text!r}: expected <number>:<{'|'.join(PHASES)}>, such as 3:sent")
        return cls(int(number), phase, count_file, label)

    def reach(self, kind: Kind, label: str) -> _Point:
        """Count one more point."""
        k = next(self._numbers)
        if self.count_file:
            line = json.dumps({"k": k, "kind": kind, "label": label}) + "\n"
            file = os.open(self.count_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
        if self.label is not None:
            k = next(self._same) if label.startswith(self.label) or kind == self.label else 0
        return _Point(self.phase if k == self.at else None)


@functools.cache
def _plan() -> CrashPlan | None:
    return CrashPlan.from_env(os.environ)


def point(kind: Kind, label: str = "") -> _Point | _Nowhere:
    """Wrap one driver mutation ("call") or one store write ("write"): `async with crash.point("call", "create server"): …`."""
    plan = _plan()
    return plan.reach(kind, label) if plan is not None else _NOWHERE

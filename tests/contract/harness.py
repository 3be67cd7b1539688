"""What the contract suite asks of whoever brings a driver: make one, and make its world behave in certain ways.

A driver that passes the suite is one that the engine can trust. A harness that cannot fake something says so in `cannot`, with
the reason; the tests that need it are then not generated for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from drivers.contract import Driver, Fence, Intent, Owner, Step

INSTALLATION = "installation-1"
F = TypeVar("F", bound=Callable[..., Any])


class Hook(StrEnum):
    """What a harness may be able to do to the driver's world."""

    CREATE = "create"
    """The driver makes and removes things at all."""
    UPDATE = "update"
    """There is something that can be changed in place."""
    COUNT = "count"
    """Count the mutating requests and the reads that arrived."""
    LOSE_ANSWERS = "lose answers"
    """Lose an answer before or after the deed: `broken` with drop_before, drop_after, ack_then_500, hang_after."""
    REFUSE = "refuse"
    """Refuse: `broken` with unauthorized, forbidden, quota, …"""
    BLIND = "blind"
    """Answer reads with errors or nonsense: `broken` with unavailable, garbage, hang, …"""
    OTHER_VIEW = "other view"
    """Show another project's things."""
    EMPTY_LISTS = "empty lists"
    """Answer lists with nothing, in good health."""
    LATE = "late visibility"
    """Show what was created only after a while."""
    MEDDLE = "meddle"
    """Do what people do: make things by any name and tag, strip tags, break, remove."""
    ROTATE = "rotate"
    """Change the credentials while the driver runs."""
    UNREACHABLE = "unreachable"
    """A place where nobody listens."""
    TWICE = "twice"
    """Let the very same thing be made twice."""
    SEVERAL_AT_ONCE = "several at once"
    """Count the reads that a hundred owners cause who ask at once."""
    NAMES = "names"
    """Things get the name that the intent says."""
    PARTS = "parts"
    """One owner may have several things of this kind."""


class Harness(Protocol):
    """One driver and its world. `reset` makes both new."""

    name: str
    part: str
    """The name of a part that this driver makes."""
    cannot: Mapping[Hook, str]
    """What it cannot fake, and why not."""

    def reset(self) -> None:
        """A new world."""

    def driver(self, *, fence: Fence = ..., endpoint: str | None = None, call_seconds: float = ...) -> Driver[Any]:
        """A driver of that world, closed by the suite."""

    def create(self, owner: Owner, part: str | None = None) -> tuple[Step, Intent]:
        """A create that would succeed."""

    def update(self, ref: str) -> tuple[Step, Callable[[Any], bool]]:
        """A change in place, and how one sees in `live` that it took place."""

    def broken(self, fault: str, **more: Any) -> None:
        """Misbehave from now on."""

    def honest(self) -> None:
        """Behave again."""

    def pass_time(self, seconds: float) -> None:
        """Let the world's time pass."""

    def meddle(self, verb: str, ref: str = "", **fields: Any) -> str:
        """create, change or delete something behind everybody's back; returns its id."""

    def tags(self, owner: Owner, part: str) -> Mapping[str, Any]:
        """The fields that tag a thing as this owner's, for `meddle`."""

    def rotate(self, *, told: bool) -> None:
        """Change the token; the driver's token source knows it if `told`."""

    def refs(self) -> list[str]:
        """The ids of all things of this kind that there are."""

    def mutations(self) -> int:
        """How many mutating requests arrived since the last reset."""

    def reads(self) -> int:
        """How many reads of this kind arrived since the last reset."""

    secret: str
    """What must never be seen in an error."""


def needs(*hooks: Hook) -> Callable[[F], F]:
    """Say which hooks a test needs."""

    def mark(test: F) -> F:
        test.needs = hooks  # type: ignore[attr-defined]
        return test

    return mark


def owner(name: str = "a", uid: str = "0b5f3f0e-1111-4222-8333-000000000001", installation: str = INSTALLATION) -> Owner:
    """An owner for tests."""
    return Owner(installation, "Machine", "default", name, uid)

"""What a kind tells the engine. Everything but `drivers` is pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from drivers.contract import Driver, Plan, Seen, Wait
from reconciler.client import ResourceId
from specs.meta import Reason, Resource

R = TypeVar("R", bound=Resource)


class Key(NamedTuple):
    """One object: what the queue holds. Never an event."""

    plural: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.plural}/{self.namespace}/{self.name}"


class Reference(NamedTuple):
    """Another object that this one needs: when it changes, this one is looked at again."""

    resource: ResourceId
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition as a kind says it; the engine adds generation and times."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str = ""


class Kind(Protocol[R]):
    """One kind of object. The engine calls these in the order in which they stand here."""

    @property
    def resource(self) -> type[R]:
        """The model of its objects."""

    def references(self, obj: R) -> Iterable[Reference]:
        """Name the objects that this one needs."""

    def provider(self, obj: R) -> str:
        """Name the account that its parts live in: the breaker counts by it."""

    def finalizes(self, obj: R) -> bool:
        """Say whether anything outside can exist that must be removed before the object may go."""

    async def drivers(self, obj: R) -> Mapping[str, Driver[Any]]:
        """Map each part, wanted or recorded, to the driver that looks after it. MAY read Secrets; raises DriverError."""

    def imported(self, obj: R) -> Mapping[str, str]:
        """Map parts that somebody else made to their external ids. They are looked at, never touched."""

    def resolve(self, obj: R) -> Mapping[str, Any] | None:
        """The inputs that will be used, stored in status.resolved before anything is created; None if there are none."""

    def plan(self, obj: R, seen: Seen, now: datetime) -> Plan:
        """Say the next steps from what is seen to what is wanted."""

    def teardown(self, obj: R, seen: Seen, now: datetime) -> Plan:
        """Say the next steps to nothing being left. Done once every part was seen to be absent."""

    def status(self, obj: R, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """The kind's own fields of status, complete. A field that cannot be told now is left out and stays as it is."""

    def verdicts(self, obj: R, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Its conditions, `Ready` among them."""


@runtime_checkable
class Resolves(Protocol):
    """A kind whose inputs have to be asked for outside, such as the id behind a name. Then this takes the place of `resolve`."""

    async def look_up(self, obj: Any) -> Mapping[str, Any] | None:
        """The inputs that will be used. MUST NOT ask again for what status.resolved already answers; raises DriverError."""


@runtime_checkable
class Spares(Protocol):
    """A kind that may hold back a remedy although one is due, by what else of its objects is in need of one."""

    async def spare(self, obj: Any) -> Wait | None:
        """Why nothing is replaced now; None if it may be. Asked right before each step that remedies; MAY read other objects."""

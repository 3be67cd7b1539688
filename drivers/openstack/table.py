"""What all OpenStack drivers share: look in one table by tag and by id, carry the tag in the create, remove by id."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import quote

import orjson

from drivers.contract import Ambiguous, Intent, Observation, Owner, Step, Survey, Unknown, Unreachable
from drivers.judging import Thing
from drivers.openstack.client import Answer, CloudClient
from drivers.openstack.live import marks_of
from drivers.openstack.marks import Marks
from drivers.snapshot import SharedList

Live = TypeVar("Live")

ALONE, THINGS_PER_CALL = 2, 50
"""Fewer than elsewhere: Nova asks Neutron twice for each question about servers, so one takes as long as seven of a list. Fifty
that build, looked at alone each second, took more of a cloud than building them did."""


class TableDriver(ABC, Generic[Live]):
    """One table of one service. Subclasses say how a thing is read, made and changed.

    A create sends Step.change with name and tags; an update does what the subclass's `update` makes of Step.change.
    """

    singular: ClassVar[str]
    service: ClassVar[str]
    table: ClassVar[str]
    """The key of the list in an answer, such as floatingips."""
    path: ClassVar[str]
    sick: ClassVar[tuple[str, ...]] = ()
    """States in which a thing is not worth keeping when there are two."""
    narrows: ClassVar[bool] = False
    """Whether the service can list one owner's things alone. Where it cannot, all who ask at a time share one list."""

    def __init__(self, client: CloudClient, *, installation: str, settle_seconds: float) -> None:
        self.name = f"openstack/{self.singular}@{client.name}"
        self.settle_seconds = settle_seconds
        self._client, self._installation = client, installation
        self._shared: SharedList[Live] = SharedList(
            self._list, self._of_owner, self._by_id, alone=ALONE if self.narrows else 0, things_per_call=THINGS_PER_CALL
        )

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Live]:
        """See the contract."""
        return await self._shared.observe(owner, ref, after, part)

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract."""
        if step.verb == "create":
            doing = f'create {self.singular} "{intent.name}"'
            method, path, body = await self.creation(step, intent)
            return self.created(doing, await self._client.write(doing, self.service, method, path, body))
        if step.verb == "update" and step.ref:
            service, method, path, body = self.update(step, step.ref, intent)
            doing = f"change {self.singular} {step.ref} ({', '.join(sorted(step.change))})"
            await self._client.write(doing, service, method, path, body)
            return step.ref
        raise ValueError(f"{self.name} applies creates, and updates with a ref, not {step.verb} of {step.ref!r}")

    async def destroy(self, ref: str) -> None:
        """See the contract."""
        await self._client.write(f"delete {self.singular} {ref}", self.service, "DELETE", self.at(ref))

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._shared.survey(self._installation)

    async def inventory(self) -> list[Thing[Live]]:
        """All that carries this installation's tag, as of now, whatever its owner; raises DriverError."""
        snapshot = await self._shared.fresh(time.monotonic())
        return [thing for thing in snapshot.by_ref.values() if thing.owner and thing.installation == self._installation]

    async def close(self) -> None:
        """Forget what was seen and close the connections, which the drivers of one cloud share: they open again when asked."""
        await self._shared.close()
        await self._client.close()

    # --- what subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    async def creation(self, step: Step, intent: Intent) -> tuple[str, str, Any]:
        """Method, path and body of the one call that creates, tags included."""

    @abstractmethod
    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """Service, method, path and body of the one call that changes."""

    @abstractmethod
    def parse(self, row: Mapping[str, Any]) -> Live:
        """A row as a value."""

    def query(self, owner: Owner | None) -> Mapping[str, Any]:
        """What narrows a list to an owner's things, or to the installation's. What else it lets through does no harm."""
        return {}

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """Whose it is."""
        return marks_of(row)

    def unwrapped(self, rows: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        """The rows of a list, without what the service wraps around each."""
        return rows

    def created(self, doing: str, answer: Answer) -> str:
        """The id out of the answer to a create."""
        try:
            return str(next(iter(answer.body.values()))["id"])
        except (AttributeError, KeyError, TypeError, StopIteration) as error:
            raise Ambiguous(f"cannot {doing}: the cloud's answer has no id; looking again") from error

    # --- looking ------------------------------------------------------------------------------------------------------

    def at(self, ref: str) -> str:
        """The path of one thing."""
        return f"{self.path}/{quote(ref, safe='')}"

    def listing(self) -> str:
        """The path of the list."""
        return self.path

    async def _list(self) -> list[Thing[Live]]:
        return await self._rows(f"list {self.table}", None)

    async def _of_owner(self, owner: Owner) -> list[Thing[Live]]:
        return await self._rows(f"list {self.table} of {owner.name}", owner)

    async def _rows(self, doing: str, owner: Owner | None) -> list[Thing[Live]]:
        rows = await self._client.rows(doing, self.service, self.listing(), self.table, self.query(owner))
        return self._things(doing, self.unwrapped(rows))

    async def _by_id(self, ref: str) -> Thing[Live] | None:
        doing = f"look up {self.singular} {ref}"
        answer = await self._client.read(doing, self.service, self.at(ref))
        if answer.status == 404:
            return None
        if not isinstance(answer.body, dict) or len(answer.body) != 1:
            raise Unreachable(f"cannot {doing}: the answer makes no sense; asking again")
        return next(iter(self._things(doing, answer.body.values())), None)

    def _things(self, doing: str, rows: Iterable[Mapping[str, Any]]) -> list[Thing[Live]]:
        try:
            return [thing for row in rows if (thing := self._thing(row)) is not None]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unreachable(f"cannot {doing}: the answer makes no sense ({error!r}); asking again") from error

    def _thing(self, row: Mapping[str, Any]) -> Thing[Live] | None:
        live: Any = self.parse(row)
        marks = self.marks(row)
        healthy = getattr(live, "state", "") not in self.sick
        digest = hash(orjson.dumps(_in_order(row), option=orjson.OPT_SORT_KEYS))
        return Thing(live.id, marks.installation, marks.owner, marks.part, live.created, healthy, digest, live)


def _in_order(value: Any) -> Any:
    """The same with every list sorted: Neutron shows the rules of a group in another order each time."""
    if isinstance(value, Mapping):
        return {key: _in_order(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((_in_order(inner) for inner in value), key=lambda inner: orjson.dumps(inner, option=orjson.OPT_SORT_KEYS))
    return value

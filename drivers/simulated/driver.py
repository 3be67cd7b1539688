"""Servers, ports and addresses of the simulated cloud, as drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson

from drivers.contract import Ambiguous, Intent, Observation, Owner, Step, Survey, Unknown, Unreachable
from drivers.judging import Thing
from drivers.simulated.client import Answer, CloudClient
from drivers.snapshot import SharedList

Live = TypeVar("Live")

OWNER, INSTALLATION, PART, OBJECT = "anneal-owner", "anneal-installation", "anneal-part", "anneal-object"
GONE = ("DELETED",)
SICK = ("ERROR", "DELETING", "SOFT_DELETED")
SLICE = 500


class CloudDriver(Generic[Live]):
    """One table of the cloud. Creates carry name and tags in the same call; Step.change is the rest of the body.

    Updates are sent as Step.change: a server's `metadata` and `ports` (whole), its `state` ("ACTIVE" starts, unpauses, restores);
    an address's `server`.
    """

    def __init__(
        self,
        client: CloudClient,
        singular: str,
        table: str,
        parse: Callable[[Mapping[str, Any]], Live],
        *,
        installation: str,
        settle_seconds: float,
    ) -> None:
        self.name = f"simulated/{singular}@{client.endpoint}"
        self.settle_seconds = settle_seconds
        self._client, self._singular, self._table, self._parse = client, singular, table, parse
        self._installation = installation
        self._shared: SharedList[Live] = SharedList(self._list, self._of_owner, self._by_id)

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Live]:
        """See the contract."""
        return await self._shared.observe(owner, ref, after, part)

    async def apply(self, step: Step, intent: Intent) -> str:
        """See the contract."""
        if step.verb == "create":
            doing = f'create {self._singular} "{intent.name}"'
            body = {**step.change, "name": intent.name, "tags": tags(intent.owner, intent.part)}
            answer = await self._client.write(doing, "POST", f"/{self._table}", body)
            try:
                return str(answer.body["id"])
            except (KeyError, TypeError) as error:
                raise Ambiguous(f"cannot {doing}: the cloud's answer has no id; looking again") from error
        if step.verb == "update" and step.ref:
            await self._client.write(f"change {self._singular} {step.ref}", "PATCH", self._path(step.ref), dict(step.change))
            return step.ref
        raise ValueError(f"{self.name} applies creates, and updates with a ref, not {step.verb} of {step.ref!r}")

    async def destroy(self, ref: str) -> None:
        """See the contract."""
        await self._client.write(f"delete {self._singular} {ref}", "DELETE", self._path(ref))

    async def survey(self) -> Survey | Unknown:
        """See the contract."""
        return await self._shared.survey(self._installation)

    async def close(self) -> None:
        """Forget what was seen and close the connections, which the drivers of one cloud share: they open again when asked."""
        await self._shared.close()
        await self._client.close()

    def _path(self, ref: str) -> str:
        return f"/{self._table}/{quote(ref, safe='')}"

    async def _list(self) -> list[Thing[Live]]:
        return await self._things(await self._client.read(f"list {self._table}", f"/{self._table}"))

    async def _of_owner(self, owner: Owner) -> list[Thing[Live]]:
        query = {f"tag.{OWNER}": owner.uid, f"tag.{INSTALLATION}": owner.installation}
        return await self._things(await self._client.read(f"list {self._table} of {owner.name}", f"/{self._table}", query))

    async def _by_id(self, ref: str) -> Thing[Live] | None:
        answer = await self._client.read(f"look up {self._singular} {ref}", self._path(ref))
        if answer.status == 404:
            return None
        return next(iter(await self._things(Answer(200, {self._table: [answer.body]}))), None)

    async def _things(self, answer: Answer) -> list[Thing[Live]]:
        """Read a list. A long one is read in slices, so that nothing else has to wait for it."""
        things = []
        try:
            for number, row in enumerate(answer.body[self._table]):
                if row.get("state") not in GONE:
                    things.append(self._thing(row))
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreachable(
                f"cannot list {self._table}: the cloud's answer makes no sense ({error!r}); asking again"
            ) from error
        return things

    def _thing(self, row: Mapping[str, Any]) -> Thing[Live]:
        tag = row["tags"]
        return Thing(
            ref=row["id"],
            installation=tag.get(INSTALLATION, ""),
            owner=tag.get(OWNER, ""),
            part=tag.get(PART, ""),
            created=row["created"],
            healthy=row.get("state") not in SICK,
            digest=hash(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)),
            live=self._parse(row),
        )


def tags(owner: Owner, part: str) -> dict[str, str]:
    """What tells our things from others', and one part from another. The last one is for people."""
    return {
        OWNER: owner.uid,
        INSTALLATION: owner.installation,
        PART: part,
        OBJECT: f"{owner.kind}/{owner.namespace}/{owner.name}",
    }

"""What a deployment answers, as its own entry proxy tells it: asked over HTTP, on every node that is up, until one answers.

Tasks that run are not yet requests that are answered: this is the look from outside. It is only ever looked at; an entry that
does not answer is a finding, and no reason to know less of anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from drivers.contract import DriverError, Observation, Owner, Present, Unknown
from drivers.looked_at import LookedAt
from drivers.swarm.client import Docker
from drivers.swarm.live import node_of

PATH = "/metrics/revisions"
SECONDS = 3.0
"""So long one node may take to answer."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one revision answered lately to those who waited."""

    answers: int = 0
    errors: int = 0
    """Of them, those that were none of the client's (5xx)."""
    p99_ms: float = 0.0
    """99 of 100 took no longer, in milliseconds."""

    @property
    def error_ratio(self) -> float:
        """The share of errors; 0 where there was no answer."""
        return self.errors / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What the entry said."""

    revisions: Mapping[int, Tally]
    silent: str = ""
    """Why it said nothing; empty if it answered."""


class AnswersDriver(LookedAt):
    """The entries of one Swarm. A reference is the port, and which revisions are asked for: "8437?revision=1&revision=2".

    Without a revision nobody is asked.
    """

    def __init__(self, docker: Docker) -> None:
        self.name = f"swarm/answers@{docker.name}"
        self._docker = docker

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Answers]:
        """See the contract."""
        port, _, query = (ref or "").partition("?")
        if not ref or not query:
            return Present(ref or "", Answers({}, "it was not asked yet"))
        try:
            rows = await self._docker.read("list nodes", lambda api: api.nodes())
        except DriverError as error:
            return Unknown(error)
        nodes = [node for node in map(node_of, rows) if node.state == "ready" and node.address]
        return Present(ref, await asked([f"http://{node.address}:{port}{PATH}?{query}" for node in nodes]))

    async def close(self) -> None:
        """Nothing is kept."""


async def asked(urls: Sequence[str]) -> Answers:
    """What the first that answers says."""
    why = "no node of the Swarm is up"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
        for url in urls:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return answers_of(await response.json())
                    why = f"{url} answers {response.status}"
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                why = f"{url} does not answer ({type(error).__name__})"
    return Answers({}, why)


def answers_of(body: Any) -> Answers:
    """From JSON. Raises what json and dicts raise for nonsense."""
    rows = {
        int(number): Tally(int(row["answers"]), int(row["errors"]), float(row["p99Ms"]))
        for number, row in body["revisions"].items()
    }
    return Answers(rows)

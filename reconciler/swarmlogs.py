"""What the services of a deployment on a Swarm say: through its managers, wherever their tasks run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.contract import DriverError
from drivers.swarm import tags
from drivers.swarm.client import Docker

POLL_SECONDS = 1.0
"""A stream that a manager holds open ends with that manager; who asks again is answered by another one."""
LATE_SECONDS = 5
"""Lines of one node may be told so much later than those of another."""
HEAD = "service/"
TASK = "com.docker.swarm.task.id="


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one task."""

    at: str
    """RFC 3339 with nine digits: text that sorts as time does."""
    part: str
    task: str
    text: str

    def __str__(self) -> str:
        """For people: whose it is comes first."""
        return f"[{self.part}.{self.task[:6]}] {self.text}"


async def services(docker: Docker, uid: str, part: str | None) -> dict[str, str]:
    """The services of an object by what they are called (`web`, `workers-2`); of `part`, those whose names begin so."""
    rows = await docker.read("list services", lambda api: api.services(filters={"label": [f"{tags.OWNER}={uid}"]}))
    named = {str(row["Spec"]["Labels"].get(tags.PART, "")).removeprefix(HEAD): str(row["ID"]) for row in rows}
    return {name: ident for name, ident in sorted(named.items()) if name and name.startswith(part or "")}


async def read(docker: Docker, found: Mapping[str, str], n: int | str, since: int = 0) -> list[Line]:
    """The last `n` lines of each service ("all": all of them), oldest first. Raises DriverError."""
    lines: list[Line] = []
    for part, ident in found.items():
        raw = await docker.read(f"read the log of {part}", lambda api, ident=ident: _asked(api, ident, n, since))  # type: ignore[misc]
        lines += [line for text in raw.decode("utf-8", "replace").splitlines() if (line := parsed(part, text)) is not None]
    return sorted(lines, key=lambda line: line.at)


def _asked(api: Any, ident: str, n: int | str, since: int) -> bytes:
    found = api.service_logs(ident, details=True, stdout=True, stderr=True, timestamps=True, tail=n, since=since, is_tty=False)
    return found if isinstance(found, bytes) else b"".join(found)


def parsed(part: str, text: str) -> Line | None:
    """From Docker's form: time, details, the line itself. None: it is none of a task, such as a node's that did not answer."""
    at, _, rest = text.partition(" ")
    details, _, said = rest.partition(" ")
    task = next((word.removeprefix(TASK) for word in details.split(",") if word.startswith(TASK)), "")
    return Line(at, part, task, said) if task else None


async def followed(docker: Docker, uid: str, part: str | None, first: Sequence[Line], follow: bool) -> AsyncIterator[str]:
    """These lines; with `follow`, then all that are added, also by services that are made later, until cancelled."""
    last: dict[str, str] = {}
    for line in first:
        last[line.task] = line.at
        yield str(line)
    start = newest = max(last.values(), default="")
    while follow:
        await asyncio.sleep(POLL_SECONDS)
        with suppress(DriverError):  # whoever is away now is asked again
            fresh = await read(docker, await services(docker, uid, part), "all", max(0, _seconds(newest) - LATE_SECONDS))
            for line in fresh:
                if line.at > last.get(line.task, start):
                    last[line.task] = line.at
                    yield str(line)
            newest = max([newest, *(line.at for line in fresh)])


def _seconds(at: str) -> int:
    """Docker is asked by whole seconds; what was shown already is left out by who reads."""
    return int(datetime.fromisoformat(f"{at[:19]}+00:00").timestamp()) if at else 0

"""Dead letters of a deployment on a Swarm: read and replayed by a job there, since nobody else reaches its store. Pure.

Who wants them writes a request into an annotation; the job is a part of the deployment as all others are, made by its plan and
removed by it when the request is over. What the job prints is read by who asked, and stands in no status.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from drivers.contract import Absent, Plan, Present, Seen, Step, Wait
from reconciler.engine.clock import from_text, to_text
from reconciler.kinds.swarm.keeping import POLL_SECONDS, begin_again, how
from reconciler.kinds.swarm.serving import Builder, service_of
from specs.meta import GROUP, Reason
from specs.model_deployment import ModelDeployment

ANNOTATION = f"{GROUP}/dead-letters"
HEAD = "service/letters-"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants of the dead letters."""

    id: str
    verb: str
    """list or replay."""
    ids: tuple[str, ...]
    """Which letters; none: all."""
    until: datetime
    """After that nobody waits for it any more."""

    @property
    def part(self) -> str:
        """The job's part."""
        return f"{HEAD}{self.id}"

    def dump(self) -> str:
        """As the annotation's text."""
        return orjson.dumps({"id": self.id, "verb": self.verb, "ids": self.ids, "until": to_text(self.until)}).decode()


def requested(obj: ModelDeployment) -> Request | None:
    """The request that the object carries, if there is one that makes sense."""
    try:
        found = orjson.loads((obj.metadata.annotations or {})[ANNOTATION])
        request = Request(str(found["id"]), str(found["verb"]), tuple(map(str, found["ids"])), from_text(found["until"]))
    except (KeyError, TypeError, ValueError):
        return None
    return replace(request, verb="replay" if request.verb == "replay" else "list") if request.id.isalnum() else None


def parts(obj: ModelDeployment) -> set[str]:
    """The job that is wanted."""
    request = requested(obj)
    return {request.part} if request else set()


def handled(obj: ModelDeployment, seen: Seen, now: datetime, build: Builder, image: str) -> Iterable[Plan | None]:
    """Make the job that is asked for, and take away those that nobody waits for."""
    request = requested(obj)
    active = request if request is not None and now < request.until else None
    old = {part: found for part, found in seen.items() if part.startswith(HEAD) and (active is None or part != active.part)}
    gone = [(part, found.ref) for part, found in old.items() if isinstance(found, Present)]
    if gone:
        yield tuple(Step("delete", part, "nobody waits for what it says", ref=ref) for part, ref in gone)
    if active is None:
        return
    match seen.get(active.part):
        case None:
            yield Wait(Reason.PENDING, "dead letters are to be read", 0.02)
        case Absent():
            why = f"the dead letters are asked for: {active.verb}"
            yield (Step("create", active.part, why, {"spec": build.letters(image, active.verb, active.ids, active.id)}),)
    service = service_of(seen, active.part)
    if service is not None and service.lost:
        yield (Step("delete", active.part, "its node is down: they are read from another one", ref=service.id),)
    elif service is not None and (again := begin_again(active.part, service, now)):
        yield again
    elif service is not None and service.ended is None:
        yield Wait(Reason.PENDING, f"dead letters are being read: {how(service)}", POLL_SECONDS)

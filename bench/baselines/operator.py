"""`python -m bench.baselines.operator MODE`: an operator for Machines as kopf's documentation would have it written.

post    on.create makes a server in the simulated cloud ($CLOUD)
status  on.create writes one field of status
event   on.event keeps every object in a dict: the least that an operator can do
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import aiohttp
import kopf

MACHINES = ("anneal.dev", "v1alpha1", "machines")
seen: dict[str, dict[str, Any]] = {}
sessions: list[aiohttp.ClientSession] = []


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """As lean as kopf goes: no events, no rescans of the API."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.finalizer = "bench.anneal.dev/finalizer"
    sessions.append(aiohttp.ClientSession())


@kopf.on.cleanup()
async def let_go(**_: Any) -> None:
    """Close the session."""
    await sessions[0].close()


async def make_server(name: str, uid: str, **_: Any) -> None:
    """The one call that the machine stands for."""
    body = {"name": name, "flavor": "small", "image": "debian-12", "tags": {"anneal-owner": uid}}
    async with sessions[0].post(f"{os.environ['CLOUD']}/servers", json=body) as answer:
        answer.raise_for_status()


async def write_status(patch: kopf.Patch, **_: Any) -> None:
    """One patch: the machine is there."""
    patch.status["instanceState"] = "RUNNING"


async def remember(uid: str, body: kopf.Body, **_: Any) -> None:
    """Keep it."""
    seen[uid] = dict(body)


HANDLERS = {
    "post": (kopf.on.create, make_server),
    "status": (kopf.on.create, write_status),
    "event": (kopf.on.event, remember),
}


def main() -> None:
    """Run until SIGTERM."""
    decorator, handler = HANDLERS[sys.argv[1]]
    decorator(*MACHINES, id="baseline")(handler)  # type: ignore[operator]
    kopf.on.login()(kopf.login_with_kubeconfig)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    print("ready", flush=True)
    kopf.run(standalone=True, clusterwide=True)


if __name__ == "__main__":
    main()

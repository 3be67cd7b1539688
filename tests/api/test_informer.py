"""The informer against the real API server."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from reconciler.client import CONFIGMAPS, Object, ResourceId, ours
from reconciler.engine.clock import SystemClock
from reconciler.informer import Connection, Informer
from specs.meta import PAUSED_ANNOTATION, REBUILD_ANNOTATION
from tests.support.apiserver import configmap, machine, running

MACHINES = ours("machines")


async def test_nothing_acts_before_the_lists_of_its_own_term(tmp_path: Path) -> None:
    """A daemon that leads again waits for lists anew, and hears what happened while another one led."""
    heard: list[str] = []
    async with running(tmp_path / "home") as server:
        there = Connection(server.url, token=server.token, ca_file=str(server.pki.ca))
        informer = Informer(
            server.client, there, [CONFIGMAPS], lambda *said: heard.append(said[1]["metadata"]["name"]), SystemClock()
        )
        for name in ("a", "b"):
            await server.client.create(CONFIGMAPS, "default", configmap(name))
            term = asyncio.create_task(informer.run())
            waiting = asyncio.create_task(informer.synced())
            await asyncio.sleep(0)
            assert not waiting.done()
            await asyncio.wait_for(waiting, 30)
            assert name in heard
            term.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await term


@pytest.mark.parametrize("annotation", [PAUSED_ANNOTATION, REBUILD_ANNOTATION])
async def test_what_a_person_asks_for_by_annotation_is_heard_at_once(tmp_path: Path, annotation: str) -> None:
    """As a change of the spec is: nobody has to wait for the next resync. What others annotate is no request."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(_: ResourceId, obj: Object, __: bool, asked: bool) -> None:
        if asked:
            heard.put_nowait((obj["metadata"].get("annotations") or {}).get(annotation, ""))

    async with running(tmp_path / "home") as server:
        there = Connection(server.url, token=server.token, ca_file=str(server.pki.ca))
        await server.client.create(MACHINES, "default", machine("m"))
        term = asyncio.create_task(Informer(server.client, there, [MACHINES], hear, SystemClock()).run())
        assert await asyncio.wait_for(heard.get(), 30) == ""
        for value in ("one", "two"):
            for name in ("example.com/note", annotation):  # what comes in one breath is heard as one
                await server.client.patch(MACHINES, "default", "m", {"metadata": {"annotations": {name: value}}})
            assert await asyncio.wait_for(heard.get(), 30) == value
        assert heard.empty()
        term.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await term

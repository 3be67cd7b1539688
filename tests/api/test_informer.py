"""The informer against the real API server."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from reconciler.client import CONFIGMAPS
from reconciler.engine.clock import SystemClock
from reconciler.informer import Connection, Informer
from tests.support.apiserver import configmap, running


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

"""What the server does by itself, now and then: Events are forgotten, old changes compacted."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from reconciler.api.core import Core
from reconciler.api.resources import EVENT
from reconciler.api.revisions import Mismatch, StoreError
from reconciler.api.settings import ApiSettings

log = structlog.get_logger()


async def forever(core: Core, settings: ApiSettings) -> None:
    """Do the upkeep at its times, until cancelled. A database that refuses is tried again the next time."""
    while True:
        try:
            await once(core, settings)
        except StoreError as e:
            log.warning("upkeep.failed", error=str(e))
        await asyncio.sleep(settings.upkeep_seconds)


async def once(core: Core, settings: ApiSettings) -> None:
    """Forget Events that are too old or too many, then compact."""
    now = core.clock()
    outdated = core.store.outdated(EVENT.qualified, before=now - settings.events_seconds, keep=settings.events_max)
    for key, rv in outdated:
        if (blob := core.store.blob(rv)) is not None:
            with contextlib.suppress(Mismatch):  # written again meanwhile: not old any more
                await core.store.write(key, blob, expect=rv, deleted=True)
    await core.store.compact(now)

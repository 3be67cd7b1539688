"""Old tables: a followed one leaves a copy of each of its versions, and disks are finite. What nothing names goes in time."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import structlog

from drivers.local.jsonfiles import read_json
from reconciler.client import ApiError, Client, ours

log = structlog.get_logger()

EVERY_SECONDS = 3600.0
KEEP_SECONDS = 7 * 86_400.0
"""How old a table must be. Far more than between its fetch and the status that names it."""
TABLE = re.compile(r"[0-9a-f]{64}\.\w+")


async def forever(client: Client, data: Path, runs: Path) -> None:
    """Sweep now and then, until cancelled."""
    while True:
        try:
            if gone := await sweep(client, data, runs):
                log.info("tables.removed", count=len(gone), files=[path.name[:12] for path in gone[:10]])
        except (ApiError, OSError) as error:
            log.warning("tables.kept", error=str(error))
        await asyncio.sleep(EVERY_SECONDS)


async def sweep(client: Client, data: Path, runs: Path) -> list[Path]:
    """Remove the tables older than KEEP_SECONDS that no Dataset and no run names; those that went. ApiError, OSError.

    Whatever cannot be told counts as needed: without the list of Datasets nothing goes.
    """
    datasets, _ = await client.list(ours("datasets"))
    needed = {str((dataset.get("status") or {}).get("path")) for dataset in datasets}
    return await asyncio.to_thread(_sweep, data, runs, needed)


def _sweep(data: Path, runs: Path, needed: set[str]) -> list[Path]:
    if not data.is_dir():
        return []
    for file in runs.glob("*/spec.json"):
        if (spec := read_json(file)) is None:  # half written, or gone just now: whose table it was cannot be told
            return []
        needed.add(str((spec.get("dataset") or {}).get("path")))
    gone = []
    for path in sorted(data.iterdir()):
        if TABLE.fullmatch(path.name) and str(path) not in needed and time.time() - path.stat().st_mtime > KEEP_SECONDS:
            path.unlink()
            gone.append(path)
    return gone

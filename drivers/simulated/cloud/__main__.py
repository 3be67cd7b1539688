"""`python -m drivers.simulated.cloud --state DIR`: run the cloud until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from drivers.simulated.cloud.admin import Admin
from drivers.simulated.cloud.app import Cloud
from drivers.simulated.cloud.journal import Journal
from drivers.simulated.cloud.world import DEFAULTS, World

LIMIT = 64 * 2**20


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m drivers.simulated.cloud", description="A cloud to try anneal on.")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="where its journal is; a restart goes on from it"
    )
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0 lets the system choose")
    parser.add_argument("--build-seconds", type=float, default=DEFAULTS["build_seconds"], help="from BUILD to ACTIVE")
    parser.add_argument("--delete-seconds", type=float, default=DEFAULTS["delete_seconds"], help="from DELETING to gone")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token it asks for; without one, everybody may")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    settings: dict[str, Any] = {"build_seconds": options.build_seconds, "delete_seconds": options.delete_seconds}
    if options.token_file:
        settings["token"] = options.token_file.read_text().strip()
    cloud = Cloud(World(Journal(options.state / "journal.jsonl"), settings))
    app = web.Application(client_max_size=LIMIT)
    app.add_routes([*cloud.routes(), *Admin(cloud).routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port, reuse_address=True)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(run(arguments()))

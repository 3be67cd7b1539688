"""`python -m bench.baselines.server HOME`: the embedded API server alone, for the kopf baselines."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from reconciler.api.server import ApiServer
from reconciler.home import Home


async def serve(home: Home) -> None:
    """Serve until SIGTERM."""
    home.prepare()
    server = ApiServer(home)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(serve(Home(Path(sys.argv[1]))))

"""`python -m reconciler.api --home DIR`: the API server alone, without daemon. Prints its URL once it answers."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from reconciler import collecting
from reconciler.api.pki import UnsafeFile
from reconciler.api.revisions import StoreError
from reconciler.api.secretbox import SecretBoxError
from reconciler.api.server import ApiServer
from reconciler.home import Home
from reconciler.lock import HomeLock, HomeLocked


async def _serve(home: Home, host: str, port: int | None, *, discard_secrets: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = ApiServer(home, host=host, port=port)
    await server.start(discard_secrets=discard_secrets)
    if discard_secrets:
        await server.stop()
        return
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop()


def main() -> int:
    """Serve until SIGTERM; exit 1 with a reason on stderr if that is impossible."""
    parser = argparse.ArgumentParser(prog="python -m reconciler.api", description="The embedded API server alone.")
    parser.add_argument("--home", type=Path, default=None, help="where its state lives (default: $ANNEAL_HOME, else ~/.anneal)")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=None, help="port (default: that of the last time, or any)")
    parser.add_argument(
        "--discard-secrets", action="store_true", help="delete the Secrets that were encrypted with a lost key, and end"
    )
    args = parser.parse_args()
    home = Home(args.home.expanduser().absolute()) if args.home else Home.from_env()
    try:
        home.prepare()
        lock = HomeLock(home)
        lock.acquire()
        collecting.settle()
        asyncio.run(_serve(home, args.bind, args.port, discard_secrets=args.discard_secrets))
    except (HomeLocked, UnsafeFile, StoreError, SecretBoxError, OSError) as error:
        sys.stderr.write(f"anneal: cannot run the API server: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The embedded API server: the core behind the door of its home. One per home."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog
from aiohttp import web

from reconciler.api import kubeconfig, secretcheck, upkeep
from reconciler.api.bootstrap import bootstrap
from reconciler.api.core import Core
from reconciler.api.front import Front
from reconciler.api.gc import GarbageCollector
from reconciler.api.inprocess import InProcessClient
from reconciler.api.pki import check_secret
from reconciler.api.resources import Registry, registry
from reconciler.api.routes import Routes
from reconciler.api.settings import ApiSettings
from reconciler.api.store import Store
from reconciler.api.watch import Hub
from reconciler.home import Home

log = structlog.get_logger()

GIT_VERSION = "v1.32.0+anneal"
"""What clients are told: the Kubernetes whose conventions this server follows."""
RESTART_SECONDS = 1.0


class ApiServer(Front):
    """Serves one home. `start` returns when it answers; `core` and `client` are the same API without HTTP."""

    def __init__(
        self,
        home: Home,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        settings: ApiSettings | None = None,
        extra_routes: Iterable[web.RouteDef] = (),
        not_ready: Callable[[], list[str]] = list,
        types: Registry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or ApiSettings()
        super().__init__(home, host, port, self.settings.body_bytes, self.settings.idle_seconds)
        self.not_ready = not_ready
        self._types = types or registry()
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.mount(extra_routes)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that it wrote."""
        return self.home.kubeconfig

    async def start(self, *, discard_secrets: bool = False) -> None:
        """Check the files, open the database, listen, write the kubeconfig.

        `discard_secrets` deletes the Secrets that the key does not open.

        Raises UnsafeFile, StoreError, SecretBoxError or OSError, each of which says what to do.
        """
        self.prepare()
        for path in self._database_files():
            check_secret(path)
        self.store = Store(self.home.database, self.settings.store)
        self.store.open()
        try:
            codec = await secretcheck.opened(self.store, self._types, self.pki.secrets_key, discard=discard_secrets)
        except BaseException:
            await self.store.close()
            raise
        self.core = Core(self.store, self._types, codec, self._clock)
        self.hub = Hub(self.store, self._types, codec)
        self.client = InProcessClient(self.core)
        self.collector = GarbageCollector(self.core, self.hub)
        self.handler = Routes(self.core, self.hub, self.settings, GIT_VERSION).handle
        try:
            await bootstrap(self.core)
            await self.listen()
        except BaseException:
            await self.stop()
            raise
        kubeconfig.write(self.home.kubeconfig, self.url, self.pki.ca.read_bytes(), self.token)
        self._tasks = [
            asyncio.create_task(_forever(self.collector.run), name="gc"),
            asyncio.create_task(_forever(lambda: upkeep.forever(self.core, self.settings)), name="upkeep"),
        ]

    async def stop(self) -> None:
        """End the watches, finish the writes that were accepted, close the database."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self.hub.close()
        await self.close()
        await self.store.close()

    def _database_files(self) -> list[Path]:
        return [self.home.database.with_name(self.home.database.name + suffix) for suffix in ("", "-wal", "-shm")]


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    """Do it, and again should it ever fail: it begins by looking at what is there."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("api.task_failed")
        await asyncio.sleep(RESTART_SECONDS)

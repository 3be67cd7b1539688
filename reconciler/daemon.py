"""The daemon: wires API server, client, informer, engine and sources together, and runs them until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
import socket
import sys
import uuid
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from reconciler import collecting, housekeeping, logs
from reconciler.api.pki import UnsafeFile
from reconciler.api.revisions import StoreError
from reconciler.api.secretbox import SecretBoxError
from reconciler.client import CONFIGMAPS, SECRETS, ApiError, Client, Object, ResourceId, ours
from reconciler.clouds import Clouds
from reconciler.control import ControlPlane, embedded, kubernetes
from reconciler.engine import breaker
from reconciler.engine.clock import SystemClock, to_text
from reconciler.engine.engine import Engine
from reconciler.engine.events import Recorder
from reconciler.engine.kind import Key, Kind, Reference
from reconciler.engine.lease import Lease
from reconciler.engine.runner import Runner
from reconciler.engine.workqueue import Backoff, WorkQueue
from reconciler.home import Home
from reconciler.informer import Informer
from reconciler.kinds.local import Local
from reconciler.kinds.providers import Providers
from reconciler.kinds.registry import all_kinds
from reconciler.lock import HomeLock, HomeLocked
from reconciler.metrics import METRICS
from reconciler.quotas import Quotas
from reconciler.settings import Settings
from reconciler.sources.manager import SourceManager
from reconciler.web import Web
from specs.meta import INSTALLATION

log = structlog.get_logger()

STOP_SECONDS = 10.0
"""How long a stop in good order may take. After that the process ends as it would by a crash, which loses nothing either."""
LOOK_SECONDS = 30.0
"""How soon, at the latest, to look again at what could not be told."""


@dataclass(slots=True)
class Daemon:
    """All parts of one daemon. `run` returns when it was stopped in good order."""

    home: Home
    settings: Settings
    plane: ControlPlane
    clock: SystemClock = field(default_factory=SystemClock)
    engine: Engine = field(init=False)
    runner: Runner = field(init=False)
    informer: Informer = field(init=False)
    lease: Lease = field(init=False)
    sources: SourceManager = field(init=False)
    providers: Providers | None = field(init=False, default=None)
    local: Local | None = field(init=False, default=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve and reconcile until `stop`."""
        await self.plane.start()
        try:
            await self._wire(self.plane.client, await installation(self.plane.client))
            self.home.pidfile.write_text(f"{os.getpid()}\n")
            log.info("daemon.started", url=self.plane.url, home=str(self.home.root), mode=self.plane.mode)
            leading = asyncio.create_task(self._lead_forever(), name="leader")
            await asyncio.wait({leading, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            await self.lease.release()
            if leading.done() and not leading.cancelled() and (error := leading.exception()):
                raise error
        finally:
            if self.local is not None:
                await self.local.close()
            if self.providers is not None:
                await self.providers.close()
            await self.plane.stop()
            self.home.pidfile.unlink(missing_ok=True)
            log.info("daemon.stopped")

    async def _wire(self, client: Client, installation_id: str) -> None:
        settings = self.settings
        identity = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        exclusive = self.plane.mode == "embedded"
        self.lease = Lease(client, self.clock, identity, settings.lease_seconds, exclusive=exclusive)
        self.providers = providers = Providers(
            client, self.lease.fence, installation_id, settings.simulated_settle_seconds, settings.call_seconds, self.home.run,
            openstack_settle_seconds=settings.openstack_settle_seconds,
        )  # fmt: skip
        roots = tuple(root for root in settings.data_roots.split(os.pathsep) if root)
        self.local = local = Local(
            self.home, client, self.lease.fence, installation_id, self._changed_outside, roots, settings.model_store
        )
        kinds: dict[str, Kind[Any]] = all_kinds(providers, local)
        recorder = Recorder(client, self.clock)
        limits = breaker.Limits(settings.breaker_count, settings.breaker_share)
        self.engine = Engine(
            client, self.clock, kinds, installation_id, recorder,
            limits=limits, look_seconds=min(settings.poll_seconds, LOOK_SECONDS), retry_scale=settings.retry_scale,
        )  # fmt: skip
        queue: WorkQueue[Key] = WorkQueue(Backoff(settings.backoff_base_seconds, settings.backoff_cap_seconds))
        self.runner = Runner(self.engine, settings.workers, settings.poll_seconds, settings.pass_seconds, queue)
        watched = [*(ours(plural) for plural in kinds), CONFIGMAPS, SECRETS]
        self.informer = Informer(client, self.plane.connection, watched, self._heard, self.clock, settings.audit_seconds)
        self.sources = SourceManager(client, recorder=recorder, clock=self.clock)
        web = Web(
            self.home,
            client,
            self.engine,
            self.runner,
            self.informer,
            self.lease,
            self.sources,
            self.local,
            Clouds(client, providers),
            Quotas(providers.quotas, self.clock),
            self.plane.url,
            self.plane.mode,
            version("anneal"),
            to_text(self.clock.now()),
        )
        await self.plane.serve(web.routes(), web.not_ready)

    async def _lead_forever(self) -> None:
        """Lead, stand by, lead again. Only the leader listens, reconciles and applies sources."""
        while True:
            await self.lease.acquire()
            METRICS.leader.set(1)
            self.engine.since = self.clock.now()
            work = asyncio.create_task(self._work(), name="work")
            keep = asyncio.create_task(self.lease.keep(), name="lease")
            try:
                done, _ = await asyncio.wait({work, keep}, return_when=asyncio.FIRST_COMPLETED)
            finally:  # also when the daemon stops: nothing may act once the API server is on its way down
                METRICS.leader.set(0)
                for task in (work, keep):
                    task.cancel()
                await asyncio.gather(work, keep, return_exceptions=True)
            if work in done and (error := work.exception()):
                raise error
            self.informer.blind = "standing by"

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.informer.run(), name="informer")
            await self.informer.synced()  # nothing acts before the first lists
            group.create_task(self.runner.run(), name="runner")
            group.create_task(self.sources.run(), name="sources")
            group.create_task(self._resync_forever(), name="resync")
            group.create_task(housekeeping.forever(self.plane.client, self.home.data, self.home.runs), name="housekeeping")

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.resync_seconds)
            try:
                await self.resync()
            except ApiError as error:
                log.warning("resync.failed", error=str(error))

    async def resync(self) -> None:
        """Look at everything again, whatever was or was not heard: one list per kind, one list per driver."""
        await self.informer.resync()
        taken = await self.runner.survey()
        for plural in self.engine.kinds:
            for key in [key for key in self.engine.index.keys if key.plural == plural]:
                self.runner.wake(key, min(taken.values(), default=None))

    def _changed_outside(self, uid: str) -> None:
        """Something of this object ended or changed on this machine: look at it at once."""
        if (key := self.engine.index.by_uid(uid)) is not None:
            self.runner.wake(key)

    def _heard(self, resource: ResourceId, obj: Object, deleted: bool, spec_changed: bool) -> None:
        """Something changed: wake it, what refers to it, and what owns it. Sources see to what they hold."""
        meta = obj["metadata"]
        namespace, name = meta.get("namespace") or "", meta["name"]
        key = Key(resource.plural, namespace, name)
        index = self.engine.index
        for dependent in index.dependents(Reference(resource, namespace, name)):
            self.runner.wake(dependent)
        if resource.plural in self.engine.kinds:
            for owner in index.owners(key):
                self.runner.wake(owner)
            if deleted:
                index.forget(key)
            else:
                self.engine.learn(key, obj)
            if spec_changed:
                self.runner.wake(key)
        self.sources.notify(resource, obj, deleted)  # also without its label: somebody may have taken it off


async def installation(client: Client) -> str:
    """The id that tells this installation's things from others' on the same cloud; made once."""
    live = await client.get(CONFIGMAPS, "default", INSTALLATION)
    if live is None:
        meta = {"name": INSTALLATION, "namespace": "default"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"id": str(uuid.uuid4())}}
        try:
            live = await client.create(CONFIGMAPS, "default", body)
        except ApiError as error:
            if error.code != 409:
                raise
            live = await client.get(CONFIGMAPS, "default", INSTALLATION) or {}
    return str(live["data"]["id"])


def _stop_within(stop: asyncio.Event, seconds: float) -> None:
    """Stop in good order, or, should that hang, tell where on stderr and end."""
    stop.set()
    faulthandler.dump_traceback_later(seconds, exit=True)


async def _amain(home: Home, kubeconfig: Path | None, host: str) -> None:
    settings = Settings.from_env()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _stop_within, stop, STOP_SECONDS)
    plane = kubernetes(home, kubeconfig, host) if kubeconfig else embedded(home, host)
    await Daemon(home, settings, plane).run(stop)


def main(argv: list[str] | None = None) -> int:
    """`python -m reconciler.daemon`: run in the foreground; exit 1 with a reason on stderr if it cannot."""
    parser = argparse.ArgumentParser(prog="python -m reconciler.daemon", description="The anneal daemon. People use `anneal up`.")
    parser.add_argument("--home", type=Path, default=None, help="where its state lives (default: $ANNEAL_HOME, else ~/.anneal)")
    parser.add_argument(
        "--kubeconfig", type=Path, default=None, help="use this Kubernetes API server instead of the embedded one"
    )
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: loopback only)")
    args = parser.parse_args(argv)
    home = Home(args.home.expanduser().absolute()) if args.home else Home.from_env()
    try:
        home.prepare()
        lock = HomeLock(home)
        lock.acquire()
        logs.setup(home, level=logs.level_from_env())
        collecting.settle()
        asyncio.run(_amain(home, args.kubeconfig, args.bind))
    except (HomeLocked, UnsafeFile, StoreError, SecretBoxError, OSError, ValueError, ApiError) as error:
        log.error("daemon.failed", error=str(error))
        sys.stderr.write(f"anneal: cannot run the daemon: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

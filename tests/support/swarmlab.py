"""The test Swarm of tests/swarm/cloud, for tests: up and down, power cuts, cable cuts, what its engines say; what was seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from urllib3 import Retry

SCRIPTS = Path(__file__).resolve().parents[1] / "swarm" / "cloud"
KEEP = "ANNEAL_SWARM_KEEP"
"""Set: what was brought up stays up after the tests, to be looked at."""

AGAIN = Retry(
    12, connect=0, read=0, other=0, status_forcelist=[500, 503], allowed_methods=["GET"], backoff_factor=0.5, backoff_max=5,
    raise_on_status=False,
)  # fmt: skip
"""Managers answer 500 and 503 while they choose another leader."""


@dataclass
class Tally:
    """What the suite saw: printed as its last line."""

    nodes: int = 0
    rollouts: int = 0
    requests: int = 0
    failed: int = 0
    back: list[float] = field(default_factory=list)
    """Each time a node was lost: seconds until what it had ran elsewhere."""

    def __str__(self) -> str:
        back = f"; what a lost node had ran elsewhere after {max(self.back):.0f} s at most" if self.back else ""
        return f"swarm: {self.nodes} nodes, {self.rollouts} rollouts, {self.requests} requests, {self.failed} failed{back}"


TALLY = Tally()


@dataclass
class SwarmLab:
    """So many engines; the first `managers` of them manage one Swarm. 0: every engine is alone."""

    instance: int
    nodes: int = 3
    managers: int = 3
    with_images: bool = True
    down_nodes: set[int] = field(default_factory=set)

    @property
    def root(self) -> Path:
        """Where everything of it is kept."""
        return Path(f"/tmp/anneal-swarm-{self.instance}")

    def up(self) -> None:
        """Bring it up, anew: nothing is there of tests that were killed. Where things are kept, what is up stays."""
        self.down()
        more = {} if self.with_images else {"ANNEAL_SWARM_IMAGES": "none"}
        self._run("up", str(self.nodes), str(self.managers), seconds=900, **more)
        TALLY.nodes += self.nodes

    def down(self) -> None:
        """Take it away, unless somebody wants to look at it."""
        if not os.environ.get(KEEP):
            self._run("down")

    @property
    def endpoint(self) -> str:
        """The first node's engine."""
        return self.unix(1)

    @property
    def endpoints(self) -> list[str]:
        """The managers' engines."""
        return [self.unix(n) for n in range(1, (self.managers or self.nodes) + 1)]

    def unix(self, n: int) -> str:
        """A node's engine, from this machine."""
        return f"unix://{self.root}/{n}/docker.sock"

    def tcp(self, n: int) -> str:
        """A node's engine over TLS."""
        return f"tcp://{self.addresses[n]}:2376"

    @property
    def tls(self) -> dict[str, str]:
        """The files for `tcp`, as a spec names them."""
        return {
            "caFile": f"{self.root}/tls/ca.pem",
            "certFile": f"{self.root}/tls/client.pem",
            "keyFile": f"{self.root}/tls/client.key",
        }

    @property
    def addresses(self) -> dict[int, str]:
        """Node number → its address."""
        return {n: f"10.{self.instance}.0.{n}" for n in range(1, self.nodes + 1)}

    @property
    def host(self) -> str:
        """This machine's address, as the nodes and their containers see it."""
        return f"10.{self.instance}.0.254"

    @cached_property
    def images(self) -> dict[str, str]:
        """Images by digest: serving, python, rabbitmq, redis, haproxy, registry."""
        found: dict[str, str] = json.loads((self.root / "images.json").read_text())
        return found

    def api(self, n: int = 1, seconds: float = 30) -> Any:
        """A plain client of the SDK, as a person would use it; behind everybody's back. No leader: it asks again."""
        api = docker.APIClient(self.unix(n), timeout=seconds)
        api.get_adapter("http+docker://").max_retries = AGAIN
        return api

    def kill(self, n: int) -> None:
        """Cut a node's power."""
        self.down_nodes.add(n)
        self._run("node", str(n), "kill")

    def start(self, n: int) -> None:
        """Give it back."""
        self._run("node", str(n), "start")
        self.down_nodes.discard(n)

    def cut(self, n: int) -> None:
        """Pull a node's network cable."""
        self._run("node", str(n), "cut")

    def heal(self, n: int) -> None:
        """Plug it in again."""
        self._run("node", str(n), "heal")

    def forget(self, n: int) -> None:
        """A node loses what it knew of its Swarm, as by a new disk."""
        self.kill(n)
        shutil.rmtree(self.root / str(n) / "data" / "swarm", ignore_errors=True)
        self.start(n)

    def alone(self) -> None:
        """Every engine runs and is in no Swarm."""
        for n in self.addresses:
            self.heal(n)
        with ThreadPoolExecutor() as pool:  # to leave in good order takes managers ten seconds each
            list(pool.map(self._alone, self.addresses))

    def _alone(self, n: int) -> None:
        if n in self.down_nodes or self.state(n)["LocalNodeState"] != "inactive":
            self.forget(n)

    def state(self, n: int) -> dict[str, Any]:
        """What a node's engine says of its Swarm."""
        found: dict[str, Any] = self.api(n).info()["Swarm"]
        return found

    def _run(self, script: str, *words: str, seconds: float = 300, **more: str) -> None:
        env = {key: value for key, value in os.environ.items() if not key.startswith("ANNEAL_SWARM")}
        env |= {"ANNEAL_SWARM": str(self.instance)} | more
        done = subprocess.run([SCRIPTS / script, *words], env=env, capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"{script} {' '.join(words)}: {done.stderr[-3000:]}"

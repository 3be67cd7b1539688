"""`anneal get machines` beside `kubectl get machines`, on the same 1,000 objects of the same server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.api import Api, local
from bench.figure import Figure, Options, medians
from bench.meter import Meter
from bench.processes import daemon

TIMES_KUBECTL = 0.5


async def run(options: Options) -> list[Figure]:
    """Run the two in turn; the wall time of each is what a person waits."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise RuntimeError("cannot compare with kubectl: there is none on PATH; install it and run this again")
    home, count = options.folder / "home", options.scaled(1000)
    async with daemon(home) as running, Api.of(home) as api:
        assert running.process is not None
        await api.create_all(local(count))
        await Meter(running.process.pid).quiet()
        env = {"PATH": os.environ["PATH"], "HOME": str(options.folder), "KUBECONFIG": str(home / "kubeconfig")}
        env |= {"ANNEAL_HOME": str(home)}
        anneal = [str(Path(sys.executable).with_name("anneal")), "get", "machines"]
        ours, theirs = [], []
        for number in range(options.scaled(22, 4)):
            times = (_wall(anneal, env, count), _wall([kubectl, "get", "machines"], env, count))
            if number:  # the first run of each fills kubectl's discovery cache and Python's
                ours.append(times[0])
                theirs.append(times[1])
    return [
        medians(
            "get",
            f"`anneal get machines`, {count} objects",
            "ms",
            ours,
            "`kubectl get machines` on the same server",
            theirs,
            times_baseline=TIMES_KUBECTL,
        )
    ]


def _wall(command: list[str], env: dict[str, str], count: int) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begun
    if done.returncode or len(done.stdout.splitlines()) != count + 1:
        raise RuntimeError(f"{command}: exit {done.returncode}, {len(done.stdout.splitlines())} lines: {done.stderr[-500:]}")
    return 1e3 * taken

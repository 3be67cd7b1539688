"""Trials on a Ray cluster: Ray Tune's Tuner with a searcher that is our desk. The only file of training that imports ray.

What costs time is not fitting but everything around it, so: actors are reused (a new one imports scikit-learn anew), the folds
lie in the object store once, a trial is one step and one answer, and Tune writes nothing of its own: our journal is what a run
remembers. An actor that dies is replaced and its trial run again by our desk (Tune's own retries miss an actor that dies
between two trials); a head that dies is noticed by `watch`, for Tune itself would wait for ever.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.folds import Fold
from training.measuring import Problem
from training.tuning import Desk, Runner

WATCH_SECONDS = 1.0
WATCH_FAILURES = 3
"""A head that refuses so many connections in a row is gone."""

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_GLOBAL_CHECKPOINT_S="86400",
    TUNE_WARN_THRESHOLD_S="60",
    RAY_AIR_NEW_OUTPUT="0",
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray that runs already."""

    address: str
    """host:port of its GCS."""
    token_file: str | None

    @property
    def on_loopback(self) -> bool:
        """Whether it is reached by loopback."""
        return self.address.rpartition(":")[0] in ("127.0.0.1", "localhost")


def connect(cluster: Cluster) -> None:
    """Make this process a driver of the cluster. It is addressed explicitly, never found. Raises ConnectionError."""
    if cluster.token_file is not None:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=cluster.token_file)
    if cluster.on_loopback:  # else Ray replaces 127.0.0.1 by the address that others see, where nothing listens
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)  # Tune misses files that it was told not to write
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)


def watch(cluster: Cluster, lost: Callable[[], None]) -> threading.Thread:
    """Call `lost`, once, from a thread, when the head is gone."""
    host, _, port = cluster.address.rpartition(":")

    def go() -> None:
        failures = 0
        while failures < WATCH_FAILURES:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                failures = 0
            except OSError:
                failures += 1
            time.sleep(WATCH_SECONDS)
        lost()

    thread = threading.Thread(target=go, name="watch the head", daemon=True)
    thread.start()
    return thread


def on_ray(problem: Problem, folds: Sequence[Fold], *, folder: Path, parallel: int, seconds: float) -> Runner:
    """Run trials on the cluster that this process is connected to: `parallel` at once, one core each, `seconds` each at the most.

    folder: Tune's own files go there; nobody needs them afterwards.
    """

    def go(desk: Desk) -> None:
        if desk.closed:
            return
        from ray import tune

        from training.raysearch import DeskSearcher, Failures
        from training.raytrial import Hall, RayTrial

        hall: Any = Hall.remote(parallel)  # type: ignore[attr-defined]
        shared = {"problem": problem, "folds": list(folds), "seconds": seconds, "hall": hall}
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(parallel)
        searcher = DeskSearcher(desk, parallel)
        tuner = tune.Tuner(
            tune.with_parameters(RayTrial, **shared),
            tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, reuse_actors=True, metric="score", mode="max"),
            run_config=tune.RunConfig(
                name=f"tune-{os.getpid()}", storage_path=str(folder), verbose=0,
                callbacks=[Failures(searcher)],
            ),
        )  # fmt: skip
        tuner.fit()

    return go

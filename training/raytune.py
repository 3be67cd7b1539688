"""Trials on a Ray cluster: Ray Tune's Tuner with a searcher that is our desk. Only ray*.py imports ray.

What costs time is not fitting but everything around it, so: actors are reused (a new one imports scikit-learn anew), the folds
lie in the object store once, a trial is one step and one answer, and Tune writes nothing of its own: our journal is what a run
remembers. An actor that dies is replaced and its trial run again by our desk (Tune's own retries miss an actor that dies
between two trials); a head that dies is noticed by a watch, for Tune itself would wait for ever.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import RayUnreachable
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


def load(cluster: Cluster) -> None:
    """Import what talks to Ray: seconds that a thread may spend. The environment first: Ray reads it when imported."""
    if cluster.token_file is not None:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=cluster.token_file)
    if cluster.on_loopback:  # else Ray replaces 127.0.0.1 by the address that others see, where nothing listens
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

    logging.getLogger("ray.tune").setLevel(logging.ERROR)  # it misses files that it was told not to write; "ray" is set on import


@contextmanager
def connected(cluster: Cluster, lost: Callable[[], None]) -> Iterator[None]:
    """Make this process a driver of the cluster, for a while. It is addressed explicitly, never found. RayUnreachable.

    lost: called, once, from a thread, when the head is gone: Ray itself would wait for ever, in here and while connecting.
    """
    load(cluster)
    import ray

    over = threading.Event()
    threading.Thread(target=_watch, args=(cluster.address, over, lost), name="watch the head", daemon=True).start()
    try:
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except (ConnectionError, RuntimeError, TimeoutError) as e:
            raise RayUnreachable(f"cannot reach Ray at {cluster.address}: {e}; it is tried again"[:1000]) from e
        try:
            yield
        except ray.exceptions.RayTaskError:  # what a trial's own code raised
            raise
        except ray.exceptions.RayError as e:  # such as WrongClusterID: another head answers where ours was
            raise RayUnreachable(f"lost Ray at {cluster.address}: {type(e).__name__}: {e}; it is tried again"[:1000]) from e
    finally:
        over.set()
        ray.shutdown()


def _watch(address: str, over: threading.Event, lost: Callable[[], None]) -> None:
    host, _, port = address.rpartition(":")
    failures = 0
    while not over.wait(WATCH_SECONDS):
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            failures = 0
        except OSError:
            failures += 1
        if failures >= WATCH_FAILURES:
            lost()
            return


def on_ray(problem: Problem, folds: Sequence[Fold], *, folder: Path, parallel: int, seconds: float) -> Runner:
    """Run trials on the cluster that this process is connected to: `parallel` at once, one core each, `seconds` each at the most.

    folder: Tune's own files go there; nobody needs them afterwards.
    """

    def go(desk: Desk) -> None:
        if desk.closed:
            return
        from ray import tune

        from training.rayhall import Hall
        from training.raysearch import DeskSearcher, Failures
        from training.raytrial import RayTrial

        hall: Any = Hall.remote(parallel)  # type: ignore[attr-defined]
        shared = {"problem": problem, "folds": list(folds), "seconds": seconds, "hall": hall}
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(parallel)
        searcher = DeskSearcher(desk, parallel, hall)
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

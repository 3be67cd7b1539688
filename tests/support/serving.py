"""A deployment for the tests: real models in a real store, and the real processes that serve them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from modelstore import Store, infer_signature, package, reference
from serving.routes import Route, Table, write

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
ENVIRONMENT.pop("PROMETHEUS_MULTIPROC_DIR", None)
START_SECONDS = 60.0
PATIENT_SECONDS = 60.0
"""How long a request waits for its answer, unless a test says otherwise: however busy this machine is, that is long enough."""
SEARCH = {
    "metric": "accuracy", "trials": {"Succeeded": 2, "EarlyStopped": 1},
    "candidates": [{"name": "linear", "estimator": "LogisticRegression", "state": "Succeeded", "score": 0.98, "message": ""}],
    "best": [{"name": "linear-2", "parameters": {"C": 74.66}, "score": 0.9962}],
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A packaged model, and what it was made from."""

    digest: str
    pipeline: Any
    columns: dict[str, list[Any]]
    target: list[Any]
    held_out: dict[str, list[Any]]


def penguins() -> tuple[dict[str, list[Any]], list[str]]:
    """The table: columns and species."""
    import pandas as pd

    table = pd.read_csv(ROOT / "examples/quickstart/data/penguins.csv")
    target = table.pop("species").tolist()
    return _columns(table), target


def large_model(folder: Path) -> str:
    """Put a forest into a store that learned labels without rhyme or reason, several MB of them; its digest."""
    from sklearn.ensemble import RandomForestClassifier

    columns, target = penguins()
    random.Random(1).shuffle(target)
    digest = train(folder, columns, target, RandomForestClassifier(n_estimators=500, random_state=0)).digest
    assert sum(path.stat().st_size for path in (folder / digest.removeprefix("sha256:")).iterdir()) > 2_000_000
    return digest


def diamonds(rows: int = 3000) -> tuple[dict[str, list[Any]], list[float]]:
    """Some rows of the table: columns and price."""
    import pandas as pd

    table = pd.read_csv(ROOT / "examples/diamonds/data/diamonds.csv").sample(rows, random_state=0)
    target = table.pop("price").astype(float).tolist()
    return _columns(table), target


def _columns(table: Any) -> dict[str, list[Any]]:
    return {name: [None if value != value else value for value in table[name].tolist()] for name in table.columns}


def train(store: Path, columns: dict[str, list[Any]], target: list[Any], estimator: Any, task: str = "classification") -> Model:
    """Fit a pipeline, package it with what the pages show, and put it into the store."""
    import pandas as pd
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import Pipeline

    from modelstore.inference import kind_of
    from modelstore.transformers import Prepare

    table = pd.DataFrame(columns)
    kinds = [(name, kind_of(table[name])) for name in table.columns]
    fit, test, y, truth = train_test_split(table, target, random_state=0, test_size=0.25)
    pipeline = Pipeline([("prepare", Prepare(kinds, task=task)), ("model", estimator)]).fit(fit, y)
    classes = getattr(pipeline, "classes_", None)
    signature = infer_signature(fit, kinds, target="species" if task == "classification" else "price", task=task, classes=classes)
    folder = store.parent / f"package-{time.monotonic_ns()}"
    done = package(
        folder, pipeline=pipeline, signature=signature, golden_rows=test, reference=reference(fit, signature, y),
        metadata=_metadata(pipeline, test, truth, task), perturb_rows=table,
    )  # fmt: skip
    assert Store(store).put(folder) == done.digest
    return Model(done.digest, pipeline, _columns(fit), list(y), _columns(test))


def _metadata(pipeline: Any, test: Any, truth: list[Any], task: str) -> dict[str, Any]:
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, mean_absolute_error, r2_score

    found = pipeline.predict(test)
    shuffled = permutation_importance(pipeline, test, truth, n_repeats=2, random_state=0)
    common = {
        "estimator": type(pipeline[-1]).__name__,
        "parameters": {"max_iter": 500},
        "rows": {"training": 3 * len(test), "heldOut": len(test)},
        "features": [{"name": name, "score": 0.5, "chosen": name != test.columns[-1]} for name in test.columns],
        "importances": [
            {"name": name, "mean": mean} for name, mean in zip(test.columns, shuffled.importances_mean.tolist(), strict=True)
        ],
        "lineage": {
            "datasetDigest": "sha256:" + "1f3a" * 16,
            "seed": 42,
            "versions": {"scikit-learn": "1.9.1"},
            "search": SEARCH,
        },
    }
    if task == "regression":
        heldout = {"r2": r2_score(truth, found), "mae": mean_absolute_error(truth, found)}
        return {**common, "metrics": heldout, "residuals": {"predicted": found[:300].tolist(), "actual": truth[:300]}}
    heldout = {"accuracy": accuracy_score(truth, found), "f1_macro": f1_score(truth, found, average="macro")}
    matrix = {"labels": pipeline.classes_.tolist(), "matrix": confusion_matrix(truth, found).tolist()}
    return {**common, "metrics": heldout, "confusionMatrix": matrix}


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Deployment:
    """One deployment's folder and processes."""

    folder: Path
    store: Path
    name: str = "penguins"
    options: Mapping[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        limits = {"timeoutSeconds": PATIENT_SECONDS} | self.options.get("limits", {})
        config = {"name": self.name, "store": str(self.store), "port": self.port, **self.options, "limits": limits}
        self.config.write_text(json.dumps(config))

    @property
    def config(self) -> Path:
        """The configuration's file."""
        return self.folder / "config.json"

    @property
    def url(self) -> str:
        """Where the web app answers."""
        return f"http://127.0.0.1:{self.port}"

    def route(self, *revisions: tuple[int, str, int]) -> None:
        """Write the routing table: revision, digest, weight."""
        write(
            self.folder / "routes.json",
            Table(revisions=tuple(Route(revision=n, digest=d, queue=f"r{n}", weight=w) for n, d, w in revisions)),
        )

    def web(self) -> None:
        """Start the web app and wait until it answers."""
        self._start("web", "serving.web")
        self.until(lambda: requests.get(f"{self.url}/healthz", timeout=5).ok)

    @property
    def diary(self) -> Path:
        """What rough workers were asked, a line for each call of the model."""
        return self.folder / "diary"

    def worker(self, revision: int, digest: str, index: int = 0, *, wait: bool = True, rough: float | None = None) -> None:
        """Start a worker and wait until it is ready. rough: see tests/support/rough_worker.py; the seconds that "slow" takes."""
        unit = f"worker-r{revision}-{index}"
        (self.folder / "state" / f"{unit}.json").unlink(missing_ok=True)
        environment = {} if rough is None else {"ROUGH_DIARY": str(self.diary), "ROUGH_SECONDS": str(rough)}
        module = "serving.worker" if rough is None else "tests.support.rough_worker"
        self._start(unit, module, "--revision", str(revision), "--digest", digest, "--index", str(index), **environment)
        if wait:
            self.until(lambda: self.state(unit)["ready"])

    def _start(self, unit: str, module: str, *args: str, **environment: str) -> None:
        with (self.folder / f"{unit}.log").open("ab") as log:
            self.processes[unit] = subprocess.Popen(
                [sys.executable, "-m", module, "--config", str(self.config), *args],
                cwd=ROOT, env={**ENVIRONMENT, **environment}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def state(self, unit: str) -> dict[str, Any]:
        """What a process says of itself."""
        found: dict[str, Any] = json.loads((self.folder / "state" / f"{unit}.json").read_text())
        return found

    def until(self, true: Any, seconds: float = START_SECONDS) -> None:
        """Wait until something holds; a failed process fails the test with its log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(requests.RequestException, FileNotFoundError, KeyError):
                if true():
                    return
            for unit, process in self.processes.items():
                if process.poll() not in {None, 0, -signal.SIGKILL}:
                    raise AssertionError(f"{unit} ended with {process.returncode}:\n{self.log(unit)}")
            time.sleep(0.02)
        raise AssertionError(
            "it did not happen in time:\n" + "\n".join(f"--- {unit}\n{self.log(unit)}" for unit in self.processes)
        )

    def log(self, unit: str) -> str:
        """The end of a process's log."""
        return (self.folder / f"{unit}.log").read_text()[-4000:]

    def kill(self, unit: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Kill a process with all its children (SIGKILL), or ask its main process to end."""
        process = self.processes.pop(unit)
        if how == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        return process.wait(timeout=60)

    def stop(self) -> None:
        """Kill whatever runs."""
        for unit in list(self.processes):
            self.kill(unit)


@contextlib.contextmanager
def deployed(
    folder: Path, store: Path, model: Model, *, workers: int = 1, rough: float | None = None, **options: Any
) -> Iterator[Deployment]:
    """A deployment with revision 1 of a model, up until the block ends."""
    made = Deployment(folder, store, options=options)
    try:
        made.route((1, model.digest, 100))
        made.web()
        for index in range(workers):
            made.worker(1, model.digest, index, rough=rough)
        yield made
    finally:
        made.stop()

"""How each peer is started: as its documentation says, with two processes that predict."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.classifiers import Classifier
from bench.environments import environment
from bench.processes import ROOT
from bench.sides import WORKERS, Side, free_port, server

HERE = Path(__file__).parent
Say = Callable[[str], None]
Start = Callable[[Path, Classifier, Say], AbstractContextManager[Side]]


def _side(name: str, port: int, path: str, folder: Path) -> Side:
    return Side(
        name, f"http://127.0.0.1:{port}{path}", folder, list,
        read=lambda answer: [one["probabilities"] for one in answer["predictions"]],
    )  # fmt: skip


def _surroundings(python: Path, model: Classifier) -> dict[str, str]:
    """Its own commands first; ours to import the shared part from; nobody is told that it was used."""
    return {
        "PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "MODEL": str(model.plain),
        "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip


@contextmanager
def mlflow(folder: Path, model: Classifier, say: Say) -> Iterator[Side]:
    """`mlflow models serve`."""
    python, port = environment("peers/mlflow", HERE / "mlflow.txt", say), free_port()
    around, saved = _surroundings(python, model), folder / "model"
    folder.mkdir(parents=True)
    command = [str(python), "-m", "bench.peers.for_mlflow", str(saved)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | around, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"cannot write the model for MLflow: {done.stderr[-600:]}")
    side = _side("MLflow", port, "/invocations", folder)
    side.body = lambda rows: {"dataframe_records": rows}
    side.read = lambda answer: answer["predictions"]
    command = [
        str(python), "-m", "mlflow", "models", "serve", "--model-uri", str(saved), "--port", str(port), "--workers", str(WORKERS),
        "--env-manager", "local",
    ]  # fmt: skip
    with server(side, command, model, cwd=folder, **around) as up:
        yield up


@contextmanager
def bentoml(folder: Path, model: Classifier, say: Say) -> Iterator[Side]:
    """`bentoml serve`."""
    python, port = environment("peers/bentoml", HERE / "bentoml.txt", say), free_port()
    around = _surroundings(python, model) | {"BENTOML_HOME": str(folder / "home")}
    command = [
        str(python), "-m", "bentoml", "serve", "bench.peers.on_bentoml:Classifier", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    with server(_side("BentoML", port, "/predict", folder), command, model, cwd=ROOT, **around) as up:
        yield up


@contextmanager
def rayserve(folder: Path, model: Classifier, say: Say) -> Iterator[Side]:
    """A Ray of its own with Ray Serve on it."""
    python, port = environment("peers/rayserve", HERE / "rayserve.txt", say), free_port()
    short = tempfile.mkdtemp(prefix="anneal-ray-", dir="/tmp")  # its sockets' paths may have 107 bytes
    command = [str(python), "-m", "bench.peers.on_ray", str(port), short]
    try:
        with server(_side("Ray Serve", port, "/", folder), command, model, cwd=ROOT, **_surroundings(python, model)) as up:
            yield up
    finally:
        shutil.rmtree(short, ignore_errors=True)


PEERS: dict[str, Start] = {"mlflow": mlflow, "bentoml": bentoml, "rayserve": rayserve}

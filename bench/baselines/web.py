"""The plainest server of a scikit-learn model: FastAPI and uvicorn with two workers (asgi.py), in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from bench.classifiers import Classifier
from bench.environments import environment
from bench.processes import ROOT
from bench.sides import WORKERS, Side, free_port, server

HERE = Path(__file__).parent
LABEL = f"FastAPI + uvicorn, {WORKERS} workers, un-queued scikit-learn"
LEAN = "the same, spared pandas"


@contextmanager
def asgi(folder: Path, model: Classifier, say: Callable[[str], None], *, lean: bool = False) -> Iterator[Side]:
    """It, up until the block ends. lean: with the model that takes a matrix."""
    python, port = environment("baselines/asgi", HERE / "asgi.txt", say), free_port()
    command = [
        str(python), "-m", "uvicorn", "bench.baselines.asgi:app", "--host", "127.0.0.1", "--port", str(port),
        "--workers", str(WORKERS), "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    side = Side(
        "fastapi, lean" if lean else "fastapi", f"http://127.0.0.1:{port}/predict", folder, list,
        read=lambda answer: [one["probabilities"] for one in answer["predictions"]],
    )  # fmt: skip
    file, columns = model.lean if lean else model.plain, orjson.dumps(model.columns).decode()
    with server(side, command, model, cwd=ROOT, MODEL=str(file), COLUMNS=columns) as up:
        yield up

"""Whether a model can be served here: `python -m serving.preflight --config FILE --digest D --out result.json`.

In the very environment that would serve it: it is fetched, verified and loaded, its golden rows are predicted, and single rows
are timed. The result is a file, written whole (with `--out -` a line that is printed); the exit code is 0 if it is ok, 1 if
not, 2 if it could not be tried.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson

from modelstore.sampling import sample
from serving import models
from serving.config import Config
from serving.starting import as_child, start

LIBRARIES = {"onnx": ("onnxruntime", "numpy"), "sklearn": ("scikit-learn", "numpy", "skops")}
WARM, TIMED = 5, 200
MARK = "RESULT "
"""Begins the line with the result where it is printed."""
TIMED_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""A model that cannot be had for so long is not tried: the one that serves goes on."""


def check(config: Config, digest: str) -> dict[str, Any]:
    """Try a model. Never raises: what is wrong stands in "error"."""
    found: dict[str, Any] = {
        "ok": False, "digest": digest, "engine": None, "versions": {}, "golden": {"checked": 0, "wrong": 0},
        "latencyMs": {"p50": None, "p99": None}, "error": None,
    }  # fmt: skip
    try:
        folder = models.awaited(config, digest, lambda _: None, PATIENCE_SECONDS)
    except models.ModelUnusable as error:
        return {**found, "error": str(error)}
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe(duplex=False)
    child = forking.Process(target=_child, args=(os.getpid(), theirs, config, folder, found))
    child.start()
    theirs.close()
    try:
        found = ours.recv()
        child.join()
    except EOFError:
        child.join()
        found["error"] = models.ended(config, folder, child.exitcode or 0)
    return found


def _child(parent: int, news: Connection, config: Config, folder: Path, found: dict[str, Any]) -> None:
    """A process of its own: a model can end the one that loads it."""
    as_child(parent)
    news.send(_check(config, folder, found))


def _check(config: Config, folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    try:
        model = models.load(config, folder, found["digest"])
        found["engine"] = model.engine
        found["versions"] = _versions(model.engine)
        checked, wrong = model.check_golden()
        found["golden"] = {"checked": checked, "wrong": len(wrong)}
        found["latencyMs"] = _latency(model)
        if wrong:
            found["error"] = (
                f"{len(wrong)} of {checked} golden rows are predicted differently here, the first of them row {wrong[0]}"
            )
        elif differs := _differing(model, found["versions"]):
            found["error"] = differs
    except models.ModelUnusable as error:
        found["error"] = str(error)
    except Exception as error:  # a model can fail in any way; the deployment must hear of it
        found["error"] = f"{type(error).__name__}: {error}"[:1000]
    found["ok"] = found["error"] is None
    return found


def _versions(engine: str) -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in LIBRARIES[engine]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _differing(model: Any, here: dict[str, str]) -> str:
    """A pipeline of scikit-learn may mean something else to another minor version of it; ONNX means the same to all."""
    there = ((model.metadata.get("lineage") or {}).get("versions") or {}).get("scikit-learn")
    if model.engine == "onnx" or not there or here.get("scikit-learn", "").split(".")[:2] == str(there).split(".")[:2]:
        return ""
    return (
        f"it was trained with scikit-learn {there}, here is {here.get('scikit-learn')}; train it again, or install that version"
    )


def _latency(model: Any) -> dict[str, float]:
    row = sample(model.signature, 1)
    for _ in range(WARM):
        model.predict(row)
    times: list[float] = []
    end = time.perf_counter() + TIMED_SECONDS
    while len(times) < TIMED and time.perf_counter() < end:
        start = time.perf_counter()
        model.predict(row)
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    return {"p50": round(times[len(times) // 2], 4), "p99": round(times[min(len(times) - 1, int(len(times) * 0.99))], 4)}


def main(argv: list[str] | None = None) -> int:
    """Write the result."""
    parser = argparse.ArgumentParser(prog="serving.preflight")
    parser.add_argument("--digest", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args, config = start(parser, argv)
    result = check(config, args.digest)
    if str(args.out) == "-":
        sys.stdout.write(f"{MARK}{orjson.dumps(result).decode()}\n")
        return 0 if result["ok"] else 1
    fresh = args.out.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    fresh.replace(args.out)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())

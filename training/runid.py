"""Which run of an Experiment this is: a hash of all that decides its outcome. Light: the daemon imports it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CONTINUES = ("maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")
"""Fields that may change while the run stays the same run: raised counts go on where it ended. objective.goal is another."""
ELSEWHERE = ("backoffLimit", "modelHistoryLimit", "trialTimeoutSeconds", "clusterRef", "datasetRef")
"""Fields that say where and how patiently, not what. The table is in the hash by its content."""
LIBRARIES = (
    "scikit-learn",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "optuna",
    "skops",
    "skl2onnx",
    "onnxruntime",
    "xgboost",
    "lightgbm",
)
"""What computes. Another version may compute something else."""


def run_id(
    *,
    uid: str,
    dataset_digest: str,
    code_digest: str,
    spec: Mapping[str, Any],
    target: str | None = None,
    types: Mapping[str, str] | None = None,
) -> str:
    """16 hex digits. `spec` is the Experiment's, defaults filled in, camelCase; target and column types are the Dataset's."""
    kept = {name: value for name, value in spec.items() if name not in CONTINUES + ELSEWHERE}
    kept["objective"] = {name: value for name, value in (kept.get("objective") or {}).items() if name != "goal"}
    text = json.dumps(
        [uid, dataset_digest, code_digest, kept, target, types or {}], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def code_digest() -> str:
    """sha256:… over the sources of training and modelstore and the versions of the libraries that compute."""
    root = Path(__file__).parent.parent
    found = hashlib.sha256()
    for path in sorted(path for package in ("modelstore", "training") for path in (root / package).rglob("*.py")):
        found.update(f"{path.relative_to(root).as_posix()}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    found.update(json.dumps(versions(), sort_keys=True).encode())
    return f"sha256:{found.hexdigest()}"


def versions() -> dict[str, str]:
    """The versions of LIBRARIES that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

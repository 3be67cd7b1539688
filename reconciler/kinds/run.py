"""One run of an Experiment: what decides its outcome, its id, and the job that makes it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.contract import Seen, Stop
from drivers.local.unit import UnitSpec
from drivers.ray.local import environment
from reconciler.kinds import common
from reconciler.kinds.local import Local, python
from specs.experiment import Experiment
from specs.meta import Reason
from training.runid import CONTINUES, run_id


@dataclass(frozen=True, slots=True)
class Run:
    """Table, code and spec."""

    id: str
    dataset: Mapping[str, Any]
    """path, digest, columns, target, types."""
    spec: Mapping[str, Any]
    """The Experiment's, defaults filled in."""
    code: str
    """Digest of the code that makes it, or made it."""

    @classmethod
    def of(cls, obj: Experiment, seen: Seen, code_digest: str) -> Run | Stop | None:
        """The run that is wanted now; why there can be none; None while the table is not known."""
        table = common.live_object(seen, "dataset")
        if table is None or not table.status.get("digest"):
            return None
        target = table.spec.get("target")
        if not target:
            return Stop(
                Reason.INVALID_CONFIGURATION, f"Dataset/{table.name} names no target: set spec.target to the column to predict"
            )
        columns = list(table.status.get("columns") or ())
        if target not in (names := [row["name"] for row in columns]):
            shown = ", ".join(names[:20])
            return Stop(
                Reason.INVALID_CONFIGURATION, f'Dataset/{table.name} has no column "{target}", its target; there are {shown}'
            )
        types = {
            row["name"]: row["type"]
            for row in ((table.spec.get("schema") or {}).get("fields") or ())
            if row.get("type") is not None
        }
        spec = obj.spec.model_dump(mode="json", exclude_none=True)
        digest = table.status["digest"]

        def made_by(code: str) -> str:
            return run_id(
                uid=str(obj.metadata.uid), dataset_digest=digest, code_digest=code, spec=spec, target=target, types=types
            )

        code = code_digest
        if (last := _over(obj)) and last.get("counts") == _counts(spec) and made_by(last["code"]) == last["run"]:
            code = last["code"]
        found = made_by(code)
        known = {"digest": digest, "path": table.status["path"], "columns": columns, "target": target, "types": types}
        return cls(found, known, spec, code)

    def model_name(self, obj: Experiment, digest: str) -> str:
        """What its ModelVersion is called."""
        return f"{str(obj.metadata.name)[:54]}-{digest.removeprefix('sha256:')[:8]}"

    @property
    def counts(self) -> str:
        """What may change while the run stays the same."""
        return _counts(self.spec)


def _counts(spec: Mapping[str, Any]) -> str:
    goal = (spec.get("objective") or {}).get("goal")
    return json.dumps([[spec.get(name) for name in CONTINUES], goal, spec.get("trialTimeoutSeconds")])


def _over(obj: Experiment) -> dict[str, Any] | None:
    """The run that made a model, if that is how things stand: a newer anneal is no reason to search the same table again."""
    status = obj.status
    if status is None or status.completion_time is None or not (recorded := status.resolved) or "code" not in recorded:
        return None
    return {"run": status.run_id, "code": recorded["code"], "counts": recorded.get("counts")}


def folder(local: Local, run: Run) -> str:
    """Where the run keeps its trials."""
    return str(local.home.runs / run.id)


def finished(obj: Experiment, run: Run) -> int:
    """How many trials of this run are known to be over: with fewer the job must not go on, for it would run them again."""
    if obj.status is None or obj.status.run_id != run.id:
        return 0
    return sum(count or 0 for count in (obj.status.trials_succeeded, obj.status.trials_failed, obj.status.trials_early_stopped))


def job(local: Local, obj: Experiment, run: Run, seen: Seen) -> UnitSpec:
    """The process that makes the run, on the cluster as it is now."""
    cluster, place = common.live_object(seen, "cluster"), folder(local, run)
    ray: dict[str, Any] | None = None
    env = dict(local.environment)
    if cluster is not None and cluster.status.get("address"):
        ray = {"address": cluster.status["address"], "token_file": cluster.status.get("tokenFile")}
        env |= environment(str(cluster.status["tokenFile"])) if cluster.status.get("tokenFile") else {}
    spec = {
        "experiment": run.spec,
        "dataset": run.dataset,
        "ray": ray,
        "store": local.store_url,
        "uid": obj.metadata.uid,
        "name": obj.metadata.name,
        "finished": finished(obj, run),
    }
    return UnitSpec(
        command=python("training.job", "--run", place),
        mode="job",
        env=env,
        files={f"{place}/spec.json": json.dumps(spec)},
        outputs=(f"{place}/progress.json", f"{place}/result.json"),
        clears=(f"{place}/result.json",),
        logs=(f"{place}/log",),
        removes=(place,),
        label=run.id,
        counts=run.counts,
    )

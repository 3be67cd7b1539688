"""ModelVersion: what we know about a model in the store: its bytes are those that were packaged, or it is not served. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.contract import Done, Driver, Plan, Present, Seen, Stop, Wait
from drivers.local.models import Stored
from drivers.local.tables import Table
from drivers.local.unit import Unit, UnitSpec
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common, processes
from reconciler.kinds.local import Local, python
from reconciler.kinds.progress import last_words
from specs.meta import Reason
from specs.model_version import ModelVersion

MISSING_POLL_SECONDS = 30.0
MOST_EXAMPLE = 4096


@dataclass(frozen=True, slots=True)
class ModelVersionKind:
    """How ModelVersions are reconciled; implements reconciler.engine.kind.Kind."""

    local: Local
    resource: type[ModelVersion] = ModelVersion

    def references(self, obj: ModelVersion) -> Iterable[Reference]:
        """Nothing: a model stands for itself."""
        return ()

    def provider(self, obj: ModelVersion) -> str:
        """The store of this home."""
        return "local"

    def finalizes(self, obj: ModelVersion) -> bool:
        """Only what brings a model: the store keeps models."""
        return obj.spec.uri is not None

    async def drivers(self, obj: ModelVersion) -> Mapping[str, Driver[Any]]:
        """The model; and, for one that is brought, its file and the process that brings it."""
        parts: dict[str, Driver[Any]] = {"model": self.local.store}
        if obj.spec.uri is None:
            return parts
        parts["bring"] = self.local.units
        return parts | ({"file": await self.local.table_of(obj)} if "://" not in obj.spec.uri else {})

    def imported(self, obj: ModelVersion) -> Mapping[str, str]:
        """What the store holds is looked at."""
        out = {"model": digest} if (digest := digest_of(obj)) else {}
        return out | ({"file": obj.spec.uri} if obj.spec.uri and "://" not in obj.spec.uri else {})

    def resolve(self, obj: ModelVersion) -> Mapping[str, Any] | None:
        """Nothing beyond the spec."""
        return None

    def plan(self, obj: ModelVersion, seen: Seen, now: datetime) -> Plan:
        """Verified, or why not."""
        if blind := common.blind(seen):
            return blind
        if obj.spec.uri is not None and (waiting := self._bring(obj, seen, now)) is not None:
            return waiting
        match seen.get("model"):
            case Present(live=Stored(trouble="") as stored):
                return Done(described(stored))
            case Present(live=Stored(trouble=trouble)):
                return Stop(Reason.CORRUPT, f"{trouble}; it is not served")
        return Wait(
            Reason.MODEL_NOT_FOUND,
            f"the store has no model {digest_of(obj)}; train it again, or restore the store",
            MISSING_POLL_SECONDS,
        )

    def teardown(self, obj: ModelVersion, seen: Seen, now: datetime) -> Plan:
        """What brings it ends; the store keeps the model."""
        return processes.gone(("bring",), seen, now, "the ModelVersion is being deleted")

    def status(self, obj: ModelVersion, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """What the package says of itself."""
        out: dict[str, Any] = {}
        if brought := brought_digest(processes.unit_of(seen, "bring")):
            out["digest"] = brought
        match seen.get("model"):
            case Present(live=Stored(trouble="") as stored):
                out |= written(stored)
        return out

    def verdicts(self, obj: ModelVersion, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, Verified."""
        ready = common.ready(seen, plan, Reason.VERIFIED)
        yield ready
        yield Verdict("Verified", ready.status, ready.reason, ready.message)

    def _bring(self, obj: ModelVersion, seen: Seen, now: datetime) -> Plan | None:
        """Bring the model into the store; None once it is there."""
        folder = "/nonexistent"
        match seen.get("file"):
            case Present(live=Table(folder=base, trouble=trouble)):
                folder = base
                if trouble and not digest_of(obj):
                    return Wait(Reason.IMPORT_FAILED, trouble, MISSING_POLL_SECONDS)
        unit = processes.unit_of(seen, "bring")
        if unit is None and digest_of(obj):
            return None
        want = job(self.local, obj, folder)
        if (doing := processes.run("bring", want, seen, now, "the model is not in the store yet")) is not None:
            return doing
        assert unit is not None
        if unit.state == "Running":
            return Wait(Reason.CHECKING, "the model is being checked and packaged", 5.0)
        if error := (unit.outputs.get("result.json") or {}).get("error"):
            return Stop(Reason.IMPORT_FAILED, str(error.get("message") or error))
        if unit.code != 0:
            return Stop(Reason.IMPORT_FAILED, f"{unit.how_it_ended}: {last_words(unit)}")
        return None if digest_of(obj) else Wait(Reason.CHECKING, "the model is in the store", 0.05)


def digest_of(obj: ModelVersion) -> str | None:
    """The model's digest, as far as it is known."""
    return obj.spec.digest or (obj.status.digest if obj.status else None)


def job(local: Local, obj: ModelVersion, folder: str) -> UnitSpec:
    """The process that checks a model that is brought, and packages it."""
    request = {
        "uri": obj.spec.uri,
        "format": obj.spec.model_format,
        "signature": obj.spec.signature_uri,
        "folder": folder,
        "dataRoots": list(local.data_roots),
        "store": local.store_url,
    }
    return UnitSpec(
        command=python("training.bring", "--request", "{folder}/request.json", "--out", "{folder}/out"),
        mode="job",
        env=local.environment,
        files={"request.json": json.dumps(request)},
        outputs=("out/result.json",),
        clears=("out/result.json",),
    )


def brought_digest(unit: Unit | None) -> str | None:
    """The digest of what was brought."""
    if unit is None or unit.state != "Exited" or unit.code != 0:
        return None
    return (unit.outputs.get("result.json") or {}).get("digest")


def described(stored: Stored) -> str:
    """One line about a model."""
    size = f"{stored.bytes / 1000:.0f} kB" if stored.bytes < 10_000_000 else f"{stored.bytes / 1e6:.0f} MB"
    return f"{' + '.join(stored.formats)}, {size}"


def written(stored: Stored) -> dict[str, Any]:
    """What the package says of itself, as status."""
    about, lineage = stored.metadata, stored.metadata.get("lineage") or {}
    parameters = about.get("parameters") or {}
    features = about.get("features") or []
    names = [str(row.get("name") if isinstance(row, Mapping) else row)[:511] for row in features]
    return {
        "digest": stored.digest,
        "path": stored.path,
        "bytes": stored.bytes,
        "formats": stored.formats,
        "task": (stored.signature.get("target") or {}).get("task"),
        "estimator": _short(about.get("estimator")),
        "metrics": common.texts(about.get("metrics")),
        "parameters": [{"name": str(key)[:255], "value": str(value)[:255]} for key, value in parameters.items()][:64],
        "features": names[:200],
        "example": example(stored.signature),
        "lineage": {
            "experiment": _short(lineage.get("experiment"), 63),
            "runId": _short(lineage.get("runId"), 64),
            "datasetDigest": _short(lineage.get("datasetDigest"), 71),
            "codeDigest": _short(lineage.get("codeDigest"), 71),
            "seed": lineage.get("seed"),
        },
        "note": _short(about.get("note"), 1024),
    }


def example(signature: Mapping[str, Any]) -> str | None:
    """One row to try a model with, as JSON; None where it would be too long to read."""
    row = {str(column["name"]): column.get("example") for column in signature.get("inputs") or ()}
    text = json.dumps(row, ensure_ascii=False)
    return text if row and len(text) <= MOST_EXAMPLE else None


def _short(value: Any, most: int = 255) -> str | None:
    return None if value is None else str(value)[:most]

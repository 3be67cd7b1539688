"""Dataset: the whole of what we know about wanting one table. Pure; a job fetches it and looks at it.

A job is told apart by its label: the spec and, for a local file, its stamp. Another label is another look.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drivers.contract import Done, Driver, Plan, Present, Seen, Step, Stop, Wait
from drivers.local.tables import Table
from drivers.local.unit import Unit, UnitSpec
from reconciler.client import SECRETS
from reconciler.engine.clock import to_text
from reconciler.engine.kind import Reference, Verdict
from reconciler.kinds import common, processes
from reconciler.kinds.credentials import Credentials
from reconciler.kinds.local import Local, python
from specs.dataset import Dataset
from specs.meta import Reason

MISSING_POLL_SECONDS = 30.0
FETCH_RETRIES = ("FetchFailed",)
"""Errors of a fetch that another try may mend. The others wait for another table or another spec."""
REASONS = {
    "Forbidden": Reason.FORBIDDEN,
    "DigestMismatch": Reason.DIGEST_MISMATCH,
    "InvalidData": Reason.CHECKS_FAILED,
    "InvalidSpec": Reason.INVALID_CONFIGURATION,
}


@dataclass(frozen=True, slots=True)
class DatasetKind:
    """How Datasets are reconciled; implements reconciler.engine.kind.Kind."""

    local: Local
    credentials: Credentials
    resource: type[Dataset] = Dataset

    def references(self, obj: Dataset) -> Iterable[Reference]:
        """The Secret with the credentials, if they come from one."""
        if (ref := obj.spec.credentials_ref) and ref.secret_key_ref:
            yield Reference(SECRETS, common.namespace(obj), ref.secret_key_ref.name)

    def provider(self, obj: Dataset) -> str:
        """This machine fetches."""
        return "local"

    def finalizes(self, obj: Dataset) -> bool:
        """The job."""
        return True

    async def drivers(self, obj: Dataset) -> Mapping[str, Driver[Any]]:
        """The job; and the file, where it is one of this machine."""
        units = self.local.units
        if (ref := obj.spec.credentials_ref) is not None and not obj.metadata.deletion_timestamp:
            units = units.with_secrets({"secret": await self.credentials.read(ref, common.namespace(obj))})
        parts: dict[str, Driver[Any]] = {"profile": units}
        return parts | ({"table": await self.local.table_of(obj)} if obj.spec.is_local else {})

    def imported(self, obj: Dataset) -> Mapping[str, str]:
        """The local file: somebody else's."""
        return {"table": obj.spec.uri} if obj.spec.is_local else {}

    def resolve(self, obj: Dataset) -> Mapping[str, Any] | None:
        """Nothing beyond the spec."""
        return None

    def plan(self, obj: Dataset, seen: Seen, now: datetime) -> Plan:
        """Look at the table as it is now; once."""
        if blind := common.blind(seen):
            return blind
        table = table_of(seen)
        if table is not None and table.trouble:
            return Wait(Reason.FETCH_FAILED, table.trouble, MISSING_POLL_SECONDS)
        want = job(self.local, obj, table)
        unit = processes.unit_of(seen, "profile")
        if unit is None or unit.state == "Stopping" or unit.digest != want.digest:
            again = "the table or the spec changed" if unit else "the table was not looked at yet"
            return processes.run("profile", want, seen, now, again) or Done()
        if unit.state == "Running":
            return Wait(Reason.FETCHING, f"fetching and looking at {obj.spec.uri}", 5.0)
        return conclude(obj, want, unit, now)

    def teardown(self, obj: Dataset, seen: Seen, now: datetime) -> Plan:
        """The job ends; the table stays among the data: others may use the same content."""
        return processes.gone(("profile",), seen, now, "the Dataset is being deleted")

    def status(self, obj: Dataset, seen: Seen, plan: Plan) -> Mapping[str, Any]:
        """What the last look that ended has found."""
        unit = processes.unit_of(seen, "profile")
        found = result_of(unit)
        if unit is None or found is None or found.get("error") or unit.label != label(obj, table_of(seen)):
            return {}
        fetched = to_text(datetime.fromtimestamp(unit.ended or unit.started, UTC))
        return {
            **{name: found[name] for name in ("digest", "path", "rows", "bytes")},
            "columns": [column_row(row) for row in found["columns"][:2000]],
            "problems": [problem_row(row) for row in found["problems"][:100]],
            "fetchedTime": fetched,
        }

    def verdicts(self, obj: Dataset, seen: Seen, plan: Plan) -> Iterable[Verdict]:
        """Ready, Available, Valid."""
        ready = common.ready(seen, plan, Reason.VALID, serving=still(obj, plan))
        yield ready
        if ready.status == "True" or ready.reason == Reason.CHECKS_FAILED:
            yield Verdict("Available", "True", Reason.OBSERVED)
        else:
            yield Verdict("Available", ready.status, ready.reason, ready.message)
        yield Verdict("Valid", ready.status, ready.reason, ready.message)


def table_of(seen: Seen) -> Table | None:
    """The local file, if it is one."""
    match seen.get("table"):
        case Present(live=Table() as table):
            return table
    return None


def label(obj: Dataset, table: Table | None) -> str:
    """Tells one look from another."""
    text = json.dumps([asked(obj), table.path if table else "", table.stamp if table else ""], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked(obj: Dataset) -> dict[str, Any]:
    """What decides what a look finds. How often to look is no part of it."""
    return obj.spec.model_dump(mode="json", exclude_none=True, exclude={"refresh_interval_seconds"})


def job(local: Local, obj: Dataset, table: Table | None) -> UnitSpec:
    """The process that fetches the table and looks at it."""
    request = {
        "spec": asked(obj),
        "folder": (table.folder if table else "") or "/nonexistent",
        "dataRoots": list(local.data_roots),
        "dataFolder": str(local.home.data),
        "secretFile": "{folder}/secret" if obj.spec.credentials_ref else None,
    }
    return UnitSpec(
        command=python("training.profile", "--request", "{folder}/request.json", "--out", "{folder}/out"),
        mode="job",
        env=local.environment,
        files={"request.json": json.dumps(request)},
        outputs=("out/result.json",),
        label=label(obj, table),
    )


def result_of(unit: Unit | None) -> Mapping[str, Any] | None:
    """What a look that ended in good order has found."""
    if unit is None or unit.state != "Exited" or unit.code != 0:
        return None
    found: Mapping[str, Any] | None = unit.outputs.get("result.json")
    return found


def conclude(obj: Dataset, want: UnitSpec, unit: Unit, now: datetime) -> Plan:
    """What follows from a look that ended."""
    found = result_of(unit)
    if found is None:
        if unit.code == 0:
            return Stop(Reason.INTERNAL_ERROR, "the look at the table left no result; see `anneal logs`")
        return processes.restart("profile", want, unit, now)
    if error := found.get("error"):
        if error["reason"] not in FETCH_RETRIES:
            return Stop(REASONS.get(error["reason"], Reason.FETCH_FAILED), error["message"])
        again = processes.restart("profile", want, unit, now)
        return Wait(Reason.FETCH_FAILED, error["message"], again.seconds) if isinstance(again, Wait) else again
    if found["problems"]:
        return Stop(Reason.CHECKS_FAILED, "; ".join(problem(row) for row in found["problems"][:5]))
    if obj.spec.refresh_interval_seconds and not obj.spec.is_local:
        left = (unit.ended or unit.started) + obj.spec.refresh_interval_seconds - now.timestamp()
        if left <= 0:
            anew = want.change() | {"fresh": True}
            return (Step("update", "profile", "it is time to fetch it anew", anew, ref=unit.id),)
        return Done(described(found), left)
    return Done(described(found))


def still(obj: Dataset, plan: Plan) -> str:
    """In what way the table on record can be used while it is looked at anew, or cannot be; empty if there is none."""
    if not common.held(obj) or obj.status is None or obj.status.digest is None:
        return ""
    there = f"{obj.status.rows or 0:,} rows, {len(obj.status.columns)} columns, {obj.status.digest[:15]}…"
    match plan:
        case Wait(reason=Reason.FETCH_FAILED | Reason.RESTARTING, message=message):
            return f"{there}; not looked at anew: {message}"
        case _:
            return f"{there}; looking at it again"


def described(found: Mapping[str, Any]) -> str:
    """One line about a table."""
    return f"{found['rows']:,} rows, {len(found['columns'])} columns, {found['digest'][:15]}…"


def problem(row: Mapping[str, Any]) -> str:
    """One line about a problem: column, rows, what."""
    where = f"column {row['column']}: " if row.get("column") else ""
    rows = row.get("rows") or []
    shown = f" (row{'s' * (len(rows) != 1)} {', '.join(map(str, rows[:10]))}{', …' if len(rows) > 10 else ''})" if rows else ""
    return f"{where}{row['message']}{shown}"


def problem_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A problem as the status holds it."""
    return {"column": row.get("column"), "rows": list(row.get("rows") or [])[:32], "message": str(row["message"])[:1024]}


def column_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A column as the status holds it."""
    limits = {name: None if row.get(name) is None else str(row[name])[:255] for name in ("minimum", "maximum")}
    missing = row.get("missing") or 0.0
    return {
        "name": str(row["name"])[:255],
        "type": str(row["type"]),
        "missing": 0.0 if math.isnan(missing) else round(float(missing), 6),
        "unique": row.get("unique"),
        **limits,
    }

"""What a table holds, and whether it is what its Dataset asks for: columns, types, constraints, checks."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from specs.dataset import ColumnSpec, DatasetSpec
from training.problem import MAX_NAMED, Problem
from training.table import type_of


def describe(table: pa.Table) -> list[dict[str, Any]]:
    """One entry per column: name, type, missing (share), unique (count), minimum and maximum as text (None for texts)."""
    return [_column(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]


def _column(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    kind, rows = type_of(column.type), len(column)
    minimum = maximum = None
    if kind != "string":
        bounds = pc.min_max(column)
        minimum, maximum = _text(bounds["min"].as_py()), _text(bounds["max"].as_py())
    return {
        "name": name,
        "type": kind,
        "missing": column.null_count / rows if rows else 0.0,
        "unique": pc.count_distinct(column, mode="only_valid").as_py(),
        "minimum": minimum,
        "maximum": maximum,
    }


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else f"{value:.12g}"


def check(table: pa.Table, spec: DatasetSpec) -> list[Problem]:
    """Everything that the spec asks for and the table does not hold."""
    problems = _whole(table, spec)
    if spec.target is not None:
        problems += _target(table, spec.target)
    if spec.table_schema is None:
        return problems
    named = {column.name for column in spec.table_schema.fields}
    if spec.table_schema.extra_fields == "Deny":
        problems += [
            Problem(name, [], "schema.extraFields denies a column of this name")
            for name in table.column_names
            if name not in named
        ]
    for wanted in spec.table_schema.fields:
        if wanted.name not in table.column_names:
            problems.append(Problem(wanted.name, [], f"there is no such column; there are {_some(table.column_names)}"))
        else:
            problems += _constraints(table.column(wanted.name), wanted)
    return problems


def _whole(table: pa.Table, spec: DatasetSpec) -> list[Problem]:
    checks, problems = spec.checks, []
    if table.num_rows < checks.min_rows:
        problems.append(Problem(None, [], f"it has {table.num_rows} rows, fewer than checks.minRows = {checks.min_rows}"))
    for name, column in zip(table.column_names, table.columns, strict=True):
        problems += _nulls(name, column, checks.max_null_share, "checks.maxNullShare")
    if checks.unique_rows and (rows := _repeated(table)):
        problems.append(Problem(None, rows[:MAX_NAMED], f"{len(rows)} row(s) stand twice (checks.uniqueRows)"))
    return problems


def _target(table: pa.Table, target: str) -> list[Problem]:
    if target not in table.column_names:
        return [Problem(target, [], f"there is no such column to be the target; there are {_some(table.column_names)}")]
    column = table.column(target)
    if len(column) and column.null_count == len(column):
        return [Problem(target, [], "the target has no value in any row; give it some, or name another column")]
    if column.null_count < len(column) - 1 and pc.count_distinct(column, mode="only_valid").as_py() == 1:
        return [Problem(target, [], "the target has the same value in all rows: there is nothing to tell apart")]
    return []


def _constraints(column: pa.ChunkedArray, wanted: ColumnSpec) -> list[Problem]:
    asked, name = wanted.constraints, wanted.name
    problems = _nulls(name, column, asked.max_null_share, "constraints.maxNullShare")
    if asked.required and column.null_count:
        problems.append(Problem(name, _rows(pc.is_null(column)), f"{column.null_count} row(s) have no value, which is required"))
    if asked.unique and (rows := _repeated(pa.table({name: column.drop_null()}))):
        problems.append(Problem(name, rows[:MAX_NAMED], f"{len(rows)} value(s) stand twice"))
    if type_of(column.type) in ("integer", "number"):
        for bound, compare, word in (
            (asked.minimum, pc.less, "below the minimum"),
            (asked.maximum, pc.greater, "above the maximum"),
        ):
            if bound is not None and (rows := _rows(compare(column, pa.scalar(bound, pa.float64())), None)):
                problems.append(Problem(name, rows[:MAX_NAMED], f"{len(rows)} value(s) are {word}, {bound:g}"))
    if asked.enum is not None:
        strange = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column.cast(pa.string()), pa.array(asked.enum))))
        if rows := _rows(strange, None):
            problems.append(Problem(name, rows[:MAX_NAMED], f"{len(rows)} value(s) are none of {_some(asked.enum)}"))
    return problems


def _nulls(name: str, column: pa.ChunkedArray, most: float, where: str) -> list[Problem]:
    share = column.null_count / len(column) if len(column) else 0.0
    if share <= most:
        return []
    return [Problem(name, _rows(pc.is_null(column)), f"{share:.1%} of the values are missing, more than {where} = {most:g}")]


def _rows(mask: pa.ChunkedArray, limit: int | None = MAX_NAMED) -> list[int]:
    found: list[int] = pc.indices_nonzero(mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask).to_pylist()
    return [row + 1 for row in found[:limit]]


def _repeated(table: pa.Table) -> list[int]:
    """The rows that are like an earlier one."""
    numbered = table.append_column("\x00row", pa.array(range(1, table.num_rows + 1), pa.int64()))
    first = numbered.group_by(table.column_names, use_threads=False).aggregate([("\x00row", "min")])
    return sorted(set(range(1, table.num_rows + 1)) - set(first.column("\x00row_min").to_pylist()))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, … ({len(names)} in all)"

"""What a table is found to hold, and what is said when it is not what its Dataset asks for."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.training.conftest import PENGUINS, ROOT
from training.errors import DigestMismatch, InvalidData
from training.profile import format_of, main, profile
from training.table import read


def looked(tmp_path: Path, text: str | bytes, **spec: Any) -> dict[str, Any]:
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return profile({"spec": {"uri": "t.csv", **spec}, "folder": str(tmp_path), "dataFolder": str(tmp_path / "data")})


def test_the_penguins_are_found_as_they_are() -> None:
    """Rows, types, missing shares, ranges: of a real table with missing values and categories."""
    table = read(PENGUINS).table
    from training.schema import describe

    rows = {row["name"]: row for row in describe(table)}
    assert table.num_rows == 344
    assert {name: row["type"] for name, row in rows.items()} == {
        "species": "string", "island": "string", "bill_length_mm": "number", "bill_depth_mm": "number",
        "flipper_length_mm": "integer", "body_mass_g": "integer", "sex": "string", "year": "integer",
    }  # fmt: skip
    assert rows["sex"]["missing"] == pytest.approx(11 / 344)
    assert (rows["body_mass_g"]["minimum"], rows["body_mass_g"]["maximum"]) == ("2700", "6300")
    assert rows["species"]["unique"] == 3


def test_the_process_writes_its_result(tmp_path: Path) -> None:
    """`python -m training.profile` leaves result.json, and the table under its digest."""
    request = {"spec": {"uri": PENGUINS.name}, "folder": str(PENGUINS.parent), "dataFolder": str(tmp_path / "data")}
    (tmp_path / "req.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "training.profile", "--request", str(tmp_path / "req.json"), "--out", str(tmp_path / "out")]
    subprocess.run(command, check=True, timeout=60, cwd=ROOT)
    found = json.loads((tmp_path / "out" / "result.json").read_bytes())
    assert found["error"] is None
    assert found["problems"] == []
    assert found["digest"] == f"sha256:{hashlib.sha256(PENGUINS.read_bytes()).hexdigest()}"
    assert Path(found["path"]).read_bytes() == PENGUINS.read_bytes()


@pytest.mark.parametrize(
    ("spec", "reason"), [({"uri": "../x.csv"}, "Forbidden"), ({"uri": "x.csv"}, "FetchFailed"), ({"uri": 7}, "InternalError")]
)  # fmt: skip
def test_whatever_goes_wrong_there_is_a_result(tmp_path: Path, spec: Any, reason: str) -> None:
    """An error is a record that says why, never a process without a word."""
    request = {"spec": spec, "folder": str(tmp_path), "dataFolder": str(tmp_path / "data")}
    (tmp_path / "req.json").write_text(json.dumps(request))
    assert main(["--request", str(tmp_path / "req.json"), "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "result.json").read_bytes())["error"]["reason"] == reason


def test_another_content_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """A pinned table is that table."""
    with pytest.raises(DigestMismatch):
        looked(tmp_path, "a\n1\n", digest="sha256:" + "0" * 64)
    digest = f"sha256:{hashlib.sha256(b'a,b' + bytes([10]) + b'1,2' + bytes([10])).hexdigest()}"
    assert looked(tmp_path, "a,b\n1,2\n", digest=digest)["digest"] == digest


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("a,b\n1,x\n2,y\n", {"a": "integer", "b": "string"}),
        ("a;b\n1,5;x\n2;y\n", {"a": "string", "b": "string"}),
        ("a\tb\n1.5\ttrue\n\tfalse\n", {"a": "number", "b": "boolean"}),
        ('"a, b"|c\n2026-01-31|1\nNA|2\n', {"a, b": "datetime", "c": "integer"}),
        ("\ufeffa,b\n1,NA\nNaN,3\n", {"a": "integer", "b": "integer"}),
        ('a,b\n"NA",1\nx,2\n', {"a": "string", "b": "integer"}),
        ("a,b\n,1\n,2\n", {"a": "string", "b": "integer"}),
    ],
    ids=["comma", "semicolon", "tab", "pipe and quotes", "byte order mark", "a quoted NA is a text", "empty column"],
)
def test_types_are_inferred(tmp_path: Path, text: str, types: dict[str, str]) -> None:
    """The delimiter is the one of the header line; what says nothing is missing."""
    found = looked(tmp_path, text)
    assert {row["name"]: row["type"] for row in found["columns"]} == types
    assert found["problems"] == []


def test_parquet_is_the_same_as_csv(tmp_path: Path) -> None:
    """Both ways of writing a table give the same columns."""
    table = read(PENGUINS).table
    pa.parquet.write_table(table, tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet").table.equals(table)
    nested = pa.table({"a": pa.array([[1], [2]])})
    pa.parquet.write_table(nested, tmp_path / "n.parquet")
    with pytest.raises(InvalidData, match="list"):
        read(tmp_path / "n.parquet")


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("t.csv", "csv"), ("t", "csv"), ("t.PARQUET", "parquet"), ("https://h/t.parquet?x=.csv", "parquet"),
        ("s3://b/t.pq", "parquet"),
    ],
)  # fmt: skip
def test_auto_looks_at_the_end_of_the_path(uri: str, kind: str) -> None:
    """And not at the query."""
    from specs.dataset import DatasetSpec

    assert format_of(DatasetSpec(uri=uri)) == kind


TABLE = "id,age,kind\n1,30,a\n2,-4,b\n2,,c\n4,200,\n"


@pytest.mark.parametrize(
    ("field", "column", "rows", "words"),
    [
        ({"name": "id", "constraints": {"unique": True}}, "id", [3], "twice"),
        ({"name": "age", "constraints": {"minimum": 0, "maximum": 120}}, "age", [2], "below the minimum"),
        ({"name": "age", "constraints": {"required": True}}, "age", [3], "required"),
        ({"name": "kind", "constraints": {"enum": ["a", "b"]}}, "kind", [3], "none of a, b"),
        ({"name": "kind", "constraints": {"maxNullShare": 0.1}}, "kind", [4], "25.0%"),
        ({"name": "kind", "type": "number"}, "kind", [1, 2, 3], "no number"),
        ({"name": "size"}, "size", [], "no such column"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_problem_names_column_and_rows(tmp_path: Path, field: Any, column: str, rows: list[int], words: str) -> None:
    """Types, ranges, null shares, uniqueness, values: what fails is told with the rows, counted from 1."""
    found = looked(tmp_path, TABLE, schema={"fields": [field]})["problems"][0]
    assert found["column"] == column
    assert found["rows"] == rows
    assert words in found["message"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"checks": {"minRows": 5}}, "fewer than"),
        ({"checks": {"maxNullShare": 0.2}}, "25.0%"),
        ({"checks": {"uniqueRows": True}}, "stand twice"),
        ({"target": "prize"}, "no such column to be the target"),
        ({"schema": {"fields": [{"name": "id"}], "extraFields": "Deny"}}, "denies"),
    ],
    ids=["minRows", "maxNullShare", "uniqueRows", "target", "extraFields"],
)
def test_the_whole_table_is_checked(tmp_path: Path, spec: Any, words: str) -> None:
    """Size, missing values, repeated rows, the target, columns that nobody expects."""
    text = TABLE + "1,30,a\n" if "uniqueRows" in str(spec) else TABLE
    assert any(words in row["message"] for row in looked(tmp_path, text, **spec)["problems"])


def test_a_schema_keeps_leading_zeros(tmp_path: Path) -> None:
    """A column that is said to be text is read as text."""
    found = looked(tmp_path, "zip,x\n00123,1\n10000,2\n", schema={"fields": [{"name": "zip", "type": "string"}]})
    assert found["columns"][0]["type"] == "string"
    assert read(Path(found["path"]), {"zip": "string"}).table.column("zip").to_pylist() == ["00123", "10000"]


def test_rows_of_another_length_are_named(tmp_path: Path) -> None:
    """And the others are read."""
    found = looked(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert found["rows"] == 2
    assert found["problems"][0]["rows"] == [2, 3]


@pytest.mark.parametrize(
    "text", [b"", b"\x00\xff\xfe", b"a,a\n1,2\n", b"a,b\n\xff\xfe,1\n"], ids=["empty", "binary", "twice", "latin"]
)
def test_what_is_no_table_says_so(tmp_path: Path, text: bytes) -> None:
    """Without repeating what is in it."""
    with pytest.raises(InvalidData) as caught:
        looked(tmp_path, text)
    assert "\ufffd" not in str(caught.value)

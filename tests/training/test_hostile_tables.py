"""Tables as the world writes them: read where that is safe, and otherwise refused in words that name line, row and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from training.profile import main

WIDE = 100_000


def looked(folder: Path, content: bytes, name: str = "t.csv", **spec: Any) -> dict[str, Any]:
    """What the process says of a table, whatever it is."""
    (folder / name).write_bytes(content)
    request = {"spec": {"uri": name, **spec}, "folder": str(folder), "dataFolder": str(folder / "data")}
    (folder / "request.json").write_text(json.dumps(request))
    assert main(["--request", str(folder / "request.json"), "--out", str(folder / "out")]) == 0
    found: dict[str, Any] = json.loads((folder / "out" / "result.json").read_bytes())
    return found


@pytest.mark.parametrize(
    ("content", "rows", "names"),
    [
        (b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y\r\n", 2, ["a", "b"]),
        (b'a,b\n1,"x\ny"\n2,"said ""no"""\n', 2, ["a", "b"]),
        (b"a\n1\n2\n", 2, ["a"]),
        (b"\n\na;b\n1;2\n", 1, ["a", "b"]),
        ("größe,名前\n1,ペンギン\n".encode(), 1, ["größe", "名前"]),
        (b"a,b\n1,2", 1, ["a", "b"]),
        (b'a,b\n1,5" disk\n', 1, ["a", "b"]),
        (b"a,b\ninf,1\n-inf,2\n3,4\n", 3, ["a", "b"]),
    ],
    ids=[
        "mark and CRLF", "newlines and quotes in quotes", "one column", "empty lines first", "letters of the world",
        "no last newline", "a quote within a value", "infinities",
    ],
)  # fmt: skip
def test_what_can_be_read_is_read(tmp_path: Path, content: bytes, rows: int, names: list[str]) -> None:
    """However spreadsheets and programs write CSV, the table is the same, and nothing is complained of."""
    found = looked(tmp_path, content)
    assert (found["rows"], [column["name"] for column in found["columns"]]) == (rows, names)
    assert (found["problems"], found["error"]) == ([], None)


REFUSED = {
    "no byte": (b"", "it is empty"),
    "empty lines": (b"\r\n\n\n", "it is empty"),
    "a header line that does not end": (b"a,b", "nothing but a header line"),
    "a name twice": (b"a,b,a\n1,2,3\n", "columns 1 and 3 are both called 'a'"),
    "Latin-1 in a value": ("who,n\nBob,1\nJosé,2\n".encode("latin-1"), "column 'who', row 2 is no UTF-8"),
    "Latin-1 in the header line": ("prénom,n\nBob,1\n".encode("latin-1"), "the header line is no UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    "too many columns": (",".join(f"c{i}" for i in range(WIDE)).encode() + b"\n", "100,000 columns, 2,000 is the most"),
    "a huge cell": (b"a,b\n1,2\n3," + b"x" * (40 << 20) + b"\n", "line 3 is longer than 16 MiB"),
    "a web page": (b"<!DOCTYPE html>\n<html><body>secret-404</body></html>\n", "it is a web page"),
    "a spreadsheet": (b"PK\x03\x04" + bytes(100), "it is a zip archive"),
    "compressed": (b"\x1f\x8b\x08\x00" + bytes(100), "compressed"),
    "Parquet by another name": (b"PAR1" + bytes(100), "set spec.format to parquet"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str) -> None:
    """An error of one line says what the file is and what to do about it; nothing that it holds is repeated."""
    content, words = REFUSED[name]
    error = looked(tmp_path, content)["error"]
    assert error["reason"] == "InvalidData"
    assert error["message"].startswith("cannot read the table")
    assert words in error["message"]
    assert len(error["message"]) < 200
    assert "secret" not in error["message"]


def test_a_text_column_is_looked_at_as_any(tmp_path: Path) -> None:
    """A column that the schema calls text is refused by row, too, where it is no UTF-8."""
    content = "who\nBob\nJosé\n".encode("latin-1")
    error = looked(tmp_path, content, schema={"fields": [{"name": "who", "type": "string"}]})["error"]
    assert "column 'who', row 2 is no UTF-8" in error["message"]


PROBLEMS = {
    "only a header line": (b"a,y\n", None, [], "it has 0 rows, fewer than checks.minRows = 1"),
    "rows of other lengths": (b"a,y\n1,2\n3\n4,5,6\n7,8\n", None, [2, 3], "2 row(s) have not the 2 fields"),
    "a quote that is never closed": (b'a,y\n1,2\n2,"x\n3,4\n5,6\n', "y", [2], "never closed: the 4 lines"),
    "a column without a name": (b"a,,y\n1,2,3\n4,5,6\n", None, [], "column 2 has no name"),
    "a name of two lines": (b'"a\nb",y\n1,2\n3,4\n', None, [], "the name of column 1 holds a control character"),
    "an endless name": (b"a" * 300 + b",y\n1,2\n3,4\n", None, [], "the name of column 1 is longer than 255"),
    "a target of one class": (b"a,y\n1,x\n2,x\n3,\n", "y", [], "the same value in all rows"),
    "a target that is missing": (b"a,y\n1,\n2,NA\n", "y", [], "the target has no value in any row"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_within_a_table_is_named(tmp_path: Path, name: str) -> None:
    """A problem names the column and the rows, so that a person finds the place; the rest of the table is described."""
    content, column, rows, words = PROBLEMS[name]
    found = looked(tmp_path, content, target="y")
    assert found["error"] is None
    assert found["columns"][-1]["name"] == "y"
    problem = next(row for row in found["problems"] if words in row["message"])
    assert (problem["column"], problem["rows"]) == (column, rows)


def test_parquet_is_looked_at_the_same_way(tmp_path: Path) -> None:
    """Too wide, nested, or no Parquet at all: an error that says so."""
    pa.parquet.write_table(pa.table({f"c{i}": [1] for i in range(2001)}), tmp_path / "wide.parquet")
    pa.parquet.write_table(pa.table({"a": [1], "tags": [["x"]]}), tmp_path / "nested.parquet")
    cases = {
        "wide.parquet": ((tmp_path / "wide.parquet").read_bytes(), "2,001 columns"),
        "nested.parquet": ((tmp_path / "nested.parquet").read_bytes(), "cannot read column 'tags': it is of type list"),
        "other.parquet": (b"a,b\n1,2\n", "cannot read the table as parquet"),
    }
    for name, (content, words) in cases.items():
        error = looked(tmp_path, content, name)["error"]
        assert error["reason"] == "InvalidData", error
        assert words in error["message"]

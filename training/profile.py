"""`python -m training.profile --request REQ.json --out DIR`: fetch a Dataset's table, pin it, say what it holds.

REQ.json:  {"spec": <a Dataset's spec>, "folder": <of its file>, "dataRoots": [folders], "dataFolder": <where tables are kept>,
            "secretFile": <path> | null, "seconds": <for the fetch> | null}
DIR/result.json:  {"digest", "path", "rows", "bytes", "columns": [{name, type, missing, unique, minimum, maximum}],
                   "problems": [{"column", "rows", "message"}], "error": null | {reason, message}}

A problem is the table's fault, an error that of getting it. Exit code 0: there is a result.json, whatever it says.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specs.dataset import DatasetSpec
from training.answering import answered
from training.errors import DigestMismatch
from training.fetch import Source, fetch
from training.files import encode, write_json

MAX_PROBLEMS = 100
NOTHING: dict[str, Any] = {
    "digest": None,
    "path": None,
    "rows": None,
    "bytes": None,
    "columns": [],
    "problems": [],
    "error": None,
}


def main(argv: list[str] | None = None) -> int:
    """Do what the request asks; everything that can go wrong stands in the result."""
    parser = argparse.ArgumentParser(prog="python -m training.profile", description="Fetch a table and say what it holds.")
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "result.json", answered(profile, args.request, NOTHING, "profile the table"))
    return 0


def profile(request: dict[str, Any], *, resolver: Any = None) -> dict[str, Any]:
    """Fetch, pin, read, describe and check; the result as above, without an error. TrainingError."""
    spec = DatasetSpec.model_validate_json(encode(request["spec"]))
    secret = request.get("secretFile")
    source = Source(
        uri=spec.uri, folder=Path(request["folder"]), roots=tuple(Path(root) for root in request.get("dataRoots") or ()),
        allowed_hosts=tuple(spec.allowed_hosts), max_bytes=spec.max_bytes, seconds=request.get("seconds") or 3600.0,
        secret=Path(secret).read_text(encoding="utf-8").strip() if secret else None,
    )  # fmt: skip
    got = fetch(source, Path(request["dataFolder"]), format_of(spec), resolver=resolver)
    if spec.digest is not None and got.digest != spec.digest:
        raise DigestMismatch(
            f"cannot use the table: its digest is {got.digest}, the spec pins {spec.digest}; "
            "restore the file, or change spec.digest"
        )
    from training import schema, table  # Arrow takes its time: who may not fetch does not wait for it

    fields = spec.table_schema.fields if spec.table_schema else ()
    read = table.read(got.path, {column.name: column.type for column in fields if column.type})
    problems = [*read.problems, *schema.check(read.table, spec)]
    return NOTHING | {
        "digest": got.digest,
        "path": str(got.path),
        "rows": read.table.num_rows,
        "bytes": got.bytes,
        "columns": schema.describe(read.table),
        "problems": [asdict(problem) for problem in problems[:MAX_PROBLEMS]],
    }


def format_of(spec: DatasetSpec) -> str:
    """csv or parquet: as the spec says, else by the end of the URI's path."""
    if spec.format != "auto":
        return spec.format
    end = spec.uri.partition("?")[0].partition("#")[0].lower() if "://" in spec.uri else spec.uri.lower()
    return "parquet" if end.endswith((".parquet", ".pq")) else "csv"


if __name__ == "__main__":
    sys.exit(main())

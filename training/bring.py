"""`python -m training.bring --request REQ.json --out DIR`: a model of the user's own, fetched, checked, packaged, stored.

REQ.json: {"uri", "format": auto | skops | onnx | package, "signature": <uri> | null, "folder", "dataRoots", "store"}
DIR/result.json: {"digest", "onnx", "note", "error": null} or {"digest": null, "error": {reason, message}}
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import modelstore
from modelstore import memory
from training.answering import answered
from training.fetch import Source, fetch, local_folder
from training.files import write_json

MAX_BYTES = 4_000_000_000
EXTENSIONS = ("skops", "onnx", "json")


def main(argv: list[str] | None = None) -> int:
    """Bring the model in; what can go wrong stands in the result."""
    parser = argparse.ArgumentParser(prog="python -m training.bring", description="Bring a model into the store.")
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "result.json", answered(_brought, args.request, {"digest": None}, "bring the model"))
    return 0


def _brought(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return bring(request) | {"error": None}
    except modelstore.ModelError as e:
        return {"digest": None, "error": {"reason": type(e).__name__, "message": str(e)[:1000]}}


def bring(request: dict[str, Any]) -> dict[str, Any]:
    """Fetch, check, package, store: digest, onnx, note. TrainingError, ModelError."""
    from modelstore.bringing import read_signature

    with tempfile.TemporaryDirectory(prefix="anneal-bring-") as temporary:
        folder = Path(temporary)
        signature = read_signature(_fetched(request, request["signature"], folder)) if request.get("signature") else None
        source = local_folder(_source(request, request["uri"])) or _fetched(request, request["uri"], folder)
        with memory.limited(memory.allowance(source)):
            packaged = modelstore.bring(source, folder / "model", format=request.get("format") or "auto", signature=signature)
        digest = modelstore.Store(request["store"]).put(folder / "model")
        return {"digest": digest, "onnx": packaged.onnx, "note": packaged.note}


def _source(request: dict[str, Any], uri: str) -> Source:
    roots = tuple(Path(root) for root in request.get("dataRoots") or ())
    return Source(uri=uri, folder=Path(request["folder"]), roots=roots, max_bytes=MAX_BYTES)


def _fetched(request: dict[str, Any], uri: str, folder: Path) -> Path:
    end = uri.partition("?")[0].rpartition(".")[2].lower()
    return fetch(_source(request, uri), folder / "fetched", end if end in EXTENSIONS else request.get("format") or "bin").path


if __name__ == "__main__":
    sys.exit(main())

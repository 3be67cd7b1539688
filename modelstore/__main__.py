"""`python -m modelstore inspect|verify PATH`: look at a package, or hash every byte of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from modelstore import manifest
from modelstore.errors import Corrupt, ModelError


def main(arguments: list[str] | None = None) -> int:
    """0: it is well; 1: it is not, and stderr says why."""
    parser = argparse.ArgumentParser(prog="python -m modelstore", description="Look at a model package.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("inspect", "What it is: digest, signature, metrics, files"),
        ("verify", "Hash every byte, load it, and ask the golden rows"),
    ):
        command = verbs.add_parser(verb, help=text, description=text)
        command.add_argument("path", type=Path, help="folder of the package")
        command.add_argument("--json", action="store_true", help="as JSON")
    chosen = parser.parse_args(arguments)
    try:
        found = (inspect if chosen.verb == "inspect" else verify)(chosen.path)
    except (ModelError, OSError) as e:
        print(
            e if isinstance(e, ModelError) else f"cannot read {chosen.path}: {e.strerror}; give the folder of a package",
            file=sys.stderr,
        )
        return 1
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n" if chosen.json else _text(found))
    return 0 if found.get("ok", True) else 1


def inspect(path: Path) -> dict[str, Any]:
    """What the package says of itself. Its model is not loaded."""
    digest, hashes = manifest.read(path)
    documents = {}
    for name in (manifest.SIGNATURE, manifest.METADATA):
        try:
            documents[name] = json.loads((path / name).read_bytes())
        except (OSError, ValueError) as e:
            raise Corrupt(name, "it cannot be read") from e
    signature, metadata = documents[manifest.SIGNATURE], documents[manifest.METADATA]
    return {
        "digest": digest,
        "target": signature["target"],
        "inputs": {column["name"]: f"{column['kind']}, {column['datatype']}" for column in signature["inputs"]},
        "files": {name: (path / name).stat().st_size for name in sorted(hashes)},
        **metadata,
    }


def verify(path: Path) -> dict[str, Any]:
    """Hash, load with every engine that the package has a model for, and predict its golden rows."""
    from modelstore.predictor import Engine, load

    digest, hashes = manifest.read(path)
    engines: list[Engine] = [engine for engine, name in (("onnx", manifest.ONNX), ("sklearn", manifest.SKOPS)) if name in hashes]  # type: ignore[misc]
    golden = {}
    for engine in engines:
        checked, wrong = load(path, engine=engine).check_golden()
        golden[engine] = {"checked": checked, "wrong": wrong}
    return {"ok": not any(one["wrong"] for one in golden.values()), "digest": digest, "golden": golden}


def _text(found: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict) and value:
            lines.append(f"{indent}{name}\n{_text(value, indent + '  ')}")
        elif not isinstance(value, list) or len(str(value)) <= 160:
            lines.append(f"{indent}{name:<{max(2, 28 - len(indent))}}{'' if value is None else value}\n")
        else:
            lines.append(f"{indent}{name:<{max(2, 28 - len(indent))}}{len(value)} entries\n")
    return "".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

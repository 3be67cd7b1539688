"""`python -IS puppet.py MODULE ARGUMENTS`: leaves what that module would leave, in milliseconds. See puppets.py."""

import json
import os
import signal
import sys


def main(module: str, options: dict[str, str]) -> None:
    """Play the part."""
    with open(os.path.join(home(), "diary"), "a") as diary:
        diary.write(f"{module} {options.get('--run') or options.get('--revision') or options.get('--digest') or ''}\n")
    parts[module](options)


def home() -> str:
    """The daemon's: a unit's folder lies two below it."""
    return os.path.dirname(os.path.dirname(os.environ["ANNEAL_UNIT"]))


def known() -> dict[str, object]:
    """What is agreed upon: the table's digest, the models by seed, their scores."""
    with open(os.path.join(home(), "known.json")) as file:
        found: dict[str, object] = json.load(file)
    return found


def read(path: str) -> dict[str, object]:
    """A JSON file."""
    with open(path) as file:
        found: dict[str, object] = json.load(file)
    return found


def write(path: str, value: object) -> None:
    """Whole, or not there."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w") as file:
        json.dump(value, file)
    os.replace(f"{path}.new", path)


def profile(options: dict[str, str]) -> None:
    """The table is as it always is."""
    columns = [{"name": "y", "type": "string", "missing": 0.0, "unique": 2}]
    table = {"digest": known()["table"], "path": "/nowhere", "rows": 9, "bytes": 9, "columns": columns, "problems": []}
    write(f"{options['--out']}/result.json", table | {"error": None})


def job(options: dict[str, str]) -> None:
    """The model of the seed."""
    seed = str(read(f"{options['--run']}/spec.json")["experiment"]["seed"])  # type: ignore[index]
    write(f"{options['--run']}/progress.json", {"stage": "Packaging", "trials": {"total": 1, "succeeded": 1}})
    write(f"{options['--run']}/result.json", {"modelDigest": known()["models"][seed]})  # type: ignore[index]


def score(options: dict[str, str]) -> None:
    """As it was agreed."""
    scores = {digest: {"metrics": {"accuracy": value}} for digest, value in known()["scores"].items()}  # type: ignore[attr-defined]
    write(options["--out"], {"rows": 9, "scores": scores, "error": None})


def preflight(options: dict[str, str]) -> None:
    """All is well."""
    write(options["--out"], {"ok": True, "engine": "onnx", "golden": {"checked": 1, "wrong": 0}, "error": None})


def serve(options: dict[str, str]) -> None:
    """Ready, until it is told to end."""
    name = f"worker-r{options['--revision']}-{options['--index']}" if "--revision" in options else "web"
    write(os.path.join(os.path.dirname(options["--config"]), "state", f"{name}.json"), {"ready": True, "pid": os.getpid()})
    signal.pause()


parts = {
    "training.profile": profile, "training.job": job, "training.score": score, "serving.preflight": preflight,
    "serving.web": serve, "serving.worker": serve,
}  # fmt: skip

main(sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True)))

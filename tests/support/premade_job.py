"""`python -IS premade_job.py --run DIR`: what training.job leaves, without training. See premade.py."""

import json
import os
import sys


def main(folder: str) -> None:
    """Read spec.json, write progress.json and result.json, whole."""
    with open(os.path.join(folder, "spec.json")) as file:
        request = json.load(file)
    with open(os.path.join(os.path.dirname(request["store"]), "premade.json")) as file:
        digest = json.load(file).get(str(request["experiment"]["seed"]))
    stages = [{"name": "Packaging", "state": "Succeeded"}]
    write(folder, "progress.json", {"stage": "Packaging", "stages": stages, "trials": {"total": 1, "succeeded": 1}})
    error = {"reason": "NoCandidate", "message": "cannot search: no candidate succeeded"}
    write(folder, "result.json", {"modelDigest": digest, "heldout": {"accuracy": 0.5}} if digest else {"error": error})


def write(folder: str, name: str, value: object) -> None:
    """Whole, or not there."""
    fresh = os.path.join(folder, f".{name}")
    with open(fresh, "w") as file:
        json.dump(value, file)
    os.replace(fresh, os.path.join(folder, name))


main(sys.argv[2])

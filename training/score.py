"""`python -m training.score --request REQ.json --out FILE`: models side by side, on the same held-out rows of one table.

REQ.json: {"digests": [sha256:…], "dataset": {"path", "digest", "target", "types"}, "experiment": <its spec>, "store": url}
FILE: {"rows": <held out>, "scores": {digest: {"metrics": {name: value}} | {"error": message}}, "error": null | {reason, message}}

Membership of the held-out rows is a matter of their content, so a model that was trained on an earlier, smaller version of the
table has not seen them either. Exit code 0: FILE says all.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main(argv: list[str] | None = None) -> int:
    """Score, and write what came of it."""
    from training.answering import answered
    from training.files import write_json

    parser = argparse.ArgumentParser(prog="python -m training.score", description="Score models on held-out rows.")
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    result = answered(score, args.request, {"rows": None, "scores": {}}, "score")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(args.out, result)
    return 0


def score(request: dict[str, Any]) -> dict[str, Any]:
    """The result as above. A model that cannot be loaded or asked has an error in place of metrics."""
    import modelstore
    from modelstore import memory
    from specs.experiment import ExperimentSpec
    from training.data import load
    from training.files import encode

    spec = ExperimentSpec.model_validate_json(encode(request["experiment"]))
    dataset = request["dataset"]
    data = load(
        Path(dataset["path"]), target=dataset["target"], types=dict(dataset.get("types") or {}), task=spec.task,
        metric=spec.objective.objective_metric_name, share=spec.evaluation.held_out_share,
    )  # fmt: skip
    store = modelstore.Store(request["store"])
    scores: dict[str, Any] = {}
    for digest in request["digests"]:
        try:
            folder = store.path(digest)
            with memory.limited(memory.allowance(folder)):
                predictor = modelstore.load(folder, expect=digest)
            scores[digest] = {"metrics": _metrics(predictor, data)}
        except (modelstore.ModelError, ValueError, KeyError, OSError) as e:
            scores[digest] = {"error": f"cannot score the model: {e}"[:1000]}
    return {"rows": len(data.held_out), "scores": scores, "error": None}


def _metrics(predictor: Any, data: Any) -> dict[str, float]:
    import numpy as np

    from training.metrics import METRICS, measure

    rows, classes = data.held_out, predictor.signature.target.classes
    answers = predictor.predict({name: rows.inputs[name].tolist() for name in predictor.signature.names()})
    if classes is None:
        return measure(METRICS["regression"], rows.target, np.asarray(answers.labels, dtype=np.float64), None)
    truth, predicted = np.asarray(rows.target), np.asarray(answers.labels)
    if truth.dtype.kind != predicted.dtype.kind:  # a model of the time when classes were written otherwise
        truth, predicted, classes = truth.astype(str), predicted.astype(str), [str(one) for one in classes]
    all_known = bool(np.isin(truth, np.asarray(classes)).all())
    probabilities = np.asarray(answers.probabilities) if answers.probabilities is not None and all_known else None
    return measure(METRICS["classification"], truth, predicted, probabilities, np.asarray(classes))


if __name__ == "__main__":
    sys.exit(main())

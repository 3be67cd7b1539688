"""`uvicorn bench.baselines.asgi:app`: scikit-learn behind FastAPI, as its documentation would have it written.

No queue, no record, no signature: each request is predicted in the process that took it, and is gone if that process dies.
$MODEL is a skops file of a scikit-learn classifier, $COLUMNS its inputs as a JSON list. One that was fitted on a table with names
is given such a table; one that was fitted on a matrix, a matrix, which spares pandas.
"""

import json
import os
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from fastapi import FastAPI
from pydantic import BaseModel

model = skops.io.load(os.environ["MODEL"], trusted=skops.io.get_untrusted_types(file=os.environ["MODEL"]))
columns = json.loads(os.environ["COLUMNS"])
named = hasattr(model, "feature_names_in_")
app = FastAPI()


class Body(BaseModel):
    """Rows by name of their columns."""

    rows: list[dict[str, float | None]]


@app.post("/predict")
async def predict(body: Body) -> dict[str, Any]:
    """A label and the probability of each class, for each row."""
    if named:
        table: Any = pd.DataFrame(body.rows, columns=columns)
    else:
        table = np.array([[row[name] for name in columns] for row in body.rows], dtype=np.float64)
    shares = model.predict_proba(table)
    labels = model.classes_[shares.argmax(axis=1)].tolist()
    return {
        "predictions": [
            {"prediction": label, "probabilities": share} for label, share in zip(labels, shares.tolist(), strict=True)
        ]
    }

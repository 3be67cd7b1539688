"""A model behind Celery as its documentation would have it written: one task for each row, Flask in front, RabbitMQ, Redis.

The same is asked of it: a quorum queue, publisher confirms, acknowledged after the answer. $MODEL is a skops file of a
scikit-learn classifier, $COLUMNS its inputs as a JSON list, $BROKER and $RESULTS the URLs.
`celery -A bench.baselines.celeryrows worker` predicts; `gunicorn bench.baselines.celeryrows:web` takes requests.
"""

import json
import os
from functools import cache
from typing import Any

from celery import Celery
from flask import Flask, jsonify, request

app = Celery("rows", broker=os.environ.get("BROKER", "memory://"), backend=os.environ.get("RESULTS", "cache+memory://"))
app.conf.update(
    task_default_queue="rows", task_default_queue_type="quorum", task_acks_late=True, worker_prefetch_multiplier=4,
    broker_transport_options={"confirm_publish": True}, result_expires=60, task_track_started=False,
    broker_connection_retry_on_startup=True, worker_hijack_root_logger=False,
)  # fmt: skip
web = Flask(__name__)


@cache
def _model() -> tuple[Any, list[str]]:
    import skops.io

    file = os.environ["MODEL"]
    return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file)), json.loads(os.environ["COLUMNS"])


@app.task(name="rows.predict")
def predict(row: dict[str, float | None]) -> dict[str, Any]:
    """One row: a label and the probability of each class."""
    import numpy as np

    model, columns = _model()
    shares = model.predict_proba(np.array([[row[name] for name in columns]], dtype=np.float64))[0]
    return {"prediction": model.classes_[shares.argmax()], "probabilities": shares.tolist()}


@web.post("/predict")
def asked() -> Any:
    """A task for each row, and all of their answers."""
    waiting = [predict.delay(row) for row in request.get_json()["rows"]]
    return jsonify({"predictions": [each.get(timeout=30, interval=0.001) for each in waiting]})

"""`bentoml serve bench.peers.on_bentoml:Classifier`: the model as a BentoML service with two workers."""

from typing import Any

import bentoml

from bench.peers import shared


@bentoml.service(workers=2, traffic={"timeout": 60})
class Classifier:
    """The model, loaded once in each worker."""

    def __init__(self) -> None:
        self.model = shared.load()

    @bentoml.api
    def predict(self, rows: list[dict[str, float]]) -> dict[str, Any]:
        """Predict."""
        return shared.answer(self.model, rows)

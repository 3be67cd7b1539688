"""`python -m bench.peers.on_ray PORT FOLDER`: the model on Ray Serve with two replicas, until SIGTERM."""

import signal
import sys
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from bench.peers import shared


@serve.deployment(num_replicas=2, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
class Classifier:
    """The model, loaded once in each replica."""

    def __init__(self) -> None:
        self.model = shared.load()

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Predict."""
        return shared.answer(self.model, (await request.json())["rows"])


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=sys.argv[2], log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Classifier.bind(), name="classifier", route_prefix="/")
    signal.sigwait({signal.SIGTERM})
    serve.shutdown()
    ray.shutdown()

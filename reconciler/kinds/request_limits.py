"""What one request may cost, as the processes of a ModelDeployment are told: the same wherever they run. Pure."""

from __future__ import annotations

from typing import Any

from specs.meta import parse_quantity
from specs.model_deployment import ModelDeploymentSpec

LEAST_TASK_SECONDS = 60
"""One call of a model may take so long, whatever the timeout."""


def task_seconds(spec: ModelDeploymentSpec) -> int:
    """How long one call of the model may take."""
    return max(LEAST_TASK_SECONDS, 2 * spec.predictor.timeout)


def request_limits(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """`limits` of serving.config."""
    told: dict[str, Any] = spec.limits.model_dump(mode="json", exclude_none=True)
    if memory := spec.predictor.resources.limits.memory:
        told["memoryBytes"] = int(parse_quantity(memory))
    return told | {"timeoutSeconds": spec.predictor.timeout, "taskTimeLimitSeconds": task_seconds(spec)}

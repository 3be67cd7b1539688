"""`spec.machineHealthCheck` of a Machine: when it counts as unhealthy, and when so many do that none is replaced.

Names follow Cluster API's MachineHealthCheck. How often a Machine is replaced, and with which pauses, says `spec.remediation`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from specs.meta import Model, Rule

ONE_LIMIT = "maxUnhealthy and unhealthyRange exclude each other"
NOT_LOCAL = "machineHealthCheck: provider local cannot honour it, it is the machine that the daemon runs on; remove it"
NOT_OBSERVED = "machineHealthCheck: an imported server is only looked at; remove it"


class UnhealthyCondition(Model):
    """One condition that a Machine must not be in for long."""

    type: Literal["Ready", "Provisioned", "Bootstrapped"]
    """The condition to look at."""
    status: Literal["False"] = "False"
    """What it says of an unhealthy Machine. Never Unknown: what cannot be told is no reason to replace anything."""
    timeout_seconds: Annotated[int, Field(ge=0, le=604_800)]
    """How long it must have said so, without a break, and with a server there, before the server is replaced."""


class MachineHealthCheck(Model):
    """Replace the server of a Machine that stays unhealthy, unless too many are."""

    unhealthy_conditions: Annotated[list[UnhealthyCondition], Field(min_length=1, max_length=8)]
    """The Machine is unhealthy if any of them holds."""
    max_unhealthy: Annotated[str, Field(max_length=4, pattern=r"^([0-9]{1,4}|100%|[0-9]{1,2}%)$")] | None = None
    """Replace nothing while more are unhealthy, of the same MachineSet, else of the namespace's Machines of this account: a
    number, as "2", or a share, rounded down, as "40%". Beside it the breaker of the installation holds in any case."""
    unhealthy_range: Annotated[str, Field(max_length=11, pattern=r"^\[[0-9]{1,4}-[0-9]{1,4}\]$")] | None = None
    """Replace only while so many are unhealthy, as "[1-3]", both included."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.max_unhealthy is not None and self.unhealthy_range is not None:
            raise ValueError(ONE_LIMIT)
        return self


RULES: tuple[Rule, ...] = (
    Rule("spec.machineHealthCheck", "!(has(self.maxUnhealthy) && has(self.unhealthyRange))", ONE_LIMIT),
    Rule("spec", "!(has(self.local) && has(self.machineHealthCheck))", NOT_LOCAL),
    Rule("spec", "!(has(self.__import__) && has(self.machineHealthCheck))", NOT_OBSERVED),
)
"""What pydantic checks across fields, for an API server."""

"""MachineSet: a pool of like Machines as one object. Names follow Cluster API (MachineDeployment)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from specs.machine import Machine, MachineSpec
from specs.meta import Column, Counter, LabelKey, LabelValue, Model, Names, Resource, Rule, Status

MOST_REPLICAS = 32
NOT_ONE = "spec: a template cannot import one server; use a Machine"


class TemplateMeta(Model):
    """What each Machine carries."""

    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] | None = None
    """Labels of each Machine, beside those of anneal."""


class MachineTemplate(Model):
    """What each Machine of the set is made from."""

    metadata: TemplateMeta = TemplateMeta()
    """Its labels."""
    spec: MachineSpec
    """Its spec. A change replaces the Machines, a few at a time."""

    @model_validator(mode="after")
    def _many(self) -> Self:
        if self.spec.import_ is not None:
            raise ValueError(NOT_ONE)
        return self


class RollingUpdate(Model):
    """How many may be too many, and how many too few, while Machines are replaced."""

    max_surge: Annotated[int, Field(ge=0, le=MOST_REPLICAS)] = 1
    """How many more than wanted there may be."""
    max_unavailable: Annotated[int, Field(ge=0, le=MOST_REPLICAS)] = 0
    """How many fewer than wanted may be Ready. Not 0 where maxSurge is 0: that counts as 1."""


class RolloutStrategy(Model):
    """How Machines are replaced when the template changes."""

    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    """RollingUpdate: a few at a time. OnDelete: only those that somebody deletes."""
    rolling_update: RollingUpdate = RollingUpdate()
    """The limits of a rolling update."""


class Rollout(Model):
    """How a change goes about."""

    strategy: RolloutStrategy = RolloutStrategy()
    """How Machines are replaced."""


class SetDeletion(Model):
    """Which Machine goes first."""

    order: Literal["Newest", "Oldest"] = "Newest"
    """Of those that are alike: what is not Ready goes first in any case."""


class MachineSetSpec(Model):
    """The pool that should exist."""

    replicas: Annotated[int, Field(ge=0, le=MOST_REPLICAS)] = 1
    """How many Machines."""
    template: MachineTemplate
    """What each is made from."""
    rollout: Rollout = Rollout()
    """How a change of the template goes about."""
    deletion: SetDeletion = SetDeletion()
    """Which goes first when there are too many."""


class MachineSetStatus(Status):
    """The pool as it was last seen."""

    replicas: Counter | None = None
    """How many Machines there are."""
    ready_replicas: Counter | None = None
    """How many of them are Ready."""
    up_to_date_replicas: Counter | None = None
    """How many are made from the template as it is now."""


def _within(rule: Rule) -> Rule:
    return Rule("spec.template." + rule.path, rule.cel, rule.message)


class MachineSet(Resource):
    """A pool of like Machines, as one object."""

    names: ClassVar[Names] = Names("MachineSet", "machinesets", "machineset", ("mset",))
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether all of it can be used"),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not ready"),
        Column("Wanted", "integer", ".spec.replicas", "How many Machines are wanted"),
        Column("Ready-Replicas", "integer", ".status.readyReplicas", "How many are Ready"),
        Column("Up-To-Date", "integer", ".status.upToDateReplicas", "How many are made from the template as it is now", 1),
        Column("Age", "date", ".metadata.creationTimestamp", "Time since it was created"),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "The deepest cause"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        *(_within(rule) for rule in Machine.rules if "oldSelf" not in rule.cel),
        Rule("spec.template", "!has(self.spec.__import__)", NOT_ONE),
    )

    scales: ClassVar[bool] = True

    kind: Literal["MachineSet"]
    """MachineSet."""
    spec: MachineSetSpec
    """The pool that should exist."""
    status: MachineSetStatus | None = None
    """The pool as it was last seen."""

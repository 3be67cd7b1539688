"""The kinds there are, those first that others need. A new kind is one file and one line here."""

from __future__ import annotations

from specs.dataset import Dataset
from specs.experiment import Experiment
from specs.machine import Machine
from specs.machine_set import MachineSet
from specs.meta import Resource
from specs.model_deployment import ModelDeployment
from specs.model_version import ModelVersion
from specs.ray_cluster import RayCluster
from specs.swarm_cluster import SwarmCluster

KINDS: tuple[type[Resource], ...] = (
    Machine, MachineSet, Dataset, RayCluster, SwarmCluster, Experiment, ModelVersion, ModelDeployment,
)  # fmt: skip
BY_KIND: dict[str, type[Resource]] = {kind.names.kind: kind for kind in KINDS}
BY_PLURAL: dict[str, type[Resource]] = {kind.names.plural: kind for kind in KINDS}

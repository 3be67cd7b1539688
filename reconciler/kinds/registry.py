"""Every kind that the daemon reconciles."""

from __future__ import annotations

from typing import Any

from drivers.swarm.stack import Stacks
from modelstore.store import Store
from reconciler.engine.kind import Kind
from reconciler.kinds.credentials import Credentials
from reconciler.kinds.dataset import DatasetKind
from reconciler.kinds.experiment import ExperimentKind
from reconciler.kinds.local import Local
from reconciler.kinds.machine import MachineKind
from reconciler.kinds.machine_set import MachineSetKind
from reconciler.kinds.model_deployment import ModelDeploymentKind
from reconciler.kinds.model_version import ModelVersionKind
from reconciler.kinds.providers import Providers
from reconciler.kinds.ray_cluster import RayClusterKind
from reconciler.kinds.swarm.cluster import SwarmClusterKind
from training.runid import code_digest


def all_kinds(providers: Providers, local: Local) -> dict[str, Kind[Any]]:
    """Every kind the daemon reconciles, by plural. A new kind is one file and one line here."""
    credentials = Credentials(local.client)
    stacks = Stacks(local.swarms, Store(local.store_url, cache=local.home.models), local.installation)
    return {
        "machines": MachineKind(providers),
        "machinesets": MachineSetKind(local),
        "datasets": DatasetKind(local, credentials),
        "rayclusters": RayClusterKind(local),
        "swarmclusters": SwarmClusterKind(local.swarms, local.installation, local.objects),
        "experiments": ExperimentKind(local, code_digest()),
        "modelversions": ModelVersionKind(local),
        "modeldeployments": ModelDeploymentKind(local, credentials, stacks),
    }

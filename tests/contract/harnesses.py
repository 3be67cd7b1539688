"""Every driver there is, as the suite sees it. A new driver is one line here."""

from __future__ import annotations

from typing import Any

from tests.contract.folders import Folders
from tests.contract.local import LOOKED_AT
from tests.contract.objects import Objects
from tests.contract.simulated import Simulated
from tests.contract.swarm_nodes import SWARM_NODES
from tests.contract.swarm_serving import SWARM_SERVING
from tests.contract.units import Units

HARNESSES: list[Any] = [
    Simulated("server"),
    Simulated("port"),
    Simulated("address"),
    *LOOKED_AT,
    Units(),
    Folders(),
    Objects(),
    *SWARM_NODES,
    *SWARM_SERVING,
]

"""What this machine and this home provide: processes, folders, tables, models, a Ray; made once and shared by all objects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from drivers.contract import Fence
from drivers.local.folders import FolderDriver
from drivers.local.models import StoreDriver
from drivers.local.tables import TableDriver, Tables
from drivers.local.units import UnitDriver
from drivers.objects import ObjectDriver
from drivers.ray.local import EndpointDriver, HeadDriver
from reconciler.client import CONFIGMAPS, Client
from reconciler.home import Home
from reconciler.kinds.objects import ApiTable
from reconciler.kinds.swarms import Swarms
from specs.meta import SOURCE_FILE_ANNOTATION, SOURCE_LABEL, Resource

SOURCE_RECORD = "anneal-source-"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
"""What every process of ours gets: one thread for the linear algebra, since there are many processes; a log that is current."""


@dataclass(slots=True)
class Local:
    """One per daemon. Holds drivers and nothing that could not be made again."""

    home: Home
    client: Client
    fence: Fence
    installation: str
    changed: Callable[[str], None] = lambda uid: None
    """Called with the UID of an object whose outside changed."""
    data_roots: tuple[str, ...] = ()
    """Folders that absolute file URIs may lead into, beside the folder of their spec."""
    store_url: str = ""
    """Where models are kept; empty: in the home."""
    units: UnitDriver = field(init=False)
    serving: FolderDriver = field(init=False)
    ray: FolderDriver = field(init=False)
    heads: HeadDriver = field(init=False)
    endpoints: EndpointDriver = field(default_factory=EndpointDriver)
    store: StoreDriver = field(init=False)
    tables: Tables = field(init=False)
    swarms: Swarms = field(init=False)
    _objects: dict[str, ObjectDriver] = field(default_factory=dict)

    def __post_init__(self) -> None:
        home = self.home
        self.units = UnitDriver(home.units, self.fence, self.installation, died=self.changed)
        self.serving = FolderDriver(home.serving, "serving", self.fence, self.installation)
        self.ray = FolderDriver(home.ray, "ray", self.fence, self.installation)
        self.heads = HeadDriver(self.units)
        self.store_url = self.store_url or str(home.models)
        self.store = StoreDriver(self.store_url, cache=home.models)
        self.tables = Tables(self.changed)
        self.swarms = Swarms(self.client, self.fence)

    @property
    def environment(self) -> dict[str, str]:
        """What every process of ours is told."""
        return ENVIRONMENT | ({"ANNEAL_MODEL_CACHE": str(self.home.models)} if "://" in self.store_url else {})

    def objects(self, plural: str) -> ObjectDriver:
        """The objects of one kind, as parts of others."""
        if plural not in self._objects:
            table = ApiTable(self.client, plural)
            self._objects[plural] = ObjectDriver(table, fence=self.fence, installation=self.installation)
        return self._objects[plural]

    async def table_of(self, obj: Resource) -> TableDriver:
        """Tables whose relative URIs begin in the folder of this object's file."""
        return self.tables.at(await self.folder_of(obj))

    async def folder_of(self, obj: Resource) -> str | None:
        """The folder of the file that this object was applied from; None if it came from none."""
        source = (obj.metadata.labels or {}).get(SOURCE_LABEL)
        file = (obj.metadata.annotations or {}).get(SOURCE_FILE_ANNOTATION)
        if not source or not file:
            return None
        record = await self.client.get(CONFIGMAPS, "default", SOURCE_RECORD + source)
        path = ((record or {}).get("data") or {}).get("path")
        return str(Path(path) / PurePosixPath(file).parent) if path else None

    async def close(self) -> None:
        """Let go of watches and connections. Processes go on."""
        await self.tables.close()
        await self.units.close()
        await self.swarms.close()


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours with our interpreter."""
    return [sys.executable, "-m", module, *arguments]

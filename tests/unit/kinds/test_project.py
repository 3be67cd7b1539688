"""A Machine lives in one project of a cloud; credentials that lead to another one show nothing of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.contract import CredentialsInvalid
from reconciler.kinds.machine import MachineKind
from specs.machine import Machine
from tests.unit.kinds.openstack_cloud import LEAST


@dataclass(eq=False)
class Account:
    """Credentials that lead to one project at a time; what they lead to has a server's driver, and a flavor."""

    here: str = "project-1"
    asked: list[str] = field(default_factory=list)

    async def openstack(self, ref: Any, namespace: str) -> Any:
        return SimpleNamespace(client=self, drivers={"server": "its driver"})

    async def project(self) -> str:
        return self.here

    async def rows(self, doing: str, service: str, path: str, table: str, query: Any = None) -> list[dict[str, Any]]:
        self.asked.append(path)
        return [{"id": "f-1", "name": "small"}]


def machine(resolved: dict[str, Any] | None = None) -> Machine:
    status = {"status": {"resolved": resolved}} if resolved else {}
    meta = {"name": "m", "namespace": "default", "uid": "u"}
    return Machine.parse(
        {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": meta, "spec": {"openstack": LEAST}, **status}
    )


async def test_the_project_is_stored_with_the_ids_and_nothing_is_asked_again():
    """Before anything is made; a second look-up asks nothing."""
    account = Account()
    kind: Any = MachineKind(account)  # type: ignore[arg-type]
    resolved = dict(await kind.look_up(machine()))
    assert resolved["project"] == {"id": "project-1", "name": ""}
    assert account.asked == ["/flavors"]
    assert await kind.look_up(machine(resolved)) == resolved
    assert account.asked == ["/flavors"]


async def test_another_project_is_no_place_to_look():
    """Neither for what is there nor for what is gone: said with both projects; back home all goes on."""
    account = Account()
    kind: Any = MachineKind(account)  # type: ignore[arg-type]
    obj = machine(dict(await kind.look_up(machine())))
    account.here = "project-2"
    with pytest.raises(CredentialsInvalid, match=r"leads to project project-2.* is in project project-1"):
        await kind.drivers(obj)
    account.here = "project-1"
    assert await kind.drivers(obj) == {"server": "its driver"}

"""Key pairs, as a driver over Nova. They belong to the user, not to the project, and know no tags: the name carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from drivers.contract import Ambiguous, Intent, Step
from drivers.openstack.client import Answer
from drivers.openstack.live import Key
from drivers.openstack.marks import Marks
from drivers.openstack.table import TableDriver


class KeyDriver(TableDriver[Key]):
    """Creates take public_key. There is nothing to update: another key is another key pair."""

    singular: ClassVar[str] = "key"
    service: ClassVar[str] = "compute"
    table: ClassVar[str] = "keypairs"
    path: ClassVar[str] = "/os-keypairs"

    def parse(self, row: Mapping[str, Any]) -> Key:
        """See the base."""
        return Key.parse(row)

    def marks(self, row: Mapping[str, Any]) -> Marks:
        """Out of the name."""
        return Key.marks(row["name"])

    def unwrapped(self, rows: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        """Nova wraps each one."""
        return [row["keypair"] for row in rows]

    def created(self, doing: str, answer: Answer) -> str:
        """The name is the id."""
        try:
            return str(answer.body["keypair"]["name"])
        except (KeyError, TypeError) as error:
            raise Ambiguous(f"cannot {doing}: the cloud's answer has no name; looking again") from error

    async def creation(self, step: Step, intent: Intent) -> tuple[str, str, Any]:
        """The tag travels in the name."""
        name = "_".join((intent.name, intent.owner.installation, intent.owner.uid, intent.part))
        return "POST", self.path, {"keypair": {**step.change, "name": name, "type": "ssh"}}

    def update(self, step: Step, ref: str, intent: Intent) -> tuple[str, str, str, Any]:
        """There is none."""
        raise ValueError("a key pair cannot be changed")

"""What a person gave as a secret, seen by a hash: so that a plan, which never holds a secret, notices another one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from drivers.contract import Observation, Owner, Present
from drivers.looked_at import LookedAt
from drivers.swarm.served import Item

HEAD = "given/"


class GivenDriver(LookedAt):
    """Sees each of these secrets as an Item of that name, with its hash as id."""

    name = "given"

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Item]:
        """See the contract."""
        name = part.removeprefix(HEAD)
        return Present(ref or name, Item(hash_of(self._values[name], owner.uid), name))


def hash_of(value: str, owner: str) -> str:
    """Names a secret by its content, for one owner."""
    return hashlib.sha256(f"{owner}\0{value}".encode()).hexdigest()[:10]

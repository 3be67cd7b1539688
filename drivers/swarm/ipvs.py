"""Whether the kernel can balance connections (IPVS). Without it a Swarm's routing mesh and virtual IPs fail without a word."""

from __future__ import annotations

import os
from dataclasses import dataclass

from drivers.contract import Observation, Owner, Present
from drivers.looked_at import LookedAt

SIGNS = ("/proc/net/ip_vs", "/proc/sys/net/ipv4/vs")


@dataclass(frozen=True, slots=True)
class Ipvs:
    """What was found out."""

    there: bool | None
    """None: it could not be told."""
    how: str
    """For people."""


class IpvsDriver(LookedAt):
    """Looks at this machine's kernel, which is that of every engine behind a Unix socket."""

    name = "swarm/ipvs"

    def __init__(self, signs: tuple[str, ...] = SIGNS) -> None:
        self._signs = signs

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Ipvs]:
        """`ref` is an endpoint of the Swarm. Never Unknown: what cannot be told is an answer here."""
        if not (ref or "").startswith("unix://"):
            return Present(ref or "", Ipvs(None, "not known: the nodes' kernels cannot be seen from here"))
        there = any(os.path.exists(sign) for sign in self._signs)  # noqa: ASYNC240  # /proc does not block
        how = f"{self._signs[0]} is {'there' if there else 'not there'}: the kernel {'has' if there else 'lacks'} IPVS"
        return Present(ref or "", Ipvs(there, how))

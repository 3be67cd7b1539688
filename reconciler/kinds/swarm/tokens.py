"""When a Swarm gets new join tokens: asked for, by the clock, and after a node left, which knows the old ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from drivers.contract import Step
from drivers.swarm.live import Swarm
from reconciler.engine.clock import from_text, to_text
from reconciler.kinds.quorum import Members
from specs.meta import GROUP
from specs.swarm_cluster import SwarmClusterSpec

ROTATION, ROTATED, NODES = f"{GROUP}/token-rotation", f"{GROUP}/tokens-made", f"{GROUP}/nodes"
"""Labels of the Swarm: the spec's word that the tokens are of; since when they are there; which nodes may know them."""


def labels(spec: SwarmClusterSpec, now: datetime) -> dict[str, str]:
    """What a new Swarm says of its tokens."""
    names = sorted(node.name for node in spec.nodes or [])
    return {ROTATION: spec.token_rotation, ROTATED: to_text(now), NODES: ",".join(names)}


def step(spec: SwarmClusterSpec, ref: str, swarm: Swarm, known: Members, now: datetime) -> Step | None:
    """New tokens, or a node more on record before it is told the tokens; None if neither is due."""
    wanted = {node.name for node in spec.nodes or []}
    trusted = {name for name in swarm.labels.get(NODES, "").split(",") if name}
    left = {name for name in trusted - wanted if known.get(name) is None}
    why = _why(spec, swarm.labels, sorted(left), now)
    if why is None and wanted <= trusted:
        return None
    others = {key: value for key, value in swarm.labels.items() if not key.startswith(f"{GROUP}/")}
    mine = {ROTATION: spec.token_rotation, NODES: ",".join(sorted((trusted | wanted) - left))}
    mine[ROTATED] = swarm.labels.get(ROTATED, to_text(now)) if why is None else to_text(now)
    change = {"labels": others | mine, "rotate": why is not None}
    return Step("update", "swarm", why or "nodes were added: who knows the join tokens is kept on record", change, ref)


def _why(spec: SwarmClusterSpec, said: Mapping[str, str], left: list[str], now: datetime) -> str | None:
    if spec.token_rotation != said.get(ROTATION, ""):
        return "the spec asks for new join tokens"
    if left:
        return f"node {left[0]} left and knows the join tokens: they are made anew"
    period, made = spec.token_rotation_period_seconds, said.get(ROTATED)
    if period is not None and (made is None or (now - from_text(made)).total_seconds() >= period):
        return f"the join tokens are older than {period} s"
    return None

"""What tells our services, configs, secrets, networks and Swarms from others', and one part from another: labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from drivers.contract import Owner
from drivers.judging import Thing
from specs.meta import GROUP

Live = TypeVar("Live")

OWNER, INSTALLATION, PART, OBJECT = f"{GROUP}/owner", f"{GROUP}/installation", f"{GROUP}/part", f"{GROUP}/object"


def labels(owner: Owner, part: str) -> dict[str, str]:
    """The labels of one part of one owner. The last one is for people."""
    return {
        OWNER: owner.uid,
        INSTALLATION: owner.installation,
        PART: part,
        OBJECT: f"{owner.kind}/{owner.namespace}/{owner.name}",
    }


def of_owner(owner: Owner) -> dict[str, list[str]]:
    """The filter for one owner's things."""
    return {"label": [f"{OWNER}={owner.uid}"]}


def ours() -> dict[str, list[str]]:
    """The filter for everything that carries a tag."""
    return {"label": [OWNER]}


def thing(ref: str, tag: Mapping[str, str] | None, created: str, healthy: bool, seen: Any, live: Live) -> Thing[Live]:
    """A thing as drivers.judging wants it. `tag` is its labels; `seen` is all that is seen of it, JSON-like."""
    tag = tag or {}
    digest = hash(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS))
    return Thing(ref, tag.get(INSTALLATION, ""), tag.get(OWNER, ""), tag.get(PART, ""), created, healthy, digest, live)

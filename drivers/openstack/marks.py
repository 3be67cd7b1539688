"""Whose a thing is: words that say installation, owner and part, carried by the very call that creates.

On Nova they are tags (at most 60 characters, no comma, no slash). Neutron takes tags only in a call of their own, after the
create: there the words stand at the end of the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from drivers.contract import Owner

INSTALLATION, OWNER, PART, MADE_FROM = "anneal-installation=", "anneal-owner=", "anneal-part=", "anneal-made-from="
REBUILT = "anneal-rebuilt"
"""A key of a server's metadata: which request to rebuild it was last made or rebuilt for. It travels in the very call."""
OURS = (INSTALLATION, OWNER, PART, MADE_FROM)


class Marks(NamedTuple):
    """What the tags of a thing say. Empty where they say nothing."""

    installation: str = ""
    owner: str = ""
    part: str = ""
    made_from: str = ""
    """A digest of what the server was made from."""


def mark(owner: Owner, part: str, made_from: str = "") -> list[str]:
    """The tags for a part."""
    tags = [f"{INSTALLATION}{owner.installation}", f"{OWNER}{owner.uid}", f"{PART}{part.replace('/', '.')}"]
    return [*tags, f"{MADE_FROM}{made_from}"] if made_from else tags


def read(words: Iterable[str]) -> Marks:
    """What the tags say."""
    found = {prefix: word[len(prefix) :] for word in words for prefix in OURS if word.startswith(prefix)}
    part = found.get(PART, "").replace(".", "/")
    return Marks(found.get(INSTALLATION, ""), found.get(OWNER, ""), part, found.get(MADE_FROM, ""))


def others(words: Iterable[str]) -> tuple[str, ...]:
    """The tags that are not ours, sorted."""
    return tuple(sorted(word for word in words if not word.startswith(OURS)))


def words_of(row: Mapping[str, Any]) -> list[str]:
    """The words in which marks may stand: tags, and those of the description."""
    return [*(row.get("tags") or ()), *str(row.get("description") or "").split()]


def described(text: str, tags: Iterable[str]) -> str:
    """A description that carries the marks."""
    return " ".join([*([text] if text else []), *tags])


def plain(description: str) -> str:
    """A description without the marks."""
    return " ".join(word for word in description.split(" ") if not word.startswith(OURS))

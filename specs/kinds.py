"""The kinds there are. A new kind is one file and one line here."""

from __future__ import annotations

from specs.machine import Machine
from specs.meta import Resource

KINDS: tuple[type[Resource], ...] = (Machine,)
BY_KIND: dict[str, type[Resource]] = {kind.names.kind: kind for kind in KINDS}
BY_PLURAL: dict[str, type[Resource]] = {kind.names.plural: kind for kind in KINDS}

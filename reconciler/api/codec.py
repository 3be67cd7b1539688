"""Objects as the database holds them: their JSON from behind the resourceVersion on, which is known only when they are written.

The JSON of every object of a kind begins with the same bytes, up to the value of metadata.resourceVersion. So a stored object
becomes the answer of a GET, or a line of a watch, by joining three byte strings; nothing is parsed.
"""

from __future__ import annotations

from typing import Any

import orjson

from reconciler.api.resources import ResourceType
from reconciler.api.revisions import Key, Row
from reconciler.api.secretbox import SecretBox

Object = dict[str, Any]


def dump(obj: Object) -> bytes:
    """The tail of an object's JSON: everything behind the resourceVersion. metadata must hold more than that."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    rest = {key: value for key, value in obj.items() if key not in _HEAD_FIELDS}
    tail = b'",' + orjson.dumps(metadata)[1:]
    return tail + b"," + orjson.dumps(rest)[1:] if rest else tail + b"}"


_HEAD_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


class Codec:
    """Between objects and the database's bytes; Secrets are encrypted on the way."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def blob(self, rtype: ResourceType, key: Key, tail: bytes) -> bytes:
        """What the database gets."""
        return self._box.seal(tail, _place(key)) if rtype.sealed else tail

    def body(self, rtype: ResourceType, key: Key, rv: int, blob: bytes) -> bytes:
        """The object's JSON, with `rv` as its resourceVersion."""
        tail = self._box.open(blob, _place(key)) if rtype.sealed else blob
        return b"%b%d%b" % (rtype.head, rv, tail)

    def load(self, rtype: ResourceType, row: Row) -> Object:
        """The object; a new one with each call."""
        return orjson.loads(self.body(rtype, *row))  # type: ignore[no-any-return]


def _place(key: Key) -> bytes:
    return "/".join(key).encode()

"""Which objects a list or a watch is about: a namespace, a label selector, a field selector."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from reconciler.api import errors
from reconciler.api.selectors import EVENT_FIELDS, FIELDS, SECRET_FIELDS, SelectorError, parse_fields, parse_labels

Object = dict[str, Any]

FIELDS_OF = {"Event": EVENT_FIELDS, "Secret": SECRET_FIELDS}

_NAME = re.compile(r"metadata\.name==?([-a-z0-9.]+)\Z")


@dataclass(slots=True)
class Selection:
    """A parsed selection. Raises ApiError 400 if a selector cannot be read."""

    namespace: str | None = None
    """None: all of them."""
    labels: str = ""
    fields: str = ""
    kind: str = ""
    """The kind of the objects: which fields may be selected by depends on it."""
    name: str | None = field(init=False, default=None)
    """The only name that can match, if the field selector says just that."""
    narrow: bool = field(init=False)
    """True if an object must be parsed to know whether it matches."""

    def __post_init__(self) -> None:
        try:
            self._labels = parse_labels(self.labels) if self.labels else None
            self._fields = parse_fields(self.fields, FIELDS_OF.get(self.kind, FIELDS)) if self.fields else None
        except SelectorError as e:
            raise errors.bad_request(str(e)) from e
        if found := _NAME.match(self.fields):
            self.name = found[1]
            self._fields = None
        self.narrow = self._labels is not None or self._fields is not None

    def matches(self, obj: Object) -> bool:
        """Whether the selectors hold for the object; namespace and name are the caller's to compare."""
        if self._labels is not None and not self._labels(obj["metadata"].get("labels") or {}):
            return False
        return self._fields is None or self._fields(obj)

    _labels: Any = field(init=False, default=None)
    _fields: Any = field(init=False, default=None)

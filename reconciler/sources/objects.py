"""What a file's object becomes on its way to the API: its key, its place in the order, the exact manifest that is applied."""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from reconciler.client import CONFIGMAPS, SECRETS, Object, ResourceId, ours
from specs.kinds import BY_KIND
from specs.loading import Document
from specs.meta import INSTALLATION, SOURCE_FILE_ANNOTATION, SOURCE_LABEL

NAMESPACES = ResourceId("", "v1", "namespaces")
RECORD_PREFIX = "anneal-source-"

STAGES: tuple[tuple[str, ...], ...] = (("Namespace",), ("ConfigMap", "Secret"), *((kind,) for kind in BY_KIND))
"""Applied in this order, what others need first; deleted in the reverse one."""
RESOURCES: Mapping[str, ResourceId] = {
    "Namespace": NAMESPACES,
    "ConfigMap": CONFIGMAPS,
    "Secret": SECRETS,
    **{kind: ours(model.names.plural) for kind, model in BY_KIND.items()},
}
KIND_OF: Mapping[ResourceId, str] = {resource: kind for kind, resource in RESOURCES.items()}


class Key(NamedTuple):
    """One object, whichever file or server it stands in. `namespace` is empty for a kind that is in none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind.lower(), self.namespace, self.name) if part)

    @property
    def label(self) -> str:
        """How errors call it: Machine/worker-1."""
        return f"{self.kind}/{self.name}"

    @property
    def reserved(self) -> bool:
        """Whether it is anneal's own record, which no file may write."""
        mine = self.name == INSTALLATION or self.name.startswith(RECORD_PREFIX)
        return self.kind == "ConfigMap" and self.namespace == "default" and mine


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as a file wants it. `body` is the manifest to apply, as canonical JSON: small, hashable, never changed."""

    key: Key
    file: str
    line: int
    body: bytes

    @property
    def digest(self) -> bytes:
        """Tells one manifest from another."""
        return hashlib.blake2b(self.body, digest_size=16).digest()

    @property
    def place(self) -> str:
        """file:line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Live:
    """One object of a source as the API server holds it."""

    key: Key
    uid: str
    source: str
    """The source whose label it carries and whose field manager applied it."""
    file: str
    """The file that it was last applied from."""
    version: str = ""
    deleting: bool = False
    digest: bytes | None = None
    """The manifest that it is known to agree with; None if that is not known."""


def wanted(document: Document, source: str) -> Wanted:
    """Make the manifest: what was written, the source's label and file, a Secret's text moved to where the server keeps it."""
    obj = copy.deepcopy(document.object)
    meta = obj["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), SOURCE_LABEL: source}
    meta["annotations"] = {**(meta.get("annotations") or {}), SOURCE_FILE_ANNOTATION: document.file}
    obj.pop("status", None)
    if document.kind == "Secret":
        plain = obj.pop("stringData", None) or {}
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in plain.items()}
        if encoded or obj.get("data"):
            obj["data"] = {**(obj.get("data") or {}), **encoded}
    key = Key(document.kind, document.namespace or "", document.name)
    return Wanted(key, document.file, document.line, orjson.dumps(obj, option=orjson.OPT_SORT_KEYS))


def live(kind: str, obj: Object, source: str) -> Live | None:
    """Read what matters of a stored object; None unless it carries the source's label and was applied by it.

    A label alone is not enough: whoever copies an object copies its labels.
    """
    meta = obj["metadata"]
    if (meta.get("labels") or {}).get(SOURCE_LABEL) != source:
        return None
    if not any(field.get("manager") == manager(source) for field in meta.get("managedFields") or ()):
        return None
    return Live(
        Key(kind, meta.get("namespace") or "", meta["name"]),
        meta["uid"],
        source,
        (meta.get("annotations") or {}).get(SOURCE_FILE_ANNOTATION, ""),
        meta.get("resourceVersion", ""),
        bool(meta.get("deletionTimestamp")),
    )


def manager(source: str) -> str:
    """The field manager under which a source applies."""
    return f"source/{source}"


def covers(there: Any, want: Any) -> bool:
    """Whether everything that is wanted is there already: maps may hold more, lists must agree item by item."""
    if isinstance(want, dict):
        return isinstance(there, dict) and all(covers(there.get(name), value) for name, value in want.items())
    if isinstance(want, list):
        return isinstance(there, list) and len(there) == len(want) and all(map(covers, there, want))
    return bool(there == want)

"""Models in the store, as they are: every byte hashed against the manifest. Looked at only; nothing heavy is imported.

The store is a folder, or a bucket: then what is looked at is a copy that was fetched and checked, and once an hour the bucket.

A model may be larger than the daemon should ever become: its files are hashed piece by piece, and only the two short documents
that the status tells of are held.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.contract import Absent, Observation, Owner, Present, Survey, Unknown, Unreachable
from drivers.looked_at import LookedAt
from modelstore import manifest
from modelstore.errors import Corrupt, NotFound
from modelstore.store import Store

TOLD = (manifest.METADATA, manifest.SIGNATURE)
"""What the status tells of."""
AGAIN_SECONDS = 3600.0
"""Bytes decay without a trace in the file system: so often all of them are hashed again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A model as it was found."""

    digest: str
    path: str
    bytes: int
    files: tuple[str, ...]
    metadata: Mapping[str, Any]
    """What was written about it."""
    signature: Mapping[str, Any]
    """What it takes and what it answers."""
    trouble: str = ""
    """Which file is not as it was written; empty if all are."""

    @property
    def formats(self) -> list[str]:
        """What it can be served with."""
        return [kind for kind, name in (("skops", manifest.SKOPS), ("onnx", manifest.ONNX)) if name in self.files]


@dataclass(slots=True)
class _Looked:
    stamp: int
    at: float
    stored: Stored


@dataclass(slots=True)
class StoreDriver(LookedAt):
    """All models of one store. A model is found by its digest."""

    url: str
    cache: Path
    """Where copies from a bucket are kept."""
    name: str = "local/model"
    settle_seconds: float = 0.0
    _store: Store = field(init=False)
    _seen: dict[str, _Looked] = field(default_factory=dict)
    _owners: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        self._store = Store(self.url, cache=self.cache)

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Stored]:
        """Verify the model of this digest, unless none of its files changed since it was last verified."""
        if ref is None:
            return Absent()
        self._owners[ref].add(owner.uid)
        try:
            stored = await asyncio.to_thread(self._look, ref)
        except Exception as error:  # whatever a bucket's library raises: silence is not absence
            said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            return Unknown(Unreachable(f"cannot read the model store {self.url}: {said[:300]}"))
        return Present(ref, stored) if stored else Absent()

    async def survey(self) -> Survey:
        """Owners are woken when a file of their model changes."""
        prints: defaultdict[str, int] = defaultdict(int)
        for digest, uids in self._owners.items():
            for uid in uids:
                prints[uid] ^= hash((digest, _stamp(self._folder(digest))))
        return Survey(time.monotonic(), frozenset(), dict(prints))

    def _folder(self, digest: str) -> Path:
        return self._store.local / manifest.hex_of(digest)

    def _look(self, digest: str) -> Stored | None:
        folder = self._folder(digest)
        if not self._store.remote and not self._store.local.is_dir():
            raise FileNotFoundError(2, "there is no such folder")
        now, before = _stamp(folder), self._seen.get(digest)
        if now and before and before.stamp == now and time.monotonic() - before.at < AGAIN_SECONDS:
            return before.stored
        if self._store.remote:
            try:
                self._store.verify(digest)
                self._store.path(digest)
            except NotFound:
                return None
            except Corrupt as error:
                return Stored(digest, self.url, 0, (), {}, {}, str(error))
        if not folder.is_dir():
            return None
        now, stored = _stamp(folder), _verified(folder, digest)
        self._seen[digest] = _Looked(now, time.monotonic(), stored)
        return stored


def _verified(folder: Path, digest: str) -> Stored:
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    try:
        _, contents = manifest.verify(folder, digest, keep=TOLD)
        _, hashes = manifest.read(folder)
    except Corrupt as error:
        return Stored(digest, str(folder), size, (), {}, {}, str(error))
    metadata, signature = (json.loads(contents.get(name, b"{}")) for name in TOLD)
    return Stored(digest, str(folder), size, tuple(sorted(hashes)), metadata, signature)


def _stamp(folder: Path) -> int:
    try:
        files = [(path.name, (there := path.stat()).st_mtime_ns, there.st_size, there.st_ino) for path in folder.iterdir()]
    except OSError:
        return 0
    return hash(tuple(sorted(files)))

"""Garbage collection: what is owned goes when its last owner goes; what is in a namespace goes with it.

An owner is a UID: a namesake with another UID is no owner. Dependents are indexed by it, from every object that is there at the
start and from every change since; so what a crash left undone is found again. All changes go through the API's own verbs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import structlog

from reconciler.api.core import Core
from reconciler.api.deletion import FOREGROUND, ORPHAN, DeleteOptions, Propagation
from reconciler.api.listing import ListOptions
from reconciler.api.resources import NAMESPACE, ResourceType
from reconciler.api.revisions import Key
from reconciler.api.secretbox import SecretBoxError
from reconciler.api.selection import Selection
from reconciler.api.watch import Happening, Hub
from reconciler.client import ApiError

log = structlog.get_logger()

Object = dict[str, Any]
MANAGER = "anneal-gc"
PAGE = 500
AT_ONCE = 64
RETRY_SECONDS = 1.0


class GarbageCollector:
    """Hears of all that happens, and tidies up after it."""

    def __init__(self, core: Core, hub: Hub) -> None:
        self._core = core
        self._hub = hub
        self._dependents: defaultdict[str, set[Key]] = defaultdict(set)
        self._owners: dict[Key, tuple[str, ...]] = {}
        self._terminating: set[str] = set()
        self._dirty: dict[Key, None] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Index what is there, then follow the changes, until cancelled."""
        self._hub.listeners.append(self._heard)
        try:
            await self._index()
            while True:
                while self._dirty:
                    batch = list(self._dirty)[:AT_ONCE]
                    for key in batch:
                        del self._dirty[key]
                    await asyncio.gather(*(self._tend(key) for key in batch))
                self._idle.set()
                await self._wake.wait()
                self._wake.clear()
                self._idle.clear()
        finally:
            self._hub.listeners.remove(self._heard)

    async def settled(self) -> None:
        """Wait until nothing is left to do."""
        while self._dirty or not self._idle.is_set():
            await self._idle.wait()
            await asyncio.sleep(0)

    # --- what depends on what -----------------------------------------------------------------------------------------

    async def _index(self) -> None:
        for rtype in self._core.registry:
            token, more = "", rtype.stored
            while more:
                try:
                    chunk = self._core.list(rtype, ListOptions(Selection(), PAGE, token))
                except ApiError as e:
                    if e.code != 410:
                        raise
                    token = ""  # compacted meanwhile: from the start again
                    continue
                for row in chunk.rows:
                    try:
                        self._note(rtype, row.key, self._core.codec.load(rtype, row))
                    except SecretBoxError as e:
                        log.warning("gc.unreadable", key="/".join(row.key), error=str(e))
                token, more = chunk.token, bool(chunk.token)
                await asyncio.sleep(0)

    def _heard(self, happening: Happening) -> None:
        change, rtype = happening.change, happening.rtype
        if change.type == "DELETED":
            meta = happening.obj["metadata"]
            self._forget(change.key)
            self._mark(self._dependents.get(meta["uid"], ()))
            self._mark(self._owner_key(owner, change.key.namespace) for owner in meta.get("ownerReferences") or ())
            if change.key.namespace in self._terminating:
                self._mark([Key(NAMESPACE.qualified, "", change.key.namespace)])
            if rtype is NAMESPACE:
                self._terminating.discard(change.key.name)
        elif (
            rtype.sealed  # cannot be looked into as it is
            or change.key in self._owners
            or b'"ownerReferences"' in change.blob
            or b'"deletionTimestamp"' in change.blob
        ):
            self._note(rtype, change.key, happening.obj)

    def _note(self, rtype: ResourceType, key: Key, obj: Object) -> None:
        meta = obj["metadata"]
        owners = tuple(owner["uid"] for owner in meta.get("ownerReferences") or ())
        if owners != self._owners.get(key, ()):
            self._forget(key)
            for uid in owners:
                self._dependents[uid].add(key)
            if owners:
                self._owners[key] = owners
        if owners or meta.get("deletionTimestamp"):
            self._mark([key])
        if rtype is NAMESPACE and meta.get("deletionTimestamp"):
            self._terminating.add(key.name)

    def _forget(self, key: Key) -> None:
        for uid in self._owners.pop(key, ()):
            self._dependents[uid].discard(key)
            if not self._dependents[uid]:
                del self._dependents[uid]

    def _mark(self, keys: Iterable[Key | None]) -> None:
        for key in keys:
            if key is not None:
                self._dirty[key] = None
                self._wake.set()

    def _owner_key(self, owner: Object, namespace: str) -> Key | None:
        rtype = self._core.registry.find_kind(owner["apiVersion"], owner["kind"])
        return Key(rtype.qualified, namespace if rtype.namespaced else "", owner["name"]) if rtype is not None else None

    # --- what is to be done -------------------------------------------------------------------------------------------

    async def _tend(self, key: Key) -> None:
        try:
            if (found := self._load(key)) is None:
                return
            rtype, obj = found
            if not obj["metadata"].get("deletionTimestamp"):
                await self._check_owners(rtype, key, obj)
            elif ORPHAN in (obj["metadata"].get("finalizers") or ()):
                await self._orphan(rtype, key, obj["metadata"]["uid"])
            elif FOREGROUND in (obj["metadata"].get("finalizers") or ()):
                await self._foreground(rtype, key, obj["metadata"]["uid"])
            elif rtype is NAMESPACE:
                await self._empty(key.name)
        except ApiError as e:
            if e.code == 409:
                self._mark([key])
            elif e.code != 404:
                log.warning("gc.failed", key="/".join(key), error=str(e))
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._mark, [key])

    def _load(self, key: Key) -> tuple[ResourceType, Object] | None:
        rtype = self._core.registry.find_key(key.kind)
        if rtype is None:
            return None
        try:
            return rtype, self._core.get(rtype, key.namespace, key.name)
        except ApiError as e:
            if e.code == 404:
                return None
            raise

    async def _check_owners(self, rtype: ResourceType, key: Key, obj: Object) -> None:
        owners = obj["metadata"].get("ownerReferences") or []
        states = {owner["uid"]: self._state(owner, key.namespace) for owner in owners}
        if not owners:
            return
        if "there" not in states.values():
            policy: Propagation = "Foreground" if "waiting" in states.values() else "Background"
            await self._delete(rtype, key, obj, policy)
        elif gone := {uid for uid, state in states.items() if state == "gone"}:
            await self._strip(rtype, key, gone)

    def _state(self, owner: Object, namespace: str) -> str:
        key = self._owner_key(owner, namespace)
        if key is None:
            return "there"  # of a kind that we do not know: not ours to judge
        found = self._load(key)
        if found is None or found[1]["metadata"]["uid"] != owner["uid"]:
            return "gone"
        meta = found[1]["metadata"]
        return "waiting" if meta.get("deletionTimestamp") and FOREGROUND in (meta.get("finalizers") or ()) else "there"

    async def _foreground(self, rtype: ResourceType, key: Key, uid: str) -> None:
        blocking = False
        for dependent in sorted(self._dependents.get(uid, ())):
            if (found := self._load(dependent)) is None:
                continue
            owners = found[1]["metadata"].get("ownerReferences") or ()
            blocking |= any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)
            self._mark([dependent])
        if not blocking:
            await self._drop_finalizer(rtype, key, FOREGROUND)

    async def _orphan(self, rtype: ResourceType, key: Key, uid: str) -> None:
        for dependent in sorted(self._dependents.get(uid, ())):
            if (found := self._load(dependent)) is not None:
                await self._strip(found[0], dependent, {uid})
        await self._drop_finalizer(rtype, key, ORPHAN)

    async def _empty(self, namespace: str) -> None:
        """Delete all content of a namespace; remove it once nothing is left. Each deletion brings it here again."""
        for rtype in self._core.registry:
            if rtype.namespaced and rtype.stored:
                rows = self._core.list(rtype, ListOptions(Selection(namespace))).rows
                for start in range(0, len(rows), AT_ONCE):
                    batch = [(row.key, self._core.codec.load(rtype, row)) for row in rows[start : start + AT_ONCE]]
                    await asyncio.gather(
                        *(
                            self._delete(rtype, key, obj, "Background")
                            for key, obj in batch
                            if not obj["metadata"].get("deletionTimestamp")
                        ),
                    )
        await self._core.remove_namespace(namespace)

    async def _delete(self, rtype: ResourceType, key: Key, obj: Object, policy: Propagation) -> None:
        meta = obj["metadata"]
        # Exactly the object that was judged, as it was judged.
        options = DeleteOptions(policy, uid=meta["uid"], resource_version=meta["resourceVersion"])
        try:
            await self._core.delete(rtype, key.namespace, key.name, options)
        except ApiError as e:
            if e.code not in (404, 409):
                raise
            if e.code == 409:
                self._mark([key, Key(NAMESPACE.qualified, "", key.namespace) if key.namespace in self._terminating else None])

    async def _strip(self, rtype: ResourceType, key: Key, uids: set[str]) -> None:
        def without(obj: Object) -> Object:
            kept = [owner for owner in obj["metadata"].get("ownerReferences") or () if owner["uid"] not in uids]
            obj["metadata"].pop("ownerReferences", None)
            if kept:
                obj["metadata"]["ownerReferences"] = kept
            return obj

        await self._core.edit(rtype, key.namespace, key.name, without, MANAGER)

    async def _drop_finalizer(self, rtype: ResourceType, key: Key, name: str) -> None:
        def without(obj: Object) -> Object:
            obj["metadata"]["finalizers"] = [found for found in obj["metadata"].get("finalizers") or () if found != name]
            return obj

        await self._core.edit(rtype, key.namespace, key.name, without, MANAGER)

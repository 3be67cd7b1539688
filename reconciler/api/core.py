"""The verbs of the API, without HTTP: get, list, create, replace, patch, delete. Everything else stands on these.

A write reads the object, computes the new one (admission.py) and writes it if the object is still at the revision that was
read; if not, it starts again, unless the caller named a revision. So no update is ever lost.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from reconciler.api import deletion, errors, listing
from reconciler.api.admission import FieldValidation, Options, check_identity, drop_unknown, for_create, for_update, metadata_of
from reconciler.api.codec import Codec, dump
from reconciler.api.deletion import DeleteOptions
from reconciler.api.jsonvalue import clone_object
from reconciler.api.listing import Listing, ListOptions
from reconciler.api.managed import ApplyConflict, apply
from reconciler.api.patches import PatchError, json_patch, merge_patch, strategic_merge
from reconciler.api.resources import NAMESPACE, Registry, ResourceType
from reconciler.api.revisions import Key, Mismatch, Missing, Row, StoreError
from reconciler.api.secretbox import SecretBoxError
from reconciler.api.store import Store
from reconciler.api.validation import Cause
from reconciler.client import ApiError

Object = dict[str, Any]
PatchKind = Literal["merge", "json", "strategic", "apply"]

PROTECTED = ("default", "kube-system", "kube-public")
"""Namespaces that exist always."""
ATTEMPTS = 64
"""How often a write starts again when others were faster."""


class Written(NamedTuple):
    """What a write left: the object (the caller's own), and its JSON."""

    obj: Object
    body: bytes
    created: bool = False
    gone: bool = False
    """True if nothing is left of it."""


class Core:
    """The API of one installation. All methods raise ApiError with a metav1.Status."""

    def __init__(self, store: Store, registry: Registry, codec: Codec, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.registry = registry
        self.codec = codec
        self.clock = clock
        self._versions: dict[str, tuple[int, dict[tuple[str, str], str]]] = {}
        """Kind → up to which revision it is known, and what `versions` last said."""

    def options(
        self,
        manager: str,
        *,
        subresource: str = "",
        field_validation: FieldValidation | None = None,
        dry_run: bool = False,
    ) -> Options:
        """The options of one write, as of now."""
        return Options(
            manager, self.now(), uid=str(uuid.uuid4()), subresource=subresource,
            field_validation=field_validation, dry_run=dry_run,
        )  # fmt: skip

    def now(self) -> str:
        """The time as objects hold it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock()))

    # --- reads --------------------------------------------------------------------------------------------------------

    def get(self, rtype: ResourceType, namespace: str, name: str) -> Object:
        """The object as it is now; a copy. 404 if there is none."""
        with _store_errors():
            return self.codec.load(rtype, self._row(rtype, Key(rtype.qualified, namespace, name)))

    def get_body(self, rtype: ResourceType, namespace: str, name: str) -> bytes:
        """The object's JSON as it is now. 404 if there is none."""
        with _store_errors():
            return self.codec.body(rtype, *self._row(rtype, Key(rtype.qualified, namespace, name)))

    def list(self, rtype: ResourceType, options: ListOptions) -> Listing:
        """One chunk of a list."""
        with _store_errors():
            return listing.read(self.store, self.codec, rtype, options)

    def versions(self, rtype: ResourceType) -> dict[tuple[str, str], str]:
        """The resourceVersion of every object, by namespace and name. Quick if nothing happened since the last time."""
        kind, upto = rtype.qualified, self.store.delivered
        at, known = self._versions.get(kind, (-1, {}))
        with _store_errors():
            if at < self.store.compacted or self.store.changes(kind, after=at, upto=upto, limit=1):
                known = {(namespace, name): str(rv) for namespace, name, rv in self.store.versions(kind)}
        self._versions[kind] = upto, known
        return dict(known)

    def _row(self, rtype: ResourceType, key: Key) -> Row:
        row = self.store.get(key)
        if row is None:
            raise errors.not_found(rtype, key.name)
        return row

    # --- writes -------------------------------------------------------------------------------------------------------

    async def create(self, rtype: ResourceType, namespace: str, obj: Object, options: Options) -> Written:
        """Create from `obj`, which is changed. 409 if the name is taken, 404 if the namespace is not there."""
        with _store_errors():
            meta = metadata_of(obj)
            self._check_namespace(rtype, namespace, str(meta.get("name", "")))
            generated = not meta.get("name")
            for _ in range(ATTEMPTS):
                candidate = for_create(rtype, clone_object(obj) if generated else obj, namespace, options)
                key = Key(rtype.qualified, namespace, candidate["metadata"]["name"])
                if self.store.get(key) is None:
                    try:
                        return await self._write(rtype, key, candidate, 0, options.dry_run)
                    except Mismatch:
                        pass
                    except Missing as e:
                        raise errors.not_found(NAMESPACE, namespace) from e
                if not generated:
                    break
            raise errors.already_exists(rtype, key.name)

    async def replace(self, rtype: ResourceType, namespace: str, name: str, obj: Object, options: Options) -> Written:
        """Put `obj` in place of the object. 409 if its resourceVersion is not the current one."""
        if rtype.counts_generations and not metadata_of(obj).get("resourceVersion"):
            cause = Cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion")
            raise errors.invalid(rtype, name, [cause])
        return await self._update(rtype, namespace, name, lambda old: clone_object(obj), options)

    async def patch(
        self,
        rtype: ResourceType,
        namespace: str,
        name: str,
        body: Any,
        kind: PatchKind,
        options: Options,
        *,
        force: bool = False,
    ) -> Written:
        """Patch the object; `apply` creates it where it is missing. 409 if the patch names another resourceVersion."""
        if kind == "apply":
            return await self._apply(rtype, namespace, name, body, options, force=force)
        if kind == "strategic" and rtype.counts_generations:
            raise errors.unsupported(
                "application/strategic-merge-patch+json",
                ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"),
            )

        def change(old: Object) -> Object:
            match kind:
                case "merge":
                    return merge_patch(old, body)
                case "json":
                    return json_patch(old, body)
            return strategic_merge(old, body, rtype.schema)

        return await self._update(rtype, namespace, name, change, options)

    async def edit(
        self, rtype: ResourceType, namespace: str, name: str, change: Callable[[Object], Object], manager: str | Options
    ) -> Written:
        """Store `change(object)`; it gets a copy and returns it changed, or as it was for no change."""
        options = self.options(manager) if isinstance(manager, str) else manager
        return await self._update(rtype, namespace, name, lambda old: change(clone_object(old)), options)

    async def delete(self, rtype: ResourceType, namespace: str, name: str, options: DeleteOptions) -> Written:
        """Ask for deletion. The answer is the object as far as it is still there, else the Status of a success."""
        if rtype is NAMESPACE and name in PROTECTED:
            raise errors.forbidden(f'namespaces "{name}" is forbidden: this namespace may not be deleted', rtype, name)
        key = Key(rtype.qualified, namespace, name)

        def change(old: Object) -> Object:
            deletion.check_preconditions(rtype, old["metadata"], options)
            return deletion.mark(rtype, old, options, self.now())

        with _store_errors():
            written = await self._mutate(rtype, key, change, dry_run=options.dry_run, deleting=True)
        if not written.gone:
            return written
        return Written(errors.success(rtype, key.name, written.obj["metadata"]["uid"]), b"", gone=True)

    async def remove_namespace(self, name: str) -> bool:
        """Remove a namespace whose deletion was asked for, if it is empty and has no finalizers left."""
        key = Key(NAMESPACE.qualified, "", name)
        with _store_errors():
            row = self.store.get(key)
            if row is None:
                return True
            meta = self.codec.load(NAMESPACE, row)["metadata"]
            if not meta.get("deletionTimestamp") or meta.get("finalizers"):
                return False
            try:
                await self.store.write(key, row.blob, expect=row.rv, deleted=True, empty_namespace=name)
            except (Missing, Mismatch):
                return False
            return True

    async def _apply(
        self, rtype: ResourceType, namespace: str, name: str, applied: Any, options: Options, *, force: bool
    ) -> Written:
        _check_applied(rtype, name, applied)
        drop_unknown(rtype, applied, options)
        options.applied = True

        def merged(live: Object | None) -> Object:
            if live is not None:
                check_identity(rtype, live["metadata"], clone_object(applied["metadata"]))
            elif stale := next((name for name in ("uid", "resourceVersion") if applied["metadata"].get(name)), None):
                raise errors.conflict(rtype, name, f"the provided object names a {stale}, and no such object exists")
            try:
                return apply(
                    live, applied, manager=options.manager, force=force, schema=rtype.schema, now=options.now,
                    api_version=rtype.api_version, subresource=options.subresource,
                )  # fmt: skip
            except ApplyConflict as e:
                raise errors.apply_conflict(e, rtype, name) from e

        key = Key(rtype.qualified, namespace, name)
        for _ in range(ATTEMPTS):
            with _store_errors():
                there = self.store.get(key) is not None
            if there or options.subresource:
                return await self._update(rtype, namespace, name, merged, options)
            try:
                return await self.create(rtype, namespace, merged(None), options)
            except ApiError as e:
                if e.reason != "AlreadyExists":
                    raise
        raise errors.conflict(rtype, name)

    async def _update(
        self, rtype: ResourceType, namespace: str, name: str, change: Callable[[Object], Object], options: Options
    ) -> Written:
        def admitted(old: Object) -> Object:
            try:
                return for_update(rtype, old, change(old), options)
            except PatchError as e:
                reason = {400: "BadRequest", 413: "RequestEntityTooLarge", 415: "UnsupportedMediaType"}.get(e.code, "Invalid")
                raise errors.status_error(e.code, reason, e.message, rtype=rtype, name=name) from e

        with _store_errors():
            return await self._mutate(rtype, Key(rtype.qualified, namespace, name), admitted, dry_run=options.dry_run)

    async def _mutate(
        self, rtype: ResourceType, key: Key, change: Callable[[Object], Object], *, dry_run: bool, deleting: bool = False
    ) -> Written:
        for _ in range(ATTEMPTS):
            row = self._row(rtype, key)
            old = self.codec.load(rtype, row)
            new = change(old)
            if new is old:
                return Written(old, self.codec.body(rtype, *row))
            going = deleting or new["metadata"].get("deletionTimestamp")
            try:
                return await self._write(rtype, key, new, row.rv, dry_run, gone=bool(going) and deletion.is_done(rtype, new))
            except Mismatch:
                continue
        raise errors.conflict(rtype, key.name)

    async def _write(
        self, rtype: ResourceType, key: Key, obj: Object, expect: int, dry_run: bool, *, gone: bool = False
    ) -> Written:
        created = expect == 0
        tail = dump(obj)
        if dry_run:
            rv = expect
        else:
            requires = Key(NAMESPACE.qualified, "", key.namespace) if created and rtype.namespaced else None
            blob = self.codec.blob(rtype, key, tail)
            rv = await self.store.write(key, blob, expect=expect, deleted=gone, requires=requires)
        obj["metadata"]["resourceVersion"] = str(rv)
        return Written(obj, b"%b%d%b" % (rtype.head, rv, tail), created, gone)

    def _check_namespace(self, rtype: ResourceType, namespace: str, name: str) -> None:
        if not rtype.namespaced:
            return
        row = self.store.get(Key(NAMESPACE.qualified, "", namespace))
        if row is None:
            raise errors.not_found(NAMESPACE, namespace)
        if self.codec.load(NAMESPACE, row)["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise errors.forbidden(f'{rtype.qualified} "{name[:80]}" is forbidden: {why}', rtype, name[:80], [cause])


def _check_applied(rtype: ResourceType, name: str, applied: Any) -> None:
    if not isinstance(applied, dict):
        raise errors.bad_request("the body of an apply must be an object")
    meta = metadata_of(applied)
    if meta.get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    if meta.setdefault("name", name) != name:
        raise errors.bad_request(f"the name of the object ({meta['name']!s:.80}) does not match the name on the URL ({name})")
    for field, wanted in (("apiVersion", rtype.api_version), ("kind", rtype.kind)):
        if applied.get(field) != wanted:
            raise errors.bad_request(f'the body of an apply must name its {field}: "{wanted}"')


@contextmanager
def _store_errors() -> Iterator[None]:
    """The database's refusals as the API's."""
    try:
        yield
    except (StoreError, SecretBoxError) as e:
        raise errors.unavailable(str(e)) from e

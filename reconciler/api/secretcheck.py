"""Before the server answers: do the Secrets in the database open with the key that lies beside it?

A key that does not fit is found out at the start, where a person reads it, and not by whatever needs a Secret later. No new key
is made while there are Secrets under a lost one: it would stand where the right one has to be restored.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.api.codec import Codec, dump
from reconciler.api.resources import Registry, ResourceType
from reconciler.api.revisions import Row
from reconciler.api.secretbox import SecretBox, SecretBoxError
from reconciler.api.store import Store


async def opened(store: Store, registry: Registry, path: Path, *, discard: bool = False) -> Codec:
    """The codec under the key at `path`, which is made if there is none and none was needed.

    SecretBoxError if Secrets in the database do not open with it; with `discard` those are deleted instead.
    """
    sealed = [(rtype, row) for rtype in registry if rtype.sealed for row in _rows(store, rtype)]
    if sealed and not discard and not path.exists():  # noqa: ASYNC240 - once, before anything is served
        raise SecretBoxError(f"cannot find {path}: {len(sealed)} Secrets were encrypted with it; {_what_to_do(path)}")
    codec = Codec(SecretBox.from_file(path))
    lost = [(rtype, row) for rtype, row in sealed if not _opens(codec, rtype, row)]
    if lost and not discard:
        example = "/".join(lost[0][1].key)
        said = f"{len(lost)} of {len(sealed)} Secrets, such as {example}, were encrypted with another key"
        raise SecretBoxError(f"cannot use {path}: {said}; {_what_to_do(path)}")
    for rtype, row in lost:
        meta = {"name": row.key.name, "namespace": row.key.namespace, "uid": "", "creationTimestamp": None}
        last = dump({"apiVersion": rtype.api_version, "kind": rtype.kind, "metadata": meta})
        await store.write(row.key, codec.blob(rtype, row.key, last), expect=row.rv, deleted=True)
    return codec


def _rows(store: Store, rtype: ResourceType) -> list[Row]:
    return store.scan(rtype.qualified, None, at=store.newest())


def _opens(codec: Codec, rtype: ResourceType, row: Row) -> bool:
    try:
        codec.body(rtype, *row)
    except SecretBoxError:
        return False
    return True


def _what_to_do(path: Path) -> str:
    home = path.parent.parent
    return (
        "restore that file from a backup; if it is lost, so are they: "
        f"`python -m reconciler.api --home {home} --discard-secrets` deletes them and ends"
    )

"""Cards: what a web app must know of a model, in the result store: so no web app needs the model, nor is started anew for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from modelstore import manifest
from modelstore.errors import ModelError, NotFound
from serving.broker.replies import client, prefix
from serving.config import Config

FILES = (manifest.SIGNATURE, manifest.METADATA, manifest.REFERENCE)
KEPT_SECONDS = 7 * 24 * 3600
"""A card that nobody renews goes: its revision has long been gone."""


def key_of(config: Config, digest: str) -> str:
    """Where a card is kept."""
    return f"{prefix(config)}:card:{manifest.hex_of(digest)}"


def put(config: Config, store: Any, digest: str, folder: Path) -> None:
    """Write a model's card, or renew it."""
    key = key_of(config, digest)
    with store.pipeline(transaction=True) as line:
        line.hset(key, mapping={name: path.read_bytes() for name in FILES if (path := folder / name).exists()})
        line.expire(key, KEPT_SECONDS)
        line.execute()


def fetch(config: Config, digest: str) -> Path:
    """The folder of a card: fetched once. Raises NotFound, or ModelError if the result store does not answer."""
    import redis

    target = config.folder / "cards" / manifest.hex_of(digest)
    if target.is_dir():
        return target
    try:
        found = client(config.results).hgetall(key_of(config, digest))
    except redis.RedisError as error:
        raise ModelError(f"cannot read the card of model {digest[:19]}…: {type(error).__name__}; trying again") from error
    if not found:
        raise NotFound(digest, "the result store")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    for name, data in found.items():
        (fresh / name.decode()).write_bytes(data)
    try:
        fresh.rename(target)
    except OSError:  # another process was quicker
        if not target.is_dir():
            raise
    return target

"""A store that is a folder of archives, one for each model, as a Swarm mounts them: unpacked once, checked by who loads them.

Whoever was not given an archive reads the model's card, which is what a web app needs of a model, from the result store.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

from modelstore import manifest
from modelstore.errors import NotFound
from serving import cards
from serving.config import Config

SCHEME = "archives:"


def folder_of(config: Config, digest: str) -> Path:
    """The folder of a model, or of its card. Raises NotFound, OSError, Corrupt."""
    key = manifest.hex_of(digest)
    packed, target = Path(config.store.removeprefix(SCHEME)) / f"{key}.tar", config.folder / "models" / key
    if target.is_dir():
        return target
    if not packed.is_file():
        return cards.fetch(config, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        with tarfile.open(packed) as tar:
            tar.extractall(fresh, filter="data")
    except tarfile.TarError as error:
        raise NotFound(digest, str(packed)) from error
    try:
        os.replace(fresh, target)
    except OSError:  # another process was quicker
        if not target.is_dir():
            raise
    return target

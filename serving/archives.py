"""A store that is a folder of archives, one for each model, as a Swarm mounts them: unpacked once, checked by who loads them.

Instead of a large archive a pointer lies there, which says in which registry or bucket it is. Whoever was given neither reads the
model's card, which is what a web app needs of a model, from the result store.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from modelstore import manifest
from modelstore.errors import Corrupt, NotFound
from modelstore.registry import Registry
from modelstore.store import Store
from serving import cards
from serving.config import Config

SCHEME = "archives:"


MOST = 2 * manifest.MAX_MODEL + 4 * manifest.MAX_TEXT
"""Bytes of all files of a package."""


def folder_of(config: Config, digest: str) -> Path:
    """The folder of a model, or of its card. Raises NotFound, OSError, Corrupt; Away if it may be had later."""
    key = manifest.hex_of(digest)
    packed, target = Path(config.store.removeprefix(SCHEME)) / f"{key}.tar", config.folder / "models" / key
    if target.is_dir():
        return target
    if not packed.is_file():
        return cards.fetch(config, digest)
    if (told := _pointer(packed)).get("store"):
        return Store(told["store"], cache=target.parent).path(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as beside:
        fresh = Path(beside) / key
        if told:
            packed = Path(beside) / "fetched.tar"
            Registry(told["registry"]).pull(told["tag"], packed, MOST)
        try:
            _unpack(packed, fresh)
        except (tarfile.TarError, EOFError) as error:
            raise NotFound(digest, str(packed)) from error
        try:
            os.replace(fresh, target)
        except OSError:  # another process was quicker
            if not target.is_dir():
                raise
    return target


def _pointer(packed: Path) -> dict[str, str]:
    """Where the archive is, if it is not this file."""
    with packed.open("rb") as file:
        is_pointer = file.read(1) == b"{"
    found: dict[str, str] = json.loads(packed.read_bytes()) if is_pointer else {}
    return found


def _unpack(packed: Path, to: Path) -> None:
    """Nothing is believed of the archive: plain files, in this folder, not more than a package may have."""
    left = MOST
    try:
        with tarfile.open(packed) as tar:
            for member in tar:
                left -= member.size
                if left < 0:
                    raise Corrupt(member.name[:80], f"the archive holds more than {MOST >> 20} MiB")
                tar.extract(member, to, filter="data")
    except BaseException:
        shutil.rmtree(to, ignore_errors=True)
        raise

"""Models in the serving environment: fetched by digest, verified before they are loaded, and what the web process knows of them.

The web process reads signature and metadata only. It never loads a model.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from pydantic import ValidationError

from modelstore.errors import Away, ModelError, TooLarge
from modelstore.signature import Signature
from serving.config import Config

if TYPE_CHECKING:
    from modelstore.predictor import Predictor

log = structlog.get_logger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0
MORE = "set predictor.resources.limits.memory to more"


class ModelUnusable(Exception):
    """The model is not in the store, or not as it was packaged, or cannot be loaded here."""


class ModelAway(ModelUnusable):
    """The place that it is to be fetched from does not answer; later it may."""


def awaited(config: Config, digest: str, say: Callable[[str], object], seconds: float = math.inf) -> Path:
    """As `fetch` with `verify`; while the place that it is fetched from is away it waits, `seconds` at most, and says so."""
    end, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        try:
            return fetch(config, digest, verify=True)
        except ModelAway as error:
            if time.monotonic() + pause > end:
                raise
            say(f"waiting for the model: {error}")
            log.warning("model.awaited", digest=digest, error=str(error))
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def fetch(config: Config, digest: str, *, verify: bool = False) -> Path:
    """The folder of a model on this machine; with `verify`, every byte of it is hashed. Raises ModelUnusable, ModelAway."""
    from modelstore import manifest
    from modelstore.store import Store
    from serving import archives

    try:
        packed = config.store.startswith(archives.SCHEME)
        folder = archives.folder_of(config, digest) if packed else Store(config.store).path(digest)
        if verify:
            manifest.verify(folder, digest)
    except Away as error:
        raise ModelAway(str(error)) from error
    except (ModelError, OSError, ValueError) as error:
        raise ModelUnusable(str(error)) from error
    return folder


def load(config: Config, folder: Path, digest: str) -> Predictor:
    """The model, ready to answer; every byte is checked before it is used. Raises ModelUnusable.

    From then on this process takes no more memory than the configuration grants.
    """
    from modelstore.predictor import load as load_predictor

    most = _most(config, folder)
    try:
        return load_predictor(folder, expect=digest, memory=most)
    except (TooLarge, MemoryError) as error:
        raise ModelUnusable(f"the model wants more than the {most >> 20} MiB that it may take; {MORE}") from error
    except (ModelError, OSError, ImportError, ValueError) as error:
        raise ModelUnusable(str(error)) from error


def ended(config: Config, folder: Path, code: int) -> str:
    """Why the process that loaded the model is gone, in words. code: as os.waitstatus_to_exitcode has it.

    ONNX Runtime ends its process where it gets no memory and cannot say so.
    """
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the process that loaded the model ended with {how}; the model may take {_most(config, folder) >> 20} MiB; {MORE}"


def _most(config: Config, folder: Path) -> int:
    from modelstore import memory

    return config.limits.memory_bytes or memory.allowance(folder)


class Known:
    """What the web process knows of a model."""

    def __init__(self, digest: str, folder: Path) -> None:
        self.digest = digest
        try:
            self.signature = Signature.model_validate_json((folder / "signature.json").read_bytes())
            self.metadata: dict[str, Any] = _json(folder / "metadata.json")
            self.reference: dict[str, Any] = _json(folder / "reference.json")
        except (OSError, ValidationError, orjson.JSONDecodeError) as error:
            raise ModelUnusable(f"cannot read the signature of model {digest[:19]}…: {error}") from error


def _json(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(file.read_bytes()) if file.exists() else {}
    return found


class Library:
    """The models of one deployment, read once each."""

    def __init__(self, config: Config) -> None:
        self.get = lru_cache(maxsize=16)(lambda digest: Known(digest, fetch(config, digest)))

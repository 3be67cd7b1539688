"""What a short process of training leaves: its result, or why there is none. It always ends well; the error is an answer, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.files import read_json


def answered(work: Callable[[Any], dict[str, Any]], request: Path, nothing: Mapping[str, Any], doing: str) -> dict[str, Any]:
    """What `work` makes of the request; where it cannot: `nothing`, and an error of reason and message. `doing` is for people."""
    try:
        return work(read_json(request))
    except TrainingError as e:
        return {**nothing, "error": e.record()}
    except Exception as e:
        message = f"cannot {doing}: {type(e).__name__}: {e}"[:1000]
        return {**nothing, "error": {"reason": "InternalError", "message": message}}

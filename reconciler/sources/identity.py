"""What a source is called: the same for one folder of one installation, whatever happens in between."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

STEM = 32


def settled_path(path: Path) -> Path:
    """Make the path absolute and free of links, but for the folder itself: what a link points to may be swapped."""
    path = path.expanduser().absolute()
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def source_id(path: Path, installation: str) -> str:
    """A readable stem and a short hash: valid as a label's value, in a field manager and in an object's name."""
    place = settled_path(path)
    stem = re.sub(r"[^a-z0-9]+", "-", place.name.lower())[:STEM].strip("-") or "root"
    digest = hashlib.sha256(f"{installation}\0{place}".encode("utf-8", "surrogateescape")).hexdigest()
    return f"{stem}-{digest[:8]}"

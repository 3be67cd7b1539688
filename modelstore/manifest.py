"""MANIFEST.json: which files a package has, their SHA-256, and the digest that names it.

    {"digest": "sha256:…", "files": {"model.skops": "…", "signature.json": "…", …}}

The digest covers what decides an answer: model files, signature and golden rows, each in canonical form. Metrics and lineage are
not in it, so that the same data, code and seed give the same digest; the manifest's hashes protect them from decay all the same.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Collection
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from modelstore.errors import Corrupt

MANIFEST: Final = "MANIFEST.json"
SKOPS: Final = "model.skops"
ONNX: Final = "model.onnx"
SIGNATURE: Final = "signature.json"
GOLDEN: Final = "golden.json"
REFERENCE: Final = "reference.json"
METADATA: Final = "metadata.json"

DIGESTED: Final = (SKOPS, ONNX, SIGNATURE, GOLDEN)
"""What the digest covers."""
FILES: Final = (*DIGESTED, REFERENCE, METADATA)
"""All that a package may hold besides its manifest."""

MAX_MODEL: Final = 2 << 30
MAX_TEXT: Final = 64 << 20
DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


def canonical_json(value: Any) -> bytes:
    """One form for one value: sorted keys, no spaces, UTF-8, a newline at the end. ValueError: NaN or infinite."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n").encode()


def digest_of(hashes: dict[str, str]) -> str:
    """The digest of a package from the SHA-256 of its files."""
    lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(DIGESTED) if name in hashes)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def hex_of(digest: str) -> str:
    """The store's key: the digest without "sha256:". ValueError: it is no digest."""
    if not (found := DIGEST.fullmatch(digest)):
        raise ValueError(
            f"cannot use {digest[:80]!r} as a model's digest: it is not sha256: and 64 hex digits; copy it from a ModelVersion"
        )
    return found[1]


def write(folder: Path) -> str:
    """Write the manifest of a folder whose files stand, and answer the digest."""
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES if (folder / name).is_file()}
    digest = digest_of(hashes)
    (folder / MANIFEST).write_bytes(canonical_json({"digest": digest, "files": hashes}))
    return digest


def read(folder: Path) -> tuple[str, dict[str, str]]:
    """Digest and hashes as the manifest has them. Corrupt: it is missing, is no manifest, or contradicts itself."""
    with _opened(folder, MANIFEST, MAX_TEXT) as file:
        return parse(file.read())


def parse(text: bytes) -> tuple[str, dict[str, str]]:
    """As `read`, from the manifest's bytes."""
    try:
        found = json.loads(text)
        digest, hashes = found["digest"], found["files"]
        good = isinstance(hashes, dict) and all(
            name in FILES and re.fullmatch(r"[0-9a-f]{64}", value) for name, value in hashes.items()
        )
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise Corrupt(MANIFEST, "it is no manifest") from e
    if not good or digest != digest_of(hashes):
        raise Corrupt(MANIFEST, "its digest is not that of the files it names")
    return digest, hashes


def verify(folder: Path, expect: str | None = None, keep: Collection[str] = FILES) -> tuple[str, dict[str, bytes]]:
    """Hash every file, check each against the manifest, and answer the digest and exactly the bytes that were checked.

    expect: the digest that it must have. keep: files whose bytes are wanted; the others are hashed piece by piece.
    Corrupt names the first file that is not as it was written.
    """
    digest, hashes = read(folder)
    if expect is not None and digest != expect:
        raise Corrupt(MANIFEST, f"it is of model {digest}, not of {expect}")
    if strangers := sorted({entry.name for entry in os.scandir(folder)} - {MANIFEST, *hashes}):
        raise Corrupt(strangers[0], "it is not in the manifest")
    contents: dict[str, bytes] = {}
    for name in sorted(hashes):
        found, data = _hashed(folder, name, keep=name in keep)
        if found != hashes[name]:
            raise Corrupt(name, f"its SHA-256 is {found[:12]}…, the manifest has {hashes[name][:12]}…")
        if data is not None:
            contents[name] = data
    return digest, contents


def _hashed(folder: Path, name: str, *, keep: bool) -> tuple[str, bytes | None]:
    with _opened(folder, name, MAX_MODEL if name in (SKOPS, ONNX) else MAX_TEXT) as file:
        if keep:
            data = file.read()
            return hashlib.sha256(data).hexdigest(), data
        return hashlib.file_digest(file, "sha256").hexdigest(), None


def _opened(folder: Path, name: str, limit: int) -> BufferedReader:
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise Corrupt(name, "it is missing") from None
    except OSError as e:
        raise Corrupt(name, "it is a symbolic link" if e.errno == errno.ELOOP else f"it cannot be read ({e.strerror})") from e
    file = os.fdopen(handle, "rb")
    if os.fstat(handle).st_size > limit:
        file.close()
        raise Corrupt(name, f"it is larger than {limit >> 20} MiB")
    return file

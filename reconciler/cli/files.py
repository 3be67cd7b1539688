"""-f FILE|DIR|-: read what is there and load it; every error of every file is told before anything is sent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from reconciler.cli.errors import CliError, UsageError
from reconciler.cli.terminal import clean_lines, note
from specs.loading import MAX_BYTES, Document, load

SUFFIXES = (".yaml", ".yml", ".json")


def named(names: list[str]) -> list[str]:
    """The names, if there are any; UsageError otherwise."""
    if not names:
        raise UsageError("cannot tell which file you mean: give -f FILE, -f DIR or -f -")
    return names


def load_files(names: list[str], *, namespace: str, recursive: bool = False) -> list[Document]:
    """All documents of all files, in their order. CliError, after telling each error, if a single one is wrong."""
    found: list[Document] = []
    errors = 0
    for name, text in _texts(names, recursive):
        loaded = load(text, name=name, namespace=namespace)
        for error in loaded.errors:
            note("\n".join(clean_lines(error)))
        errors += len(loaded.errors)
        found += loaded.documents
    if errors:
        raise CliError(
            f"cannot use {', '.join(names)}: {errors} error{'s' * (errors > 1)}; nothing was sent, fix them and run it again"
        )
    if not found:
        raise CliError(
            f"cannot use {', '.join(names)}: there is no object in it; `anneal explain machine` shows what one looks like"
        )
    return found


def _texts(names: list[str], recursive: bool) -> Iterator[tuple[str, bytes]]:
    for name in names:
        if name == "-":
            yield "stdin", sys.stdin.buffer.read(MAX_BYTES + 1)
        elif os.path.isdir(name):
            yield from _folder(name, recursive)
        else:
            yield name, _read(name)


def _folder(folder: str, recursive: bool) -> Iterator[tuple[str, bytes]]:
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        raise CliError(f"cannot read {folder}: {error.strerror}; check its permissions") from error
    for entry in entries:
        path = os.path.join(folder, entry)
        if entry.startswith("."):
            continue
        if os.path.isdir(path):
            if recursive:
                yield from _folder(path, recursive)
        elif entry.lower().endswith(SUFFIXES):
            yield path, _read(path)


def _read(path: str) -> bytes:
    """The file, but never more than one byte above the limit: loading refuses it then."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}; check the path") from error

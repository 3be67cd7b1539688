"""Looks at a folder: which spec files there are, and what the changed ones hold. Runs in a thread; changes nothing.

Silence is never taken for absence: what cannot be read is said to be unreadable, never left out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.sources.objects import Wanted, wanted
from reconciler.sources.plan import Words, words
from reconciler.sources.status import Problem
from specs.loading import MAX_BYTES, load

SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILES = 20_000
RACY_SECONDS = 0.02
"""A file read so soon after it changed may change again without its time showing it: it is read once more."""
BUSY_SECONDS = 1.0
"""A file that is open for writing is waited for, this long."""


class Unreadable(Exception):
    """The folder as a whole cannot be read: what it holds is not known."""


@dataclass(frozen=True, slots=True)
class File:
    """One spec file as it was last read."""

    stamp: tuple[int, ...] | None
    """Device, inode, size and times; None if it has to be read again to be sure."""
    digest: bytes = b""
    documents: tuple[Wanted, ...] = ()
    problems: tuple[Problem, ...] = ()
    words: Words = frozenset()
    """Of a file with problems: what its objects may be called."""


@dataclass(slots=True)
class Scan:
    """All that could be learned about the folder."""

    files: dict[str, File] = field(default_factory=dict)
    """By path relative to the folder."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Files and subfolders that are there and cannot be read, and why."""
    busy: set[str] = field(default_factory=set)
    """Files that somebody is writing at this moment: what they held before still counts."""
    devices: dict[str, int] = field(default_factory=dict)
    """Folder → device, for the folder itself (".") and for each that is mounted from elsewhere."""
    folders: set[str] = field(default_factory=set)


def scan(root: Path, source: str, known: Mapping[str, File], busy_since: Mapping[str, float], mounts: Mapping[str, int]) -> Scan:
    """Read what changed since `known`; raise Unreadable if the folder cannot be listed, or if a mount under it is missing."""
    found = Scan()
    for relative, path, stamp in _walk(root, found):
        before = known.get(relative)
        if before is not None and before.stamp == stamp:
            found.files[relative] = before
            continue
        patient = time.monotonic() - busy_since.get(relative, time.monotonic()) < BUSY_SECONDS
        try:
            text = _read(path, patient=patient)
        except BlockingIOError:
            found.busy.add(relative)
            if before is not None:
                found.files[relative] = before
            continue
        except FileNotFoundError:
            continue  # gone since it was listed: the next scan tells whether it comes back
        except OSError as error:
            found.unreadable[relative] = _cause(error)
            continue
        fresh = time.time_ns() - stamp[3] < RACY_SECONDS * 1e9
        found.files[relative] = _load(relative, source, text, None if fresh else stamp, before)
    if lost := _unmounted(found, mounts):
        raise Unreadable(f'"{lost}" is empty and on another device than before: is something not mounted there?')
    return found


def _load(relative: str, source: str, text: bytes, stamp: tuple[int, ...] | None, before: File | None) -> File:
    digest = hashlib.blake2b(text, digest_size=16).digest()
    if before is not None and before.digest == digest:
        return File(stamp, digest, before.documents, before.problems, before.words)
    loaded = load(text, name=relative)
    if loaded.errors:  # all or nothing: half a file is not what anybody wrote
        return File(stamp, digest, (), tuple(map(Problem.of, loaded.errors)), words(text))
    return File(stamp, digest, tuple(wanted(document, source) for document in loaded.documents))


def _walk(root: Path, found: Scan) -> list[tuple[str, str, tuple[int, ...]]]:
    """List the spec files, sorted. Hidden names are passed over, links are followed, circles are not."""
    files: list[tuple[str, str, tuple[int, ...]]] = []
    seen: set[tuple[int, int]] = set()
    todo = [("", str(root))]
    while todo:
        relative, folder = todo.pop()
        try:
            about = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not relative:
                raise Unreadable(_cause(error)) from error
            if not isinstance(error, FileNotFoundError):
                found.unreadable[relative] = _cause(error)
            continue
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        found.folders.add(relative or ".")
        if about.st_dev != found.devices.setdefault(".", about.st_dev):
            found.devices[relative] = about.st_dev
        for entry in entries:
            if not entry.name.startswith("."):
                _sort_in(entry, f"{relative}/{entry.name}" if relative else entry.name, files, todo, found)
        if len(files) > MAX_FILES:
            raise Unreadable(f"it holds more than {MAX_FILES} spec files; split it into several sources")
    return sorted(files)


def _sort_in(
    entry: os.DirEntry[str],
    relative: str,
    files: list[tuple[str, str, tuple[int, ...]]],
    todo: list[tuple[str, str]],
    found: Scan,
) -> None:
    relative = relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    ours = entry.name.lower().endswith(SUFFIXES)
    try:
        about = entry.stat()
    except FileNotFoundError:
        if ours and entry.is_symlink():
            found.unreadable[relative] = "it is a link to nothing"
        return
    except OSError as error:
        found.unreadable[relative] = _cause(error)
        return
    if stat.S_ISDIR(about.st_mode):
        todo.append((relative, entry.path))
    elif ours and stat.S_ISREG(about.st_mode):
        files.append((relative, entry.path, _stamp(about)))
    elif ours:
        found.unreadable[relative] = "it is no regular file"


def _stamp(about: os.stat_result) -> tuple[int, ...]:
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _read(path: str, *, patient: bool) -> bytes:
    """Read at most one byte more than a file may have. BlockingIOError if it is being written and `patient`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        if patient and _being_written(descriptor):
            raise BlockingIOError(errno.EAGAIN, "being written", path)
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        text = bytearray()
        while len(text) <= MAX_BYTES and (chunk := file.read(MAX_BYTES + 1 - len(text))):
            text += chunk
        if patient and _stamp(before) != _stamp(os.fstat(descriptor)):
            raise BlockingIOError(errno.EAGAIN, "being written", path)
        return bytes(text)


def _being_written(descriptor: int) -> bool:
    """Ask for a read lease, which Linux grants only on a file that nobody has open for writing, and give it back at once.

    Should a writer come in between, we are told by a signal that does nothing. Other people's files cannot be asked about.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _unmounted(found: Scan, mounts: Mapping[str, int]) -> str | None:
    """Name a folder that was on another device before and is empty now: emptied by `umount`, not by a person."""
    base = found.devices["."]
    for folder, device in mounts.items():
        if folder not in found.folders or found.devices.get(folder, base) == device:
            continue
        inside = "" if folder == "." else f"{folder}/"
        if not any(name.startswith(inside) for name in (*found.files, *found.unreadable, *found.busy)):
            return folder
    return None


def _cause(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)

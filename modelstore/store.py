"""The store: packages by digest, in a folder or in a bucket (any URL that fsspec knows, s3:// among them)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from modelstore import manifest
from modelstore.errors import Away, Corrupt, ModelError, NotFound, one_line

_UNFINISHED: Final = ".put-"
"""Prefix of folders that are being written."""
ABANDONED_SECONDS: Final = 86400.0
"""What a crash left is removed by the next who writes, when it is this old."""


class Store:
    """Packages by digest. Any number of processes may use one at the same time."""

    def __init__(self, url: str | Path, *, cache: Path | None = None) -> None:
        """url: a folder, or a URL such as s3://bucket/models. cache: where packages of a remote store are kept."""
        self.url = str(url)
        self._fs: Any = None
        if "://" in self.url and not self.url.startswith("file://"):
            import fsspec

            try:
                self._fs, self._root = fsspec.core.url_to_fs(self.url)
            except (ImportError, ValueError) as e:
                raise ModelError(
                    f"cannot use {self.url} as a store: {e}; install the package that it asks for (s3: pip install 'anneal[s3]')"
                ) from e
            self._local = cache or _cache() / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        else:
            self._local = Path(self.url.removeprefix("file://")).absolute()

    @property
    def remote(self) -> bool:
        """Whether packages are fetched from elsewhere."""
        return self._fs is not None

    @property
    def local(self) -> Path:
        """The folder of this machine: of the store, or of what was fetched from it."""
        return self._local

    def put(self, folder: Path | str) -> str:
        """Store a package and answer its digest. Atomic: it is there wholly or not at all. Again: nothing happens.

        Corrupt: the folder is not as its manifest says. A damaged copy in the store is replaced.
        """
        source = Path(folder)
        digest, _ = manifest.verify(source, keep=())
        if self._fs is None:
            self._put_folder(source, digest)
        elif not self._fs.exists(f"{self._remote(digest)}/{manifest.MANIFEST}"):
            for name in sorted(path.name for path in source.iterdir() if path.name != manifest.MANIFEST):
                self._fs.put_file(str(source / name), f"{self._remote(digest)}/{name}")
            # who finds a manifest finds everything it names
            self._fs.put_file(str(source / manifest.MANIFEST), f"{self._remote(digest)}/{manifest.MANIFEST}")
        return digest

    def path(self, digest: str) -> Path:
        """A folder of this machine with the package: fetched, checked, kept if the store is remote. NotFound; Corrupt; Away."""
        folder = self._local / manifest.hex_of(digest)
        if self._fs is None:
            if not (folder / manifest.MANIFEST).is_file():
                raise NotFound(digest, self.url)
            return folder
        if not _whole(folder, digest):
            with self._fetched(digest) as fresh:
                manifest.verify(fresh, digest, keep=())
                _replace(fresh, folder, digest)
        return folder

    def verify(self, digest: str) -> None:
        """Hash every byte of what the store itself holds. Corrupt names the file; NotFound: it holds no such package.

        What had to be fetched for that is kept, where it is not here yet.
        """
        if self._fs is None:
            manifest.verify(self.path(digest), digest, keep=())
            return
        folder = self._local / manifest.hex_of(digest)
        with self._fetched(digest) as fresh:
            manifest.verify(fresh, digest, keep=())
            if not folder.exists():
                _replace(fresh, folder, digest)

    def list(self) -> list[str]:
        """Digests of all packages, sorted."""
        if self._fs is None:
            names = [path.parent.name for path in self._local.glob(f"*/{manifest.MANIFEST}")]
        else:
            self._fs.invalidate_cache()
            names = [path.rsplit("/", 2)[-2] for path in self._fs.glob(f"{self._root}/*/{manifest.MANIFEST}")]
        return sorted(digest for name in names if manifest.DIGEST.fullmatch(digest := f"sha256:{name}"))

    def remove(self, digest: str) -> None:
        """Remove a package. Nothing happens if there is none."""
        key = manifest.hex_of(digest)
        if self._fs is not None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(f"{self._remote(digest)}/{manifest.MANIFEST}")  # first, so that no half of it is ever found
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(self._remote(digest), recursive=True)
        with contextlib.suppress(FileNotFoundError):
            doomed = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._local))
            (self._local / key).rename(doomed / key)
            shutil.rmtree(doomed)

    def _remote(self, digest: str) -> str:
        return f"{self._root}/{manifest.hex_of(digest)}"

    def _put_folder(self, source: Path, digest: str) -> None:
        target = self._local / manifest.hex_of(digest)
        self._local.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _whole(target, digest):
            return
        _tidy(self._local)
        copy = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._local))
        try:
            for path in sorted(source.iterdir()):
                shutil.copyfile(path, copy / path.name)
            _replace(copy, target, digest)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    @contextlib.contextmanager
    def _fetched(self, digest: str) -> Iterator[Path]:
        self._local.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._local))
        try:
            self._fetch(digest, manifest.MANIFEST, folder)
            for name in manifest.read(folder)[1]:
                self._fetch(digest, name, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, digest: str, name: str, folder: Path) -> None:
        key = f"{self._remote(digest)}/{name}"
        limit = manifest.MAX_MODEL if name in (manifest.SKOPS, manifest.ONNX) else manifest.MAX_TEXT
        try:
            if self._fs.size(key) > limit:
                raise Corrupt(name, f"it is larger than {limit >> 20} MiB")
            self._fs.get_file(key, str(folder / name))
        except FileNotFoundError:
            if name == manifest.MANIFEST:
                raise NotFound(digest, self.url) from None
            raise Corrupt(name, "it is missing") from None
        except PermissionError as e:
            raise ModelError(f"cannot fetch from {self.url}: it refuses us ({one_line(e)}); check the credentials") from e
        except ModelError:
            raise
        except Exception as e:  # each kind of bucket has errors of its own for what is not to be reached
            raise Away(f"cannot fetch from {self.url}: {type(e).__name__}: {one_line(e)}; asking again") from e


def _replace(fresh: Path, target: Path, digest: str) -> None:
    """Put `fresh` where `target` is to be. What stands there whole is left, what is damaged gives way, one mender at a time."""
    for path in (*sorted(fresh.iterdir()), fresh):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    if _moved(fresh, target):
        return
    with _alone(target.parent), tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target.parent) as aside:
        if _whole(target, digest):
            return  # somebody else's, who was quicker
        with contextlib.suppress(OSError):
            target.rename(Path(aside) / "damaged")
        if not _moved(fresh, target) and not _whole(target, digest):
            raise ModelError(
                f"cannot store the model in {target.parent}: it cannot be moved there; "
                "check the folder's permissions and free space"
            )


def _moved(fresh: Path, target: Path) -> bool:
    """One step. False: something stands there (a folder with files in it is never replaced by a rename), or it may not be."""
    try:
        fresh.rename(target)
    except OSError:
        return False
    return True


def _whole(folder: Path, digest: str) -> bool:
    try:
        manifest.verify(folder, digest, keep=())
    except (OSError, Corrupt):
        return False
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else, of this process or of another, is in here at the same time."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _tidy(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(path)


def _cache() -> Path:
    if given := os.environ.get("ANNEAL_MODEL_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anneal" / "models"

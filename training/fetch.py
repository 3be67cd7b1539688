"""A URI → a file of our own, named by its content. What arrives is never believed: roots, addresses, size and time are limited.

Errors never repeat what a server answered: a fetch must not be a way to read what its author may not.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urljoin, urlsplit

from training.errors import FetchFailed, Forbidden

CHUNK = 1 << 20
MAX_REDIRECTS = 5
SILENCE_SECONDS = 60.0
"""How long a server may say nothing."""
ABANDONED_SECONDS = 86_400.0
"""What a fetch that was killed left behind is removed by the next one, when it is this old."""
_UNFINISHED = ".fetch-"


@dataclass(frozen=True, slots=True)
class Source:
    """What to fetch, and what that may cost."""

    uri: str
    folder: Path
    """Relative paths begin here: the folder of the spec's file."""
    roots: tuple[Path, ...] = ()
    """Other folders that files may lie in."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that may have private addresses."""
    max_bytes: int = 10_000_000_000
    seconds: float = 3600.0
    """The whole fetch's time."""
    secret: str | None = field(default=None, repr=False)
    """A bearer token (http), "key:secret" (s3)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file, and what it holds."""

    path: Path
    digest: str
    """sha256:…"""
    bytes: int


def fetch(source: Source, into: Path, extension: str, *, resolver: Any = None) -> Fetched:
    """Copy the table to `into`/<sha256>.<extension>. Forbidden, FetchFailed.

    The same content is the same file: fetching again changes nothing. resolver: another one for names, for tests.
    """
    into.mkdir(parents=True, exist_ok=True)
    _tidy(into)
    with tempfile.NamedTemporaryFile(dir=into, prefix=_UNFINISHED, delete=False) as file:
        sink = _Sink(file, source.max_bytes)
        try:
            _pour(source, sink, resolver)
            file.flush()
            os.fsync(file.fileno())
            path = into / f"{sink.hash.hexdigest()}.{extension}"
            Path(file.name).chmod(0o440)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return Fetched(path, f"sha256:{sink.hash.hexdigest()}", sink.bytes)


def _tidy(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


class _Sink:
    """Writes and hashes, up to a limit."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit = file, limit
        self.hash, self.bytes = hashlib.sha256(), 0

    def expect(self, size: int | None) -> None:
        if size is not None and size > self._limit:
            raise Forbidden(f"cannot fetch it: it is larger than {self._limit} bytes; raise spec.maxBytes if it may be")

    def write(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        self.expect(self.bytes)
        self.hash.update(chunk)
        self._file.write(chunk)


def _pour(source: Source, sink: _Sink, resolver: Any) -> None:
    scheme = source.uri.partition("://")[0].lower() if "://" in source.uri else "file"
    match scheme:
        case "file":
            _from_file(source, sink)
        case "http" | "https":
            try:
                asyncio.run(_from_http(source, sink, resolver))
            except TimeoutError as e:
                raise FetchFailed(f"cannot fetch it: the server took longer than {source.seconds:.0f} s") from e
        case "s3":
            _from_bucket(source, sink)
        case _:
            raise Forbidden(f"cannot fetch it: {scheme}:// is not supported; use a path, file://, https:// or s3://")


def _from_file(source: Source, sink: _Sink) -> None:
    written, outside = _written(source), _outside(source)
    try:
        if not _within(Path(os.path.realpath(source.folder / written)), source):
            raise outside
        descriptor = os.open(source.folder / written, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as e:
        raise FetchFailed(
            f"cannot read {written}: there is no such file; it is looked for from the folder of the spec's file"
        ) from e
    except (OSError, ValueError) as e:
        raise FetchFailed(f"cannot read {written}: {getattr(e, 'strerror', None) or e}") from e
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise Forbidden(f"cannot read {written}: it is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        if not _within(Path(os.readlink(f"/proc/self/fd/{descriptor}")), source):  # a link was swapped in between
            raise outside
        sink.expect(before.st_size)
        for chunk in _chunks(file):
            sink.write(chunk)
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or sink.bytes != after.st_size:
        raise FetchFailed(f"cannot read {written}: it changed meanwhile; it is read again")


def local_folder(source: Source) -> Path | None:
    """The folder that a path or file:// URI leads to; None if that is none. Forbidden: it lies outside."""
    if "://" in source.uri and not source.uri.lower().startswith("file://"):
        return None
    real = Path(os.path.realpath(source.folder / _written(source)))
    if not _within(real, source):
        raise _outside(source)
    return real if real.is_dir() else None


def _written(source: Source) -> str:
    if not source.uri.lower().startswith("file://"):
        return source.uri
    parts = urlsplit(source.uri)
    if parts.netloc not in ("", "localhost"):
        raise Forbidden("cannot read the file: file:// names another host; write file:///path")
    return unquote(parts.path)


def _outside(source: Source) -> Forbidden:
    return Forbidden(
        f"cannot read {_written(source)}: it lies outside the folder of the spec's file; "
        "put it there, or add its folder to the daemon's data roots"
    )


def _within(real: Path, source: Source) -> bool:
    return any(real.is_relative_to(root.resolve()) for root in (source.folder, *source.roots))


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


async def _from_http(source: Source, sink: _Sink, resolver: Any) -> None:
    import aiohttp

    from training.guard import Guard

    guard = Guard(list(source.allowed_hosts), resolver)
    connector = aiohttp.TCPConnector(resolver=guard, socket_factory=guard.socket, use_dns_cache=False, force_close=True)
    limits = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=SILENCE_SECONDS)
    try:
        async with (
            asyncio.timeout(source.seconds),
            aiohttp.ClientSession(connector=connector, timeout=limits, auto_decompress=False) as session,
        ):
            await _follow(session, source, sink)
    except (aiohttp.ClientError, OSError, ValueError) as e:
        if isinstance(e, TimeoutError) and not isinstance(e, aiohttp.ClientError):
            raise
        if guard.blocked:
            raise Forbidden(
                "cannot fetch it: its address is private; name the host in spec.allowedHosts if it may be fetched from"
            ) from None
        raise FetchFailed(f"cannot fetch it: {type(e).__name__}; check the URI, or try later") from None


async def _follow(session: Any, source: Source, sink: _Sink) -> None:
    url = source.uri
    for _ in range(MAX_REDIRECTS + 1):
        _sound(url, source.uri)
        headers = {"Accept-Encoding": "identity", "User-Agent": "anneal"}
        if source.secret and _origin(url) == _origin(source.uri):
            headers["Authorization"] = f"Bearer {source.secret}"
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                url = urljoin(url, response.headers["Location"])
                continue
            if response.status != 200:
                raise FetchFailed(f"cannot fetch it: the server answered {response.status}; check the URI and credentialsRef")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed("cannot fetch it: the server sends it compressed though asked not to; use another server")
            sink.expect(response.content_length)
            async for chunk in response.content.iter_chunked(CHUNK):
                sink.write(chunk)
            return
    raise FetchFailed(f"cannot fetch it: more than {MAX_REDIRECTS} redirects; use the last address")


def _sound(url: str, first: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Forbidden("cannot fetch it: the server redirects to what is no http(s) address")
    if parts.username is not None or parts.password is not None:
        raise Forbidden("cannot fetch it: the URI holds a user name or password; use credentialsRef")
    if parts.scheme == "http" and urlsplit(first).scheme == "https":
        raise Forbidden("cannot fetch it: the server redirects from https to http")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _from_bucket(source: Source, sink: _Sink) -> None:
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True}
    if source.secret:
        options["key"], _, options["secret"] = source.secret.partition(":")
    # who writes a spec is not who owns this machine: its role in a cloud is not lent to them, unless its owner says so
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    try:
        system = fsspec.filesystem(source.uri.partition("://")[0], **options)
    except ImportError as e:
        raise FetchFailed("cannot fetch it: s3:// needs s3fs; install anneal[s3]") from e
    try:
        sink.expect(system.info(source.uri).get("size"))
        with system.open(source.uri, "rb") as file:
            for chunk in _chunks(file):
                sink.write(chunk)
    except (OSError, ValueError) as e:
        raise FetchFailed(f"cannot fetch it: {type(e).__name__}; check the bucket, the key and credentialsRef") from None

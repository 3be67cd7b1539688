"""The serving image: gathered, built by a Docker Engine, pushed, and named by its digest.

`python -m drivers.swarm.image build --tag HOST:PORT/NAME:TAG` does all of it and prints the reference; progress goes to stderr.
A process of its own: a build takes a minute, and neither daemon nor command line should import what it takes.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from drivers.contract import DriverError, InvalidConfiguration
from drivers.swarm.client import Api, Tls, connect

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPE = ROOT / "images" / "serving"
PACKAGES = ("modelstore", "serving", "specs")
"""What of ours runs in the image."""
LEFT_OUT = ("__pycache__", "crds")
BUILD_SECONDS = 900.0
"""The longest silence of a build: the packages are fetched without a word."""


def files() -> Iterator[tuple[str, bytes]]:
    """The build context, in an order of its own: the recipe, and our packages under app/."""
    for name in ("Dockerfile", "requirements.lock"):
        yield name, (RECIPE / name).read_bytes()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            inside = path.relative_to(ROOT)
            if path.is_file() and not set(inside.parts) & set(LEFT_OUT):
                yield f"app/{inside.as_posix()}", path.read_bytes()


def key() -> str:
    """A hash of all that the image is made from, but for its base."""
    found = hashlib.sha256()
    for name, content in files():
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


def context() -> bytes:
    """The build context as a tar: the same bytes for the same files, whoever gathers them."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), compresslevel=1, mtime=0)


def build(api: Api, tag: str, base: str | None) -> None:
    """Build it under this tag. What the tag's name was before serves as cache: unchanged layers are not made again."""
    arguments = {"BASE": base} if base else {}
    name, _, _ = split(tag)
    lines = api.build(
        fileobj=io.BytesIO(context()), custom_context=True, encoding="gzip", tag=tag, buildargs=arguments, rm=True, forcerm=True,
        decode=True, labels={"org.opencontainers.image.title": "anneal serving"}, cache_from=list(_earlier(api, name)),
    )  # fmt: skip
    for _ in _told(lines, f"build {tag}"):
        pass


def push(api: Api, tag: str) -> str:
    """Push it; the reference by digest. The registry's copy is also tagged `cache`, for the next build."""
    name, label, _ = split(tag)
    digest = ""
    for line in _told(api.push(name, tag=label, stream=True, decode=True), f"push {tag}"):
        digest = (line.get("aux") or {}).get("Digest") or digest
    if not digest:
        raise InvalidConfiguration(f"cannot push {tag}: the registry named no digest; look at its log")
    api.tag(tag, name, "cache")
    for _ in _told(api.push(name, tag="cache", stream=True, decode=True), f"push {name}:cache"):
        pass
    return f"{name}@{digest}"


def split(reference: str) -> tuple[str, str, str]:
    """Name with host and port, tag ("latest" if there is none), digest."""
    rest, _, digest = reference.partition("@")
    head, slash, tail = rest.rpartition("/")
    name, _, tag = tail.partition(":")
    return f"{head}{slash}{name}", tag or "latest", digest


def _earlier(api: Api, name: str) -> Iterable[str]:
    """An earlier build, if the registry or the engine has one."""
    found = f"{name}:cache"
    return (found,) if api.images(name=found) or api.pull_if_there(name, "cache") else ()


def _told(lines: Iterable[Mapping[str, Any]], doing: str) -> Iterator[Mapping[str, Any]]:
    """Pass the engine's words on to stderr; InvalidConfiguration if it says that it failed."""
    for line in lines:
        if "error" in line:
            raise InvalidConfiguration(f'cannot {doing}: Docker says: "{str(line["error"]).strip()}"')
        if text := str(line.get("stream") or "").strip():
            sys.stderr.write(f"{text}\n")
        yield line


async def _run(args: argparse.Namespace) -> str:
    tls = Tls(args.tlscacert, args.tlscert, args.tlskey) if args.tlscacert else None
    docker = connect([args.host], tls, call_seconds=BUILD_SECONDS)
    try:
        await docker.write(f"build {args.tag}", lambda api: build(api, args.tag, args.base))
        return await docker.write(f"push {args.tag}", lambda api: push(api, args.tag)) if args.push else str(args.tag)
    finally:
        await docker.close()


def main(argv: list[str] | None = None) -> int:
    """`build` prints the reference; `key` prints what the image is made from, as a hash."""
    parser = argparse.ArgumentParser(prog="python -m drivers.swarm.image")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("key")
    making = verbs.add_parser("build")
    making.add_argument("--tag", required=True)
    making.add_argument("--base")
    making.add_argument("--host", default=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    making.add_argument("--no-push", dest="push", action="store_false")
    for flag in ("--tlscacert", "--tlscert", "--tlskey"):
        making.add_argument(flag, default="")
    args = parser.parse_args(argv)
    if args.verb == "key":
        sys.stdout.write(f"{key()}\n")
        return 0
    try:
        sys.stdout.write(f"{asyncio.run(_run(args))}\n")
    except DriverError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

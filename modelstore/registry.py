"""Packages in an OCI registry: where models travel that are too large to be told to a cluster's managers.

A package is one archive, the only layer of a manifest whose tag says whose it is and which model. Only what every registry of
the distribution specification can do is asked for, and no daemon of containers is needed on either side.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

from modelstore.errors import Away, Corrupt, ModelError

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT: Final = "application/vnd.anneal.model.v1"
LAYER: Final = "application/vnd.anneal.model.v1.tar+gzip"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
NOTHING: Final = b"{}"
SECONDS: Final = 15.0
"""A registry that says nothing for so long is away."""
PIECE: Final = 1 << 20
_PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A registry stands beside the machines that use it: the way to it leads through no proxy."""


class Absent(ModelError):
    """The registry answers, and does not hold it."""


class Response(Protocol):
    """As much of an answer as is looked at."""

    headers: Any

    def read(self, amount: int = -1, /) -> bytes:
        """The body, or a piece of it."""


class Registry:
    """One repository of a registry: `http(s)://host:port/name/of/it`. Raises Away, Absent, ModelError."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        self.url, self._name = url, found.path.strip("/")
        if found.scheme not in ("http", "https") or not found.netloc or not self._name:
            raise ModelError(f"cannot use {url} as a registry: it is no http(s)://host:port/repository; correct it")
        self._base = f"{found.scheme}://{found.netloc}/v2/{self._name}"

    def push(self, tag: str, package: IO[bytes], annotations: Mapping[str, str]) -> None:
        """Have the package under this tag. What is there already is not sent again."""
        layer = _described(LAYER, package)
        config = _described(EMPTY, NOTHING)
        self._upload(config["digest"], NOTHING, len(NOTHING))
        package.seek(0)
        self._upload(layer["digest"], package, layer["size"])
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": ARTIFACT, "config": config, "layers": [layer],
            "annotations": dict(sorted(annotations.items())),
        }  # fmt: skip
        body = json.dumps(manifest, sort_keys=True).encode()
        self._ask("PUT", f"{self._base}/manifests/{tag}", body, {"Content-Type": MANIFEST})

    def pull(self, tag: str, to: Path, most: int) -> None:
        """Write the package of a tag into a file; Corrupt if it is not the bytes that were pushed, or more than `most`."""
        manifest = json.loads(self._ask("GET", f"{self._base}/manifests/{tag}", headers={"Accept": MANIFEST}).read())
        try:
            (layer,) = manifest["layers"]
            digest, size = str(layer["digest"]), int(layer["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(tag, "the registry holds something else under its name") from error
        if size > most:
            raise Corrupt(tag, f"it is larger than {most >> 20} MiB")
        answer, hashed, left = self._ask("GET", f"{self._base}/blobs/{digest}"), hashlib.sha256(), size
        with to.open("wb") as file:
            while left > 0 and (piece := _piece(answer, self.url, min(PIECE, left))):
                hashed.update(piece)
                file.write(piece)
                left -= len(piece)
            os.fsync(file.fileno())
        if left:
            raise Away(f"cannot fetch from {self.url}: the answer ended {left} bytes too early; asking again")
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise Corrupt(tag, "its SHA-256 is not the one that it was pushed with")

    def tags(self) -> list[str]:
        """All tags, sorted; none if there is no such repository."""
        found: list[str] = []
        url = f"{self._base}/tags/list?n=1000"
        while url:
            try:
                answer = self._ask("GET", url)
            except Absent:
                break
            found += json.loads(answer.read()).get("tags") or []
            following = str(answer.headers.get("Link") or "")
            url = urljoin(url, following[1 : following.index(">")]) if following.startswith("<") else ""
        return sorted(found)

    def remove(self, tag: str) -> None:
        """Take a tag's manifest away; the registry's own garbage collection then frees its bytes. Absent is well."""
        try:
            head = self._ask("HEAD", f"{self._base}/manifests/{tag}", headers={"Accept": MANIFEST})
            self._ask("DELETE", f"{self._base}/manifests/{head.headers['Docker-Content-Digest']}")
        except Absent:
            return

    def _upload(self, digest: str, data: bytes | IO[bytes], size: int) -> None:
        try:
            self._ask("HEAD", f"{self._base}/blobs/{digest}")
        except Absent:
            began = self._ask("POST", f"{self._base}/blobs/uploads/", b"")
            where = urljoin(self._base, str(began.headers["Location"]))
            where += f"{'&' if '?' in where else '?'}digest={digest}"
            more = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            self._ask("PUT", where, data, more)

    def _ask(self, method: str, url: str, data: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310  http(s) only: see __init__
        try:
            answer: Response = _PLAIN.open(request, timeout=SECONDS)
        except urllib.error.HTTPError as error:
            said = error.read(300).decode("utf-8", "replace").strip()
            if error.code == 404:
                raise Absent(f"cannot find {url.removeprefix(self._base)} in {self.url}: it is not there") from error
            if error.code in (408, 429) or error.code >= 500:
                raise Away(f"cannot use {self.url}: it answers {error.code} ({said}); asking again") from error
            raise ModelError(f"cannot use {self.url}: it answers {error.code} ({said}); look at its log") from error
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"cannot reach {self.url}: {getattr(error, 'reason', error)}; asking again") from error
        return answer


def _described(kind: str, data: bytes | IO[bytes]) -> dict[str, Any]:
    """As a manifest names it."""
    if isinstance(data, bytes):
        return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
    data.seek(0)
    digest = hashlib.file_digest(data, "sha256").hexdigest()  # type: ignore[arg-type]
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": data.tell()}


def _piece(answer: Response, url: str, amount: int) -> bytes:
    try:
        return answer.read(amount)
    except (OSError, http.client.HTTPException) as error:
        raise Away(f"cannot fetch from {url}: {error}; asking again") from error

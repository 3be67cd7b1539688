"""Models that lie in a registry: fetched by who was given a pointer, and believed in nothing."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from drivers.swarm.parcels import archive
from modelstore import Store
from serving import models
from serving.config import Config
from tests.support.serving import penguins, train

TAG = "installation.model"


@dataclass
class Shelf:
    """A registry as who fetches sees it: one manifest, one layer."""

    server: ThreadingHTTPServer
    blob: bytes = b""
    said: bytes | None = None
    """What is sent instead of the layer that the manifest names."""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its one repository."""
        return f"http://127.0.0.1:{self.server.server_port}/anneal/models"

    def answer(self, path: str) -> bytes | None:
        """The body; None: 404."""
        self.asked.append(path)
        digest = f"sha256:{hashlib.sha256(self.blob).hexdigest()}"
        if path == f"/v2/anneal/models/manifests/{TAG}":
            return json.dumps({"layers": [{"digest": digest, "size": len(self.blob)}]}).encode()
        return (self.said or self.blob) if path == f"/v2/anneal/models/blobs/{digest}" else None


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made.answer(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Shelf(server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two models, each as its archive."""
    store, (columns, target) = tmp_path_factory.mktemp("pointers") / "store", penguins()
    found = [train(store, columns, target, LogisticRegression(C=c, max_iter=500)).digest for c in (1e-6, 1.0)]
    return {digest: archive(Store(store), digest).read() for digest in found}


def pointed(folder: Path, digest: str, url: str) -> Config:
    """The configuration of who was given a pointer to a model."""
    (folder / "models-given").mkdir()
    file = folder / "models-given" / f"{digest.removeprefix('sha256:')}.tar"
    file.write_text(json.dumps({"registry": url, "tag": TAG}))
    return Config(name="a", store=f"archives:{folder / 'models-given'}", folder=folder)


def test_a_model_is_fetched_once(tmp_path: Path, shelf: Shelf, packages: dict[str, bytes]) -> None:
    """And is the model that was asked for; the second time nobody is asked."""
    digest, shelf.blob = next(iter(packages.items()))
    config = pointed(tmp_path, digest, shelf.url)
    folder = models.fetch(config, digest, verify=True)
    assert models.load(config, folder, digest).check_golden()[1] == []
    asked = len(shelf.asked)
    assert models.fetch(config, digest, verify=True) == folder
    assert len(shelf.asked) == asked


def test_another_model_under_its_name_is_not_taken(tmp_path: Path, shelf: Shelf, packages: dict[str, bytes]) -> None:
    """Whoever can write into the registry cannot exchange what is served."""
    wanted, other = packages
    shelf.blob = packages[other]
    with pytest.raises(models.ModelUnusable, match="not of"):
        models.fetch(pointed(tmp_path, wanted, shelf.url), wanted, verify=True)


def test_bytes_that_are_not_those_that_were_pushed_are_not_unpacked(
    tmp_path: Path, shelf: Shelf, packages: dict[str, bytes]
) -> None:  # fmt: skip
    """Neither changed ones, nor what is no archive at all; and nothing of them stays."""
    digest, shelf.blob = next(iter(packages.items()))
    config = pointed(tmp_path, digest, shelf.url)
    shelf.said = bytes([shelf.blob[0] ^ 1]) + shelf.blob[1:]
    with pytest.raises(models.ModelUnusable, match="SHA-256"):
        models.fetch(config, digest, verify=True)
    shelf.blob, shelf.said = b"no archive", None
    with pytest.raises(models.ModelUnusable):
        models.fetch(config, digest, verify=True)
    assert list((tmp_path / "models").iterdir()) == []


def test_who_is_away_is_waited_for(tmp_path: Path, shelf: Shelf, packages: dict[str, bytes]) -> None:
    """An answer that ends too early is none; the wait says so each time, and ends with the model once it can be had."""
    digest, shelf.blob = next(iter(packages.items()))
    shelf.said = shelf.blob[:100]
    config, said = pointed(tmp_path, digest, shelf.url), list[str]()

    def say(why: str) -> None:
        said.append(why)
        shelf.said = None

    folder = models.awaited(config, digest, say)
    assert folder.is_dir()
    assert len(said) == 1
    assert "too early" in said[0]
    with pytest.raises(models.ModelAway, match="cannot reach"):
        models.awaited(_elsewhere(config, tmp_path / "b", digest), digest, said.append, seconds=0.0)


def _elsewhere(config: Config, folder: Path, digest: str) -> Config:
    """A pointer to a port that nobody listens on."""
    folder.mkdir()
    return pointed(folder, digest, "http://127.0.0.1:1/anneal/models")

"""`anneal` against the real API server, in a process of its own; one server for each file of tests."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.objects import make

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The command line on a home whose API server runs; no daemon does, so nothing changes by itself."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "reconciler.api", "--home", str(home)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("https://")
        yield Cli(home)
        server.terminate()


@pytest.fixture
def ns(served: Cli, request: pytest.FixtureRequest) -> str:
    """A namespace that only this test uses."""
    name = f"t{zlib.crc32(request.node.nodeid.encode())}"
    make(served, "", f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    return name


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Cli]:
    """The command line on an empty home; whatever daemon a test leaves there is stopped."""
    cli = Cli(tmp_path / "home")
    yield cli
    assert cli("down").code == 0

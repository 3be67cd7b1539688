"""The real kubectl against the real server: one server for each module, a namespace for each test."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.home import Home
from tests.support.kubectl import KUBECTL, Kubectl, Server

_UNABLE = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without kubectl these tests cannot run: they are named, never silently passed over; in CI that is an error."""
    if KUBECTL:
        return
    unable = [item for item in items if item.get_closest_marker("kubectl")]
    if unable and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"cannot run {len(unable)} tests: kubectl is not on PATH; install it (1.28 or newer)")
    config.hook.pytest_deselected(items=unable)
    items[:] = [item for item in items if item not in unable]
    config.stash[_UNABLE] = [item.nodeid for item in unable]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what could not run."""
    if unable := config.stash.get(_UNABLE, []):
        terminalreporter.section("kubectl is not on PATH: these tests could not run", yellow=True)
        for nodeid in unable:
            terminalreporter.line(nodeid)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server, with an empty home."""
    home = Home(tmp_path_factory.mktemp("kubectl") / "anneal")
    running = Server(home)
    yield running
    running.stop()


@pytest.fixture
def kubectl(server: Server, request: pytest.FixtureRequest, tmp_path: Path) -> Kubectl:
    """kubectl in a namespace that only this test uses."""
    name = f"t{zlib.crc32(request.node.nodeid.encode())}"
    server.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return Kubectl(server, name, tmp_path)

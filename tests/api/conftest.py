"""A running API server, and ways to speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from reconciler.api.inprocess import InProcessClient
from reconciler.api.server import ApiServer
from tests.support import apiserver


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A server on an empty home."""
    async with apiserver.running(tmp_path / "home") as running:
        yield running


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that trusts the server and has its token."""
    async with apiserver.session(server) as session:
        yield session


@pytest.fixture
def client(server: ApiServer) -> InProcessClient:
    """The API without HTTP."""
    return server.client

"""The look at a deployment from outside: what its entry tells of the answers of its revisions, or that it is silent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from drivers.swarm.answers import PATH, Answers, Tally, asked

GOOD = {"revisions": {"1": {"answers": 200, "errors": 2, "p99Ms": 12.5}, "2": {"answers": 0, "errors": 0, "p99Ms": 0}}}


@pytest.fixture
async def entry() -> AsyncIterator[Any]:
    """An entry that answers what it is told to; `say(status, body)` gives its address."""
    servers: list[TestServer] = []

    async def say(status: int, body: Any) -> str:
        app = web.Application()

        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body, status=status)

        app.router.add_get(PATH, answer)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return str(server.make_url(PATH))

    yield say
    for server in servers:
        await server.close()


async def test_the_first_node_that_answers_is_heard(entry: Any) -> None:
    """A node that is gone and one that says 503 are passed over."""
    found = await asked(["http://127.0.0.1:1" + PATH, await entry(503, {}), await entry(200, GOOD)])
    assert found == Answers({1: Tally(200, 2, 12.5), 2: Tally(0, 0, 0.0)})
    assert found.revisions[1].error_ratio == 0.01
    assert found.revisions[2].error_ratio == 0.0


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(503, {}, "answers 503"), (200, {"revisions": {"x": {}}}, "ValueError"), (200, [], "TypeError"), (404, GOOD, "answers 404")],
    ids=["not ready", "nonsense", "a list", "another server"],
)
async def test_an_entry_that_says_nothing_of_use_is_silent(entry: Any, status: int, body: Any, said: str) -> None:
    """Why stands in what is seen: it is a finding, and no error."""
    found = await asked([await entry(status, body)])
    assert found.revisions == {}
    assert said in found.silent


async def test_no_node_at_all_is_silence() -> None:
    """Nobody is there to be asked."""
    assert (await asked([])).silent

"""Watches: nothing lost, nothing twice, and an end that a client can go on from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from reconciler.api.server import ApiServer
from reconciler.api.settings import ApiSettings, StoreSettings
from reconciler.client import CONFIGMAPS
from tests.support.apiserver import configmap, eventually, running, session

PATH = "/api/v1/namespaces/default/configmaps"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


class Watch:
    """A watch and the events that it brought."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, Any]:
        line = await asyncio.wait_for(self.response.content.readline(), 10)
        assert line, "the watch ended"
        event = orjson.loads(line)
        return event["type"], event["object"]

    async def brief(self) -> str:
        """Such as `ADDED a`."""
        verb, obj = await self.next()
        return f"{verb} {obj['metadata'].get('name', '')}".strip()

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.response.content.readline(), 10) == b""


async def watch(http: aiohttp.ClientSession, headers: dict[str, str] | None = None, **query: str) -> Watch:
    response = await http.get(PATH, params={"watch": "1", **query}, headers=headers)
    assert response.status == 200, await response.text()
    return Watch(response)


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A server with small limits and short times."""
    store = StoreSettings(keep_seconds=0.0, keep_revisions=5)
    settings = ApiSettings(store, bookmark_seconds=0.1, watch_events=50, watch_bytes=1 << 20)
    async with running(tmp_path / "home", settings) as server:
        yield server


async def test_a_watch_begins_with_what_is_there(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """Without a resourceVersion every object comes as ADDED; then what happens, in order."""
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    found = await watch(http)
    assert await found.brief() == "ADDED a"
    await server.client.create(CONFIGMAPS, "default", configmap("b"))
    await server.client.patch(CONFIGMAPS, "default", "a", {"data": {"k": "2"}})
    await server.client.delete(CONFIGMAPS, "default", "a")
    assert [await found.brief() for _ in range(3)] == ["ADDED b", "MODIFIED a", "DELETED a"]


async def test_a_watch_goes_on_from_a_version(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """From the version of a list on, exactly what happened since is replayed, also what is gone by now."""
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    _, version = await server.client.list(CONFIGMAPS)
    await server.client.create(CONFIGMAPS, "default", configmap("b"))
    await server.client.delete(CONFIGMAPS, "default", "b")
    await server.client.create(CONFIGMAPS, "kube-system", configmap("elsewhere"))
    found = await watch(http, resourceVersion=version)
    assert [await found.brief() for _ in range(2)] == ["ADDED b", "DELETED b"]
    await server.client.patch(CONFIGMAPS, "default", "a", {"data": {"k": "2"}})
    assert await found.brief() == "MODIFIED a"


async def test_versions_only_grow(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """Under concurrent writes every change comes once, and the versions within a watch grow."""
    _, version = await server.client.list(CONFIGMAPS)
    found = await watch(http, resourceVersion=version)
    await asyncio.gather(*(server.client.create(CONFIGMAPS, "default", configmap(f"c{i}")) for i in range(200)))
    events = [await found.next() for _ in range(200)]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(versions)
    assert {obj["metadata"]["name"] for _, obj in events} == {f"c{i}" for i in range(200)}


async def test_a_restart_loses_no_event(tmp_path: Path) -> None:
    """What happened before a restart is replayed after it."""
    async with running(tmp_path / "home") as server:
        _, version = await server.client.list(CONFIGMAPS)
        await server.client.create(CONFIGMAPS, "default", configmap("a"))
        await server.client.delete(CONFIGMAPS, "default", "a")
    async with running(tmp_path / "home") as server, session(server) as http:
        found = await watch(http, resourceVersion=version)
        assert [await found.brief() for _ in range(2)] == ["ADDED a", "DELETED a"]


async def test_selectors_hold_in_watches(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """An object that comes into the selection is ADDED; one that leaves it is DELETED, as it was before."""
    found = await watch(http, labelSelector="team=red", resourceVersion=(await server.client.list(CONFIGMAPS))[1])
    await server.client.create(CONFIGMAPS, "default", configmap("a", labels={"team": "blue"}))
    await server.client.patch(CONFIGMAPS, "default", "a", {"metadata": {"labels": {"team": "red"}}})
    await server.client.patch(CONFIGMAPS, "default", "a", {"data": {"k": "2"}})
    await server.client.patch(CONFIGMAPS, "default", "a", {"metadata": {"labels": {"team": "blue"}}})
    assert [await found.brief() for _ in range(2)] == ["ADDED a", "MODIFIED a"]
    verb, obj = await found.next()
    assert (verb, obj["metadata"]["labels"]) == ("DELETED", {"team": "red"})


async def test_one_name_is_watched_alone(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """fieldSelector=metadata.name=x brings that object and no other."""
    found = await watch(http, fieldSelector="metadata.name=b")
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    await server.client.create(CONFIGMAPS, "default", configmap("b"))
    assert await found.brief() == "ADDED b"


async def test_watches_can_bring_tables(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """kubectl get -w asks for Tables: each event is one with a row."""
    found = await watch(http, headers=TABLE)
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    verb, table = await found.next()
    assert (verb, table["kind"], table["rows"][0]["cells"][0]) == ("ADDED", "Table", "a")


async def test_bookmarks_come_by_themselves(quick: ApiServer) -> None:
    """Who asked for bookmarks learns how far the watch has come, also when nothing of its kind happens."""
    async with session(quick) as http:
        found = await watch(http, allowWatchBookmarks="true", resourceVersion=str(quick.store.newest()))
        created = await quick.client.create(CONFIGMAPS, "kube-system", configmap("elsewhere"))
        while True:
            verb, obj = await found.next()
            assert (verb, obj["kind"]) == ("BOOKMARK", "ConfigMap")
            if int(obj["metadata"]["resourceVersion"]) >= int(created["metadata"]["resourceVersion"]):
                break


async def test_the_end_of_the_initial_events_is_marked(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """With sendInitialEvents a bookmark with the well-known annotation says that all that was there was sent."""
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    found = await watch(
        http, sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan", resourceVersion="0"
    )
    assert await found.brief() == "ADDED a"
    verb, obj = await found.next()
    assert (verb, obj["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})


async def test_what_was_compacted_is_gone_in_the_stream(quick: ApiServer) -> None:
    """A version whose changes are forgotten gets 200 and an ERROR event with code 410; the client lists again."""
    client = quick.client
    await client.create(CONFIGMAPS, "default", configmap("a"))
    _, version = await client.list(CONFIGMAPS)
    for i in range(20):
        await client.patch(CONFIGMAPS, "default", "a", {"data": {"k": str(i)}})
    await quick.store.compact(0.0)
    async with session(quick) as http:
        found = await watch(http, resourceVersion=version)
        verb, status = await found.next()
        assert (verb, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert await found.ended()


async def test_a_version_from_the_future_is_gone_too(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """After a restore of an older database, watchers of the newer one must list again."""
    found = await watch(http, resourceVersion="999999")
    verb, status = await found.next()
    assert (verb, status["code"]) == ("ERROR", 410)


async def test_chunks_of_a_list_that_are_too_old_expire(quick: ApiServer) -> None:
    """`continue` after a compaction is 410 Expired, not a list that mixes two moments."""
    for name in "abc":
        await quick.client.create(CONFIGMAPS, "default", configmap(name))
    async with session(quick) as http:
        first = await (await http.get(PATH, params={"limit": "2"})).json()
        for i in range(20):
            await quick.client.patch(CONFIGMAPS, "default", "a", {"data": {"k": str(i)}})
        await quick.store.compact(0.0)
        answer = await http.get(PATH, params={"limit": "2", "continue": first["metadata"]["continue"]})
        assert (answer.status, (await answer.json())["reason"]) == (410, "Expired")


async def test_the_chunks_of_a_list_are_of_one_moment(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """What is created, changed and deleted between two chunks is not seen by the second."""
    for name in "abcdef":
        await server.client.create(CONFIGMAPS, "default", configmap(name, {"k": "old"}))
    first = await (await http.get(PATH, params={"limit": "2"})).json()
    assert first["metadata"]["remainingItemCount"] == 4
    await server.client.delete(CONFIGMAPS, "default", "c")
    await server.client.create(CONFIGMAPS, "default", configmap("cc"))
    await server.client.patch(CONFIGMAPS, "default", "d", {"data": {"k": "new"}})
    rest = await (await http.get(PATH, params={"limit": "10", "continue": first["metadata"]["continue"]})).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "d", "e", "f"]
    assert {item["data"]["k"] for item in rest["items"]} == {"old"}
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_slow_watcher_is_cut_off(quick: ApiServer) -> None:
    """Who does not read is disconnected; the server keeps a bounded amount for it, and others get everything."""
    client = quick.client
    async with session(quick, read_bufsize=1024) as slow, session(quick) as http:
        lazy = await watch(slow)
        eager = await watch(http)
        big = "x" * 200_000
        await client.create(CONFIGMAPS, "default", configmap("a"))
        assert await eager.brief() == "ADDED a"
        for i in range(60):
            await client.patch(CONFIGMAPS, "default", "a", {"data": {"k": f"{i}{big}"}})
            assert await eager.brief() == "MODIFIED a"
        with pytest.raises(aiohttp.ClientError):
            await lazy.response.read()


async def test_a_watch_ends_when_it_was_asked_to(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """timeoutSeconds ends a watch in good order."""
    found = await watch(http, timeoutSeconds="1")
    assert await found.ended()


async def test_who_goes_away_is_forgotten(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """A client that closes its connection leaves no watcher behind."""
    found = await watch(http)
    await server.client.create(CONFIGMAPS, "default", configmap("a"))
    await found.next()
    assert server.hub.watching == 1
    found.response.close()
    await eventually(lambda: server.hub.watching == 0)

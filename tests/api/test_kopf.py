"""A kopf operator, written as for any cluster, runs unchanged against the embedded server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import kopf
import pytest

from reconciler.api.server import ApiServer
from reconciler.client import CONFIGMAPS, ApiError, ours

MACHINES = ours("machines")
PATH = MACHINES.path("default")
SECONDS = 20.0


def machine(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "Machine",
        "metadata": {"name": name, "labels": labels},
        "spec": {"simulated": {"endpoint": "http://127.0.0.1:1"}},
    }


class Journal:
    """What the operator's handlers said, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = asyncio.Condition()

    async def write(self, line: str) -> None:
        async with self._more:
            self.lines.append(line)
            self._more.notify_all()

    async def holds(self, *wanted: str) -> None:
        """Wait until every one of these lines was written."""
        async with self._more:
            waiting = self._more.wait_for(lambda: set(wanted) <= set(self.lines))
            try:
                await asyncio.wait_for(waiting, SECONDS)
            except TimeoutError:
                pytest.fail(f"no {set(wanted) - set(self.lines)} in {self.lines}")


@pytest.fixture
def journal() -> Journal:
    return Journal()


@contextlib.asynccontextmanager
async def operator(server: ApiServer, registry: kopf.OperatorRegistry, *, scanning: bool = True) -> AsyncIterator[None]:
    """A kopf operator in this process, from its first list to its clean end."""

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=server.url, token=server.token, ca_path=str(server.pki.ca))

    kopf.on.login(registry=registry)(login)
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = not scanning
    settings.networking.error_backoffs = [0.05, 0.1, 0.2]
    settings.queueing.exit_timeout = 0.5
    settings.background.cancellation_polling = 1
    ready, stop = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, clusterwide=True, ready_flag=ready, stop_flag=stop)
    )
    try:
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({running, started}, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), running
        yield
        assert not running.done(), running
    finally:
        stop.set()
        await asyncio.wait_for(running, SECONDS)


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("kopf").setLevel(logging.ERROR)


async def sees(
    http: aiohttp.ClientSession, path: str, fields: str, wanted: Callable[[str, dict[str, Any]], bool]
) -> dict[str, Any]:
    """Watch the objects that the field selector selects until one is as wanted, and return it."""
    query = {"fieldSelector": fields}
    async with asyncio.timeout(SECONDS):
        async with http.get(path, params=query) as answer:
            listed = await answer.json()
        for what, obj in [("ADDED", item) for item in listed["items"]] or [("DELETED", {})]:
            if wanted(what, obj):
                return obj
        query |= {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with http.get(path, params=query) as stream:
            async for line in stream.content:
                event = json.loads(line)
                if wanted(event["type"], event["object"]):
                    return event["object"]
    raise AssertionError("the watch ended")


async def test_events_of_what_is_there_and_what_comes(server: ApiServer, journal: Journal):
    """on.event hears of every object that was there before, of each change, and of its end."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event("anneal.dev", "v1alpha1", "machines", registry=registry)
    async def heard(event: dict[str, Any], **_: Any) -> None:
        await journal.write(f"{event['type']} {event['object']['metadata']['name']}")

    await server.client.create(MACHINES, "default", machine("old"))
    async with operator(server, registry):
        await journal.holds("None old")
        await server.client.create(MACHINES, "default", machine("new"))
        await journal.holds("ADDED new")
        await server.client.patch(MACHINES, "default", "new", {"metadata": {"labels": {"a": "b"}}})
        await journal.holds("MODIFIED new")
        await server.client.delete(MACHINES, "default", "old")
        await journal.holds("DELETED old")


async def test_create_update_delete_with_a_finalizer(server: ApiServer, http: aiohttp.ClientSession, journal: Journal):
    """kopf's own handlers run in their order; its finalizer holds the object until the delete handler is done."""
    registry = kopf.OperatorRegistry()
    allowed = asyncio.Event()

    @kopf.on.create("machines", registry=registry)
    async def created(name: str, patch: kopf.Patch, **_: Any) -> None:
        patch.status["instanceState"] = "CREATED"
        await journal.write(f"created {name}")

    @kopf.on.update("machines", registry=registry, field="spec.simulated.flavor")
    async def updated(name: str, old: str, new: str, **_: Any) -> None:
        await journal.write(f"updated {name} {old} {new}")

    @kopf.on.delete("machines", registry=registry)
    async def deleted(name: str, **_: Any) -> None:
        await journal.write(f"deleting {name}")
        await allowed.wait()

    async with operator(server, registry):
        await server.client.create(MACHINES, "default", machine("m"))
        await journal.holds("created m")
        seen = await sees(http, PATH, "metadata.name=m", lambda _, obj: obj.get("status", {}).get("instanceState") == "CREATED")
        assert seen["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        assert seen["metadata"]["generation"] == 1
        await server.client.patch(MACHINES, "default", "m", {"spec": {"simulated": {"flavor": "big"}}})
        await journal.holds("updated m small big")
        await server.client.delete(MACHINES, "default", "m")
        await journal.holds("deleting m")
        held = await server.client.get(MACHINES, "default", "m")
        assert held is not None
        assert held["metadata"]["deletionTimestamp"]
        allowed.set()
        await sees(http, PATH, "metadata.name=m", lambda what, _: what == "DELETED")
    assert await server.client.get(MACHINES, "default", "m") is None


async def test_events_are_posted(server: ApiServer, http: aiohttp.ClientSession):
    """What a handler says with kopf.info becomes an Event of the object."""
    registry = kopf.OperatorRegistry()

    @kopf.on.create("machines", registry=registry)
    async def created(body: kopf.Body, **_: Any) -> None:
        kopf.info(body, reason="Hello", message="there you are")

    async with operator(server, registry):
        made = await server.client.create(MACHINES, "default", machine("m"))
        about = f"involvedObject.uid={made['metadata']['uid']}"
        said = await sees(http, "/api/v1/namespaces/default/events", about, lambda _, event: event.get("reason") == "Hello")
    assert (said["type"], said["message"], said["involvedObject"]["name"]) == ("Normal", "there you are", "m")


async def test_a_handler_that_fails_is_tried_again(server: ApiServer, journal: Journal):
    """A temporary error is retried; the progress is kept in the object between the attempts."""
    registry = kopf.OperatorRegistry()

    @kopf.on.create("machines", registry=registry)
    async def created(retry: int, **_: Any) -> None:
        await journal.write(f"attempt {retry}")
        if retry < 2:
            raise kopf.TemporaryError("not yet", delay=0.05)

    async with operator(server, registry):
        await server.client.create(MACHINES, "default", machine("m"))
        await journal.holds("attempt 0", "attempt 1", "attempt 2")


async def test_built_in_kinds_labels_and_adopted_children(server: ApiServer, journal: Journal):
    """Handlers of ConfigMaps filter by label; an adopted child goes when its owner goes."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event("", "v1", "configmaps", registry=registry, labels={"watched": "yes"})
    async def heard(event: dict[str, Any], **_: Any) -> None:
        await journal.write(f"{event['type']} {event['object']['metadata']['name']}")

    @kopf.on.create("machines", registry=registry)
    async def created(body: kopf.Body, **_: Any) -> None:
        child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "labels": {"watched": "yes"}}}
        kopf.adopt(child, owner=body)
        await server.client.create(CONFIGMAPS, "default", child)

    async with operator(server, registry):
        ignored = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ignored"}}
        await server.client.create(CONFIGMAPS, "default", ignored)
        await server.client.create(MACHINES, "default", machine("m"))
        await journal.holds("ADDED child")
        await server.client.delete(MACHINES, "default", "m")
        await journal.holds("DELETED child")
    assert not [line for line in journal.lines if "ignored" in line]


async def test_an_index_and_a_timer(server: ApiServer, journal: Journal):
    """kopf's indices fill before its handlers run, and its timers tick."""
    registry = kopf.OperatorRegistry()

    @kopf.index("machines", registry=registry, id="names")
    async def names(name: str, **_: Any) -> dict[str, str]:
        return {"all": name}

    @kopf.timer("machines", registry=registry, interval=0.05)
    async def ticking(names: kopf.Index, **_: Any) -> None:
        await journal.write("tick " + ",".join(sorted(names.get("all", []))))

    for name in ("a", "b"):
        await server.client.create(MACHINES, "default", machine(name))
    async with operator(server, registry):
        await journal.holds("tick a,b")


async def test_a_conflicting_write_is_refused_and_survived(server: ApiServer, journal: Journal):
    """kopf puts its finalizer on by a JSON patch with a test: a stale one is answered 422, and kopf goes on."""
    made = await server.client.create(MACHINES, "default", machine("m"))
    stale = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
        {"op": "add", "path": "/metadata/finalizers", "value": ["kopf.zalando.org/KopfFinalizerMarker"]},
    ]
    await server.client.patch(MACHINES, "default", "m", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(ApiError) as caught:
        await server.client.patch(MACHINES, "default", "m", stale, "json")
    assert caught.value.code == 422

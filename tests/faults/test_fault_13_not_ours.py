"""Fault 13: things in the cloud that look like ours, or that are ours twice."""

from __future__ import annotations

import pytest

from specs.meta import PAUSED_ANNOTATION
from tests.support.daemon import condition_of, until
from tests.support.world import World, because, parts


async def installation(world: World) -> str:
    """The id that the daemon tags with."""
    from reconciler.client import CONFIGMAPS

    return str((await world.client.get(CONFIGMAPS, "default", "anneal-installation") or {})["data"]["id"])


async def test_a_name_proves_nothing(world: World) -> None:
    """A server under the very name that ours would get is somebody else's: ours is made beside it, and only ours goes."""
    await world.create("a")
    ours = await world.ready("a")
    name = world.admin.servers()[0]["name"]
    await world.delete("a")
    await world.gone("a")
    theirs = [world.admin.create("servers", name=name), world.admin.create("servers", name=name, tags={"anneal-owner": "x"})]
    theirs.append(world.admin.create("servers", name=name, tags={"anneal-owner": ours["metadata"]["uid"]}))

    await world.create("a")
    await world.ready("a")
    await world.delete("a")
    await world.gone("a")
    assert {server["id"] for server in world.admin.servers()} == set(theirs)


async def test_names_are_no_patterns(world: World) -> None:
    """Machines whose names would match one another as patterns do not touch each other's servers."""
    for name in ("a-b", "axb", "a--b"):
        await world.create(name, 1)
    for name in ("a-b", "axb", "a--b"):
        await world.ready(name)
    await world.delete("a-b")
    await world.gone("a-b")
    assert world.total() == {"servers": 2, "ports": 2}
    assert await world.orphans() == []


async def test_of_two_the_recorded_one_is_kept(world: World) -> None:
    """A second server with our exact tag goes, even where it is the older one; the one on record stays."""
    await world.create("m")
    obj = await world.ready("m")
    uid, kept = obj["metadata"]["uid"], parts(obj)["server"]
    tags = next(s for s in world.admin.servers() if s["id"] == kept)["tags"]
    extra = world.admin.create("servers", name="twin", tags=tags, created=1.0)
    await world.rounds(1)
    await world.until("m", lambda _: extra not in {server["id"] for server in world.admin.servers()})
    obj = await world.ready("m")
    assert parts(obj)["server"] == kept
    assert [s["id"] for s in world.admin.servers()] == [kept]
    assert world.counts(uid)[0] == {"servers": 1}


async def test_a_tag_of_another_installation_is_not_ours(world: World) -> None:
    """The right owner and the wrong installation: left alone."""
    await world.create("m")
    obj = await world.ready("m")
    tags = {"anneal-owner": obj["metadata"]["uid"], "anneal-installation": "another", "anneal-part": "server"}
    other = world.admin.create("servers", name="x", tags=tags)
    await world.rounds()
    await world.delete("m")
    await world.gone("m")
    assert [server["id"] for server in world.admin.servers()] == [other]


@pytest.mark.parametrize("how", ["edited", "deleted", "lost"])
async def test_paused_means_hands_off(how: str, world: World) -> None:
    """While the annotation is there nothing is changed outside, whatever happens; afterwards all is caught up with."""
    await world.create("m", 1)
    obj = await world.ready("m")
    await world.annotate("m", PAUSED_ANNOTATION, "true")
    await world.until("m", lambda obj: condition_of(obj, "Paused").get("status") == "True")
    requests = len(world.admin.log())
    if how == "edited":
        await world.edit("m", flavor="large")
    elif how == "deleted":
        await world.delete("m")
    else:
        world.admin.delete("servers", parts(obj)["server"])
    await world.rounds(3)
    assert len(world.admin.log()) == requests

    await world.annotate("m", PAUSED_ANNOTATION, None)
    if how == "deleted":
        await world.gone("m")
        assert world.total() == {}
    else:
        await until(lambda: len(world.admin.creates("servers")) == 2)
        await world.ready("m")
        assert world.total() == {"servers": 1, "ports": 1}


async def test_an_imported_server_is_only_looked_at(world: World) -> None:
    """It is watched, never changed, and survives its Machine; once it is gone it is not made."""
    theirs = world.admin.create("servers", name="pet", flavor="huge")
    await world.create("pet", spec={"managementPolicy": "unmanaged", "import": {"id": theirs}})
    await world.ready("pet")
    await world.delete("pet")
    await world.gone("pet")
    assert [server["id"] for server in world.admin.servers()] == [theirs]

    await world.create("pet", spec={"managementPolicy": "unmanaged", "import": {"id": theirs}})
    await world.ready("pet")
    world.admin.delete("servers", theirs)
    await world.until("pet", because("ExternalDeleted"), 40)
    assert world.admin.log() == []


async def test_two_with_our_tag_and_none_on_record(world: World) -> None:
    """Made twice while nobody wrote it down: the oldest healthy one is kept, the other goes, a person is told."""
    made = await world.create("m", spec={}, image="no-such-image")
    await world.until("m", because("InvalidConfiguration"))
    tags = {
        "anneal-owner": made["metadata"]["uid"],
        "anneal-installation": await installation(world),
        "anneal-part": "server",
        "anneal-object": "Machine/default/m",
    }
    fields = {"name": "x", "tags": tags, "image": "debian-12"}
    younger = world.admin.create("servers", **fields)
    older = world.admin.create("servers", **fields, created=1000.0)
    await world.edit("m", image="debian-12")
    await world.until("m", lambda obj: parts(obj).get("server") == older)
    await world.ready("m")
    assert [server["id"] for server in world.admin.servers()] == [older]
    assert younger in {entry["id"] for entry in world.admin.deletes("servers")}

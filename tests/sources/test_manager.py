"""All sources of a daemon: added, found again, forgotten."""

import pytest

from reconciler.client import CONFIGMAPS
from reconciler.sources.manager import SourceError
from specs.meta import SOURCE_FILE_ANNOTATION, SOURCE_LABEL
from tests.sources.test_follow import uids


async def test_a_second_folder_and_a_second_time(world, tmp_path):
    """Each folder is a source of its own; adding one again is fine and is no second source, by whatever path."""
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "alias").symlink_to(other)
    world.write("a.yaml", "a")
    async with world.followed(world.folder, other):
        again = await world.sources.add(tmp_path / "alias")
        await world.sources.add(world.folder / ".." / "specs")
        assert [status["path"] for status in world.sources.statuses()] == sorted([str(other), str(world.folder)])
        assert again["path"] == str(other)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda folder: folder / "sub", "overlaps with the source specs-", id="inside another"),
        pytest.param(lambda folder: folder.parent, "overlaps with the source specs-", id="around another"),
        pytest.param(lambda folder: folder / "missing", "no such file or directory", id="missing"),
        pytest.param(lambda folder: folder / "a.yaml", "it is a file", id="a file"),
    ],
)
async def test_what_cannot_be_a_source(world, make, says):
    """The error says what is wrong, and nothing is recorded."""
    world.write("a.yaml", "a")
    (world.folder / "sub").mkdir()
    async with world.followed():
        with pytest.raises(SourceError, match=says):
            await world.sources.add(make(world.folder))
        assert len(world.sources.statuses()) == 1
        await world.record()


async def test_sources_are_found_again(world):
    """A new daemon follows the same folders: what changed meanwhile is applied, what vanished is deleted."""
    world.write("a.yaml", "a", "b")
    async with world.followed() as first:
        before = await uids(world)
    world.write("a.yaml", "a", "c")
    async with world.followed(world.folder.parent / "home") as _:
        await world.has("a", "c")
        assert first["id"] in [status["id"] for status in world.sources.statuses()]
        assert (await uids(world))["a"] == before["a"]


async def test_forgetting_a_source(world):
    """Its objects stay, unlabelled, its fields nobody's; its files mean nothing any more; a restart does not bring it back."""
    world.write("a.yaml", "a")
    async with world.followed() as status:
        before = await uids(world)
        await world.sources.remove(status["id"])
        assert world.sources.statuses() == []
        assert await uids(world) == before
        meta = (await world.machines())["a"]["metadata"]
        assert SOURCE_LABEL not in (meta.get("labels") or {})
        assert SOURCE_FILE_ANNOTATION not in (meta.get("annotations") or {})
        assert f"source/{status['id']}" not in [field["manager"] for field in meta.get("managedFields") or ()]
        assert (await world.client.list(CONFIGMAPS, labels="anneal.dev/kind=source"))[0] == []
        with pytest.raises(SourceError, match="none of that name"):
            await world.sources.remove(status["id"])


async def test_a_folder_that_was_forgotten_can_be_followed_again(world):
    """Its objects become its own again."""
    world.write("a.yaml", "a", "b")
    async with world.followed() as status:
        await world.sources.remove(status["id"])
        again = await world.sources.add(world.folder)
        assert (again["id"], again["objects"]) == (status["id"], 2)
        world.write("a.yaml", "a")
        await world.has("a")


async def test_forgetting_goes_on_after_a_crash(world):
    """A daemon that died while it forgot a source forgets it at the next start."""
    world.write("a.yaml", "a")
    async with world.followed() as status:
        pass
    record = await world.record()
    await world.client.patch(CONFIGMAPS, "default", record["metadata"]["name"], {"data": {"leaving": "true"}})
    other = world.folder.with_name("other")
    other.mkdir()
    async with world.followed(other):
        assert status["id"] not in [one["id"] for one in world.sources.statuses()]
        assert SOURCE_LABEL not in ((await world.machines())["a"]["metadata"].get("labels") or {})


async def test_the_status_is_stored(world):
    """What `anneal status` shows stands in the source's ConfigMap too, for every other client."""
    world.write("a.yaml", "a")
    async with world.followed() as status:
        record = await world.record()
        assert record["metadata"]["name"] == f"anneal-source-{status['id']}"
        assert record["data"]["path"] == str(world.folder)
        assert '"state":"Synced"' in record["data"]["status"]


async def test_nobody_follows_without_leading(world):
    """A daemon that stands by refuses, with the reason."""
    from reconciler.engine.clock import SystemClock
    from reconciler.sources import manager

    standing_by = manager.SourceManager(world.client, recorder=world.events, clock=SystemClock(), lead_seconds=0.05)
    with pytest.raises(SourceError, match="not the leader"):
        await standing_by.add(world.folder)

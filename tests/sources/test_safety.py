"""What a source never does: act on what it could not read, take half for the whole, delete much unasked, or fight."""

import asyncio
import os
import shutil

import pytest

from reconciler.client import ApiUnavailable
from reconciler.sources import scan
from reconciler.sources.folder import Pace
from specs.meta import SOURCE_LABEL
from tests.sources.conftest import MACHINES, machine, until
from tests.sources.test_follow import SIMULATED, body, flavor, uids

BROKEN = "kind: Machine\nmetadata: [oops\n"


async def test_a_file_that_does_not_parse_changes_nothing(world):
    """Its objects stay as they were; it is named in the status and in one event; other files go on; mending it mends it."""
    world.write("a.yaml", "a", "b")
    world.write("c.yaml", "c")
    async with world.followed():
        before = await uids(world)
        (world.folder / "a.yaml").write_text(BROKEN)
        world.write("d.yaml", "d")
        status = await world.becomes("Errors")
        await world.has("a", "b", "c", "d")
        await world.sources.add(world.folder)
        (error,) = status["errors"]
        assert (error["file"], error["line"]) == ("a.yaml", 3)
        assert len(world.events.of("ParseError")) == 1
        assert "a.yaml:3:" in world.events.of("ParseError")[0]
        assert {name: uid for name, uid in (await uids(world)).items() if name != "d"} == before
        world.write("a.yaml", "a")
        await world.has("a", "c", "d")
        assert (await world.becomes("Synced"))["errors"] == []


async def test_a_broken_file_at_the_start(world):
    """A daemon that starts beside a broken file keeps what was applied from it before, and deletes elsewhere as ever."""
    world.write("a.yaml", "a")
    world.write("b.yaml", "b", "c")
    async with world.followed():
        await world.has("a", "b", "c")
    (world.folder / "a.yaml").write_text(BROKEN)
    world.write("b.yaml", "b")
    async with world.followed() as status:
        assert status["state"] == "Errors"
        await world.has("a", "b")


async def test_an_object_that_moves_into_a_broken_file_stays(world):
    """The new file names it, so it is not gone: only what it shall be is not known yet."""
    world.write("a.yaml", "a", "b")
    async with world.followed():
        (world.folder / "new.yaml").write_text("kind: Machine\nmetadata: {name: b\n")
        world.write("a.yaml", "a")
        await world.becomes("Errors")
        await asyncio.sleep(0.3)
        await world.sources.add(world.folder)
        assert await world.names() == {"a", "b"}


async def test_what_the_server_refuses_is_reported_with_its_place(world):
    """File, line and field; the other objects of the file are applied; a corrected file is applied at once."""
    world.write("a.yaml", "a", simulated=SIMULATED)
    async with world.followed():
        (world.folder / "a.yaml").write_text("\n" + machine("b") + "---\n" + machine("a", local={}))
        status = await world.becomes("Errors")
        assert [(e["file"], e["line"], e["object"], e["path"]) for e in status["errors"]] == [
            ("a.yaml", 7, "Machine/a", "spec.local"),
            ("a.yaml", 7, "Machine/a", "spec.simulated"),
        ]
        await world.has("a", "b")
        assert await flavor(world, "a") == "small"
        world.write("a.yaml", "b")
        await world.becomes("Synced")


async def test_a_missing_namespace(world):
    """An object of a namespace that is not there is reported, and applied once the namespace is."""
    (world.folder / "a.yaml").write_text(machine("a").replace("{name: a}", "{name: a, namespace: prod}"))
    async with world.followed() as status:
        assert "Namespace" in status["errors"][0]["hint"]
        (world.folder / "ns.yaml").write_text("kind: Namespace\napiVersion: v1\nmetadata: {name: prod}\n")
        await world.becomes("Synced")
        assert await world.names() == {"a"}


async def test_the_same_object_in_two_files(world):
    """Both places are named, and nothing of the object changes until one of them is gone."""
    world.write("a.yaml", "a", simulated=SIMULATED)
    async with world.followed():
        world.write("b.yaml", "a", simulated=SIMULATED | {"flavor": "large"})
        status = await world.becomes("Errors")
        assert "a.yaml:1 and b.yaml:1" in status["errors"][0]["message"]
        assert await flavor(world, "a") == "small"
        (world.folder / "a.yaml").unlink()
        await until(lambda: flavor(world, "a"), "large")
        await world.becomes("Synced")


async def test_two_sources_do_not_fight(world, tmp_path):
    """Who came first keeps the object; the other says so; when the first lets go, the other takes over: the very same object."""
    other = tmp_path / "other"
    other.mkdir()
    world.write("a.yaml", "a", simulated=SIMULATED)
    (other / "b.yaml").write_text(machine("a", simulated=SIMULATED | {"flavor": "large"}) + "---\n" + machine("b"))
    async with world.followed(world.folder, other) as status:
        assert [e["object"] for e in status["errors"]] == ["Machine/a"]
        assert "belongs to the source" in status["errors"][0]["message"]
        assert (await flavor(world, "a"), await world.names()) == ("small", {"a", "b"})
        before = await uids(world)
        (world.folder / "a.yaml").unlink()
        await until(lambda: flavor(world, "a"), "large")
        assert await uids(world) == before


async def test_an_object_that_moves_from_one_source_to_another(world, tmp_path):
    """`mv` of a file between two followed folders: the object is handed over, not deleted and made anew."""
    other = tmp_path / "other"
    other.mkdir()
    path = world.write("a.yaml", "a", "b")
    async with world.followed(world.folder, other) as status:
        before = await uids(world)
        path.rename(other / "a.yaml")

        async def owners():
            return {(obj["metadata"].get("labels") or {}).get(SOURCE_LABEL) for obj in (await world.machines()).values()}

        await until(owners, {status["id"]})
        assert await uids(world) == before
        assert world.events.of("Pruned") == []


@pytest.mark.parametrize("name", ["anneal-installation", "anneal-source-x"])
async def test_anneals_own_records_are_not_for_files(world, name):
    """A file cannot overwrite what anneal remembers."""
    (world.folder / "a.yaml").write_text(f"kind: ConfigMap\napiVersion: v1\nmetadata: {{name: {name}}}\ndata: {{id: x}}\n")
    async with world.followed() as status:
        assert "own records" in status["errors"][0]["message"]


async def test_a_folder_that_vanishes_is_unknown_not_empty(world):
    """Nothing is deleted; the source says that it cannot read; when the folder is back, it goes on by itself."""
    world.write("a.yaml", "a", "b")
    async with world.followed():
        away = world.folder.rename(world.folder.with_name("away"))
        status = await world.becomes("Unreadable")
        assert "no such file" in status["errors"][0]["message"]
        assert len(world.events.of("SourceUnreadable")) == 1
        assert await world.names() == {"a", "b"}
        away.rename(world.folder)
        world.write("a.yaml", "a", "c")
        await world.has("a", "c")
        await world.becomes("Synced")


async def test_a_daemon_that_starts_without_its_folder(world):
    """The source is there, unreadable, and its objects are too."""
    world.write("a.yaml", "a")
    async with world.followed():
        pass
    shutil.rmtree(world.folder)
    world.folder.with_name("elsewhere").mkdir()
    async with world.followed(world.folder.with_name("elsewhere")):
        states = {status["path"]: (status["state"], status["objects"]) for status in world.sources.statuses()}
        assert states[str(world.folder)] == ("Unreadable", 1)
        assert await world.names() == {"a"}


async def test_one_file_that_cannot_be_read(world):
    """What it held stays; nothing at all is deleted meanwhile; everything else is applied."""
    world.write("a.yaml", "a")
    world.write("b.yaml", "b")
    async with world.followed():
        (world.folder / "a.yaml").unlink()
        (world.folder / "a.yaml").symlink_to("nowhere")
        (world.folder / "b.yaml").unlink()
        world.write("c.yaml", "c")
        status = await world.becomes("Unreadable")
        assert status["errors"][0]["file"] == "a.yaml"
        await world.has("a", "b", "c")
        (world.folder / "a.yaml").unlink()
        await world.has("c")


async def test_an_unmounted_folder(world, monkeypatch):
    """Empty all of a sudden, and on another device: nothing is deleted, even by a daemon that starts just then."""
    world.write("a.yaml", "a")
    async with world.followed():
        pass
    (world.folder / "a.yaml").unlink()
    real = os.stat

    class Elsewhere:
        def __init__(self, about):
            self._about, self.st_dev = about, 999_999

        def __getattr__(self, name):
            return getattr(self._about, name)

    monkeypatch.setattr(
        scan.os, "stat", lambda path, **kw: Elsewhere(real(path, **kw)) if path == str(world.folder) else real(path, **kw)
    )
    async with world.followed() as status:
        assert status["state"] == "Unreadable"
        assert "mounted" in status["errors"][0]["message"]
        assert await world.names() == {"a"}


# --- large removals ----------------------------------------------------------------------------------------------------

SIX = [f"m{i}" for i in range(6)]


async def test_a_large_removal_waits_for_a_person(world):
    """More than half of five or more: all stay, the removals are listed, an event asks; after the confirmation they go."""
    world.write("a.yaml", *SIX)
    async with world.followed() as first:
        world.write("a.yaml", "m0", "m1")
        status = await world.becomes("ConfirmationRequired")
        assert status["pendingRemovals"] == [f"machine/default/m{i}" for i in range(2, 6)]
        assert await world.names() == set(SIX)
        assert "anneal confirm" in world.events.of("ConfirmationRequired")[0]
        assert await world.sources.confirm(dry_run=True) == [{"source": first["id"], "removals": status["pendingRemovals"]}]
        await world.sources.confirm(first["id"])
        await world.has("m0", "m1")
        await world.becomes("Synced", pendingRemovals=[])


async def test_an_emptied_folder_is_a_large_removal(world):
    """`rm -rf specs/*`, one file at a time: half of them at most goes unasked, however slowly it is done."""
    for name in SIX:
        world.write(f"{name}.yaml", name)
    async with world.followed():
        for name in SIX:
            (world.folder / f"{name}.yaml").unlink()
            await asyncio.sleep(0.03)
        await world.becomes("ConfirmationRequired")

        async def all_wait():
            pending = (await world.status())["pendingRemovals"]
            return len(pending) >= 3 and set(pending) == {f"machine/default/{name}" for name in await world.names()}

        await until(all_wait, True)


async def test_files_that_come_back_need_no_confirmation(world):
    """Putting the files back ends the matter."""
    world.write("a.yaml", *SIX)
    async with world.followed():
        before = await uids(world)
        (world.folder / "a.yaml").unlink()
        await world.becomes("ConfirmationRequired")
        world.write("a.yaml", *SIX)
        await world.becomes("Synced", pendingRemovals=[])
        assert await uids(world) == before


async def test_a_pending_removal_survives_a_restart_and_so_does_a_confirmation(world):
    """A new daemon asks the same question; one that was confirmed and killed before it acted deletes."""
    world.write("a.yaml", *SIX)
    async with world.followed():
        (world.folder / "a.yaml").unlink()
        await world.becomes("ConfirmationRequired")
    async with world.followed():
        status = await world.becomes("ConfirmationRequired")
        assert len(status["pendingRemovals"]) == 6
        source = next(iter(world.sources._sources.values()))
        source._wake.set = lambda: None  # the daemon dies before it looks again
        await world.sources.confirm()
        assert await world.names() == set(SIX)
    async with world.followed():
        await world.has()


async def test_a_confirmation_does_not_cover_what_vanishes_later(world):
    """What a person saw is what a person agreed to: one more object, and the question is asked again."""
    world.write("a.yaml", *SIX)
    async with world.followed():
        world.write("a.yaml", "m0", "m1")
        await world.becomes("ConfirmationRequired")
        await world.sources.confirm(dry_run=True)
        world.write("a.yaml", "m0")
        await world.becomes("ConfirmationRequired", pendingRemovals=[f"machine/default/m{i}" for i in range(1, 6)])
        await world.sources.confirm()
        await world.sources.add(world.folder)
        assert await world.names() == set(SIX)


async def test_half_may_go_unasked(world):
    """Three of six are an edit, not an accident."""
    world.write("a.yaml", *SIX)
    async with world.followed():
        world.write("a.yaml", "m0", "m1", "m2")
        await world.has("m0", "m1", "m2")


# --- an API server that does not answer --------------------------------------------------------------------------------


class Flaky:
    """A client whose server goes away."""

    def __init__(self, inner):
        self.inner, self.down, self.refused = inner, False, 0

    def __getattr__(self, name):
        method = getattr(self.inner, name)

        async def call(*args, **options):
            if self.down:
                self.refused += 1
                raise ApiUnavailable("connection refused")
            return await method(*args, **options)

        return call


async def test_an_api_server_that_is_away(world):
    """The status says so; edits made meanwhile are applied when it is back; nothing is lost."""
    client = Flaky(world.client)
    world.write("a.yaml", "a")
    async with world.followed(client=client):
        client.down = True
        world.write("a.yaml", "a", "b")
        status = await world.becomes("Errors")
        assert "connection refused" in status["errors"][0]["message"]
        client.down = False
        await world.has("a", "b")
        await world.becomes("Synced")


async def test_somebody_who_fights_is_not_fought_at_full_speed(world):
    """A controller that undoes the file again and again is answered ever more slowly."""
    world.write("a.yaml", "a", simulated=SIMULATED)
    async with world.followed():
        rounds = 0
        async with asyncio.timeout(20):
            while rounds < 6:
                await world.client.patch(MACHINES, "default", "a", {"spec": {"simulated": {"flavor": "theirs"}}})
                await until(lambda: flavor(world, "a"), "small")
                rounds += 1
        assert rounds == 6


async def test_a_bug_in_a_pass_does_not_end_the_source(world, monkeypatch):
    """It is said, and the next pass goes on."""
    world.write("a.yaml", "a")
    async with world.followed(pace=Pace(rescan=0.2, settle=0.1)):
        source = next(iter(world.sources._sources.values()))
        real, source._read = source._read, None
        world.write("b.yaml", "b")
        await world.becomes("Errors")
        source._read = real
        await world.has("a", "b")
        await world.becomes("Synced")


async def test_adopting_what_was_there(world):
    """An object that nobody's file held before becomes the source's when a file holds it."""
    await world.client.create(MACHINES, "default", body("a"))
    world.write("a.yaml", "a")
    async with world.followed() as status:
        assert status["objects"] == 1

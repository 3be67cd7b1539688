"""A folder of YAML is desired state."""

import asyncio

from reconciler.client import CONFIGMAPS, SECRETS, ours
from reconciler.sources.folder import Pace
from reconciler.sources.objects import NAMESPACES
from specs.meta import SOURCE_FILE_ANNOTATION, SOURCE_LABEL
from tests.sources.conftest import MACHINES, machine, until

SIMULATED = {"endpoint": "http://127.0.0.1:1", "flavor": "small"}


async def test_every_file_is_applied_or_reported_before_add_returns(world):
    """After `add` the server holds what the files hold, labelled with the source and the file."""
    world.write("a.yaml", "a")
    world.write("sub/b.yaml", "b", "c")
    async with world.followed() as status:
        machines = await world.machines()
        assert set(machines) == {"a", "b", "c"}
        assert machines["b"]["metadata"]["labels"][SOURCE_LABEL] == status["id"]
        assert machines["b"]["metadata"]["annotations"][SOURCE_FILE_ANNOTATION] == "sub/b.yaml"
        assert (status["state"], status["files"], status["objects"], status["errors"]) == ("Synced", 2, 3, [])
        assert status["path"] == str(world.folder)


async def test_an_empty_folder_is_fine(world):
    """Nothing wanted, nothing wrong."""
    async with world.followed() as status:
        assert (status["state"], status["files"], status["objects"]) == ("Synced", 0, 0)


async def test_what_is_edited_is_applied_and_what_vanishes_is_deleted(world):
    """No command is needed: new files, changed files, new folders, removed objects, removed files."""
    world.write("a.yaml", "a", "b", simulated=SIMULATED)
    async with world.followed():
        world.write("new/folder/c.yaml", "c")
        await world.has("a", "b", "c")
        world.write("a.yaml", "a", simulated=SIMULATED | {"flavor": "large"})
        await world.has("a", "c")
        assert (await world.machines())["a"]["spec"]["simulated"]["flavor"] == "large"
        (world.folder / "new/folder/c.yaml").unlink()
        await world.has("a")
        expected = ["a.yaml", "new/folder/c.yaml"]

        async def told():
            return [message.split(": ")[1].removesuffix(" holds it no more") for message in world.events.of("Pruned")]

        await until(told, expected)


async def test_what_never_came_from_the_source_is_left_alone(world):
    """Objects that others made stay, even one that was copied from ours with its label."""
    world.write("a.yaml", "a", "b")
    await world.client.create(MACHINES, "default", body("mine"))
    async with world.followed() as status:
        await world.client.create(MACHINES, "default", body("copy", labels={SOURCE_LABEL: status["id"]}))
        world.write("a.yaml", "a")
        await world.has("a", "mine", "copy")
        await world.sources.add(world.folder)
        assert await world.names() == {"a", "mine", "copy"}


async def test_an_object_that_moves_is_not_deleted(world):
    """From one file to another, it is the same object; so is one whose file was renamed, and one that is gone for a moment."""
    world.write("a.yaml", "a", "b")
    async with world.followed(pace=Pace(settle=10.0)):
        before = await uids(world)
        world.write("z.yaml", "a")
        world.write("a.yaml", "b")
        (world.folder / "a.yaml").rename(world.folder / "renamed.yaml")
        await until(lambda: files(world), {"a": "z.yaml", "b": "renamed.yaml"})
        (world.folder / "z.yaml").rename(world.folder / "z.bak")
        await asyncio.sleep(0.03)
        (world.folder / "z.bak").rename(world.folder / "z.yaml")
        await world.sources.add(world.folder)
        assert await uids(world) == before


async def test_fields_that_a_file_sets_are_restored(world):
    """Somebody else's change of a field that stands in the file is undone; fields that do not stand there stay changed."""
    world.write("a.yaml", "a", simulated=SIMULATED)
    async with world.followed():
        await world.client.patch(
            MACHINES, "default", "a", {"metadata": {"labels": {"team": "ml"}}, "spec": {"simulated": {"flavor": "large"}}}
        )
        await until(lambda: flavor(world, "a"), "small")
        assert (await world.machines())["a"]["metadata"]["labels"]["team"] == "ml"


async def test_a_field_that_leaves_the_file_leaves_the_object(world):
    """What the file set once and sets no more goes back to its default."""
    world.write("a.yaml", "a", simulated=SIMULATED | {"flavor": "large"})
    async with world.followed():
        world.write("a.yaml", "a", simulated={"endpoint": SIMULATED["endpoint"]})
        await until(lambda: flavor(world, "a"), "small")


async def test_what_somebody_deletes_comes_back(world):
    """As long as a file holds it."""
    world.write("a.yaml", "a")
    async with world.followed():
        (first,) = (await uids(world)).values()
        await world.client.delete(MACHINES, "default", "a")
        await until(lambda: changed(world, "a", first), True)


async def test_the_label_comes_back(world):
    """Who takes the label off does not take the object away from its file."""
    world.write("a.yaml", "a")
    async with world.followed() as status:
        await world.client.patch(MACHINES, "default", "a", {"metadata": {"labels": {SOURCE_LABEL: None}}})

        async def label():
            return ((await world.machines())["a"]["metadata"].get("labels") or {}).get(SOURCE_LABEL)

        await until(label, status["id"])


async def test_an_object_that_is_being_deleted_is_made_anew_once_it_is_gone(world):
    """A finalizer holds the old one; the file holds the object; in the end there is a new one."""
    world.write("a.yaml", "a")
    async with world.followed():
        (first,) = (await uids(world)).values()
        await world.client.patch(MACHINES, "default", "a", {"metadata": {"finalizers": ["example.com/hold"]}})
        await world.client.delete(MACHINES, "default", "a")
        world.write("b.yaml", "b")
        await world.has("a", "b")
        await world.client.patch(MACHINES, "default", "a", {"metadata": {"finalizers": None}})
        await until(lambda: changed(world, "a", first), True)


async def test_nothing_is_written_when_nothing_changed(world):
    """A pass over unchanged files bumps nothing: not the objects, not the source's record; nor does a restart."""
    world.write("a.yaml", "a", "b")
    async with world.followed():
        before = await versions(world)
        await world.sources.add(world.folder)
        (world.folder / "a.yaml").touch()
        await world.sources.add(world.folder)
        assert await versions(world) == before
    async with world.followed():
        assert await versions(world) == before


async def test_namespaces_and_configuration_come_first(world):
    """One file may hold a Namespace and what goes into it, in any order; Secrets may be written as text."""
    (world.folder / "all.yaml").write_text(
        machine("a").replace("{name: a}", "{name: a, namespace: prod}")
        + "---\nkind: Secret\napiVersion: v1\nmetadata: {name: s, namespace: prod}\nstringData: {k: v}\n"
        + "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: c, namespace: prod}\ndata: {k: v}\n"
        + "---\nkind: Namespace\napiVersion: v1\nmetadata: {name: prod}\n"
    )
    async with world.followed() as status:
        assert (status["errors"], status["objects"]) == ([], 4)
        assert (await world.client.get(SECRETS, "prod", "s"))["data"] == {"k": "dg=="}
        (world.folder / "all.yaml").write_text("# nothing\n")
        await until(lambda: world.client.get(NAMESPACES, None, "prod"), None)
        assert await world.client.get(CONFIGMAPS, "prod", "c") is None


async def test_a_namespace_with_strangers_in_it_is_kept(world):
    """Deleting a Namespace deletes all that is in it, so it stays while it holds what did not come from the source."""
    (world.folder / "ns.yaml").write_text("kind: Namespace\napiVersion: v1\nmetadata: {name: prod}\n")
    async with world.followed():
        await world.client.create(MACHINES, "prod", body("theirs"))
        (world.folder / "ns.yaml").unlink()
        status = await world.becomes("Errors")
        assert "it still holds Machine/theirs" in status["errors"][0]["message"]
        assert "theirs" in await world.names()


async def test_a_configmap_volume_that_is_swapped(world):
    """As the kubelet does it: a link to a hidden folder is replaced, and all files are others."""
    for number, names in (("1", ("a", "b")), ("2", ("b", "c"))):
        world.write(f"..{number}/m.yaml", *names)
    (world.folder / "..data").symlink_to("..1")
    (world.folder / "m.yaml").symlink_to("..data/m.yaml")
    async with world.followed():
        await world.has("a", "b")
        (world.folder / "..new").symlink_to("..2")
        (world.folder / "..new").rename(world.folder / "..data")
        await world.has("b", "c")


async def test_a_folder_that_is_a_link_which_is_swapped(world, tmp_path):
    """`current` → the newest release: the source is `current`, whatever it points to."""
    for number, name in (("1", "a"), ("2", "b")):
        world.write(f"releases/{number}/m.yaml", name)
    current = tmp_path / "current"
    current.symlink_to(world.folder / "releases/1")
    async with world.followed(current) as status:
        (tmp_path / "next").symlink_to(world.folder / "releases/2")
        (tmp_path / "next").rename(current)
        await world.has("b")
        assert (await world.status())["id"] == status["id"]


async def test_a_slow_writer(world):
    """A file that is open for writing is not read before it is closed: no half of it is ever applied."""
    async with world.followed():
        with (world.folder / "a.yaml").open("w") as file:
            file.write(machine("a", simulated=SIMULATED | {"flavor": "half"}))
            file.flush()
            await asyncio.sleep(0.2)
            assert await world.names() == set()
            file.write("---\n" + machine("b"))
        await world.has("a", "b")


async def test_many_edits_end_in_the_last(world):
    """Thirty edits in a row: the last one is what the server holds."""
    world.write("a.yaml", "a", simulated=SIMULATED)
    async with world.followed():
        for number in range(30):
            world.write("a.yaml", "a", simulated=SIMULATED | {"flavor": f"f{number}"})
            await asyncio.sleep(0.005)
        await until(lambda: flavor(world, "a"), "f29")


def body(name, **meta):
    return {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "Machine",
        "metadata": {"name": name, **meta},
        "spec": {"local": {}},
    }


async def uids(world):
    return {name: obj["metadata"]["uid"] for name, obj in (await world.machines()).items()}


async def files(world):
    return {name: obj["metadata"]["annotations"][SOURCE_FILE_ANNOTATION] for name, obj in (await world.machines()).items()}


async def flavor(world, name):
    return (await world.machines())[name]["spec"]["simulated"]["flavor"]


async def changed(world, name, uid):
    obj = (await world.machines()).get(name)
    return obj is not None and obj["metadata"]["uid"] != uid


async def versions(world):
    found = {}
    for resource in (ours("machines"), CONFIGMAPS):
        for item in (await world.client.list(resource))[0]:
            found[resource.plural, item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
    return found

"""Fault 26: manifests that are meant to hurt."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.support.daemon import condition_of, until
from tests.support.tables import cases
from tests.support.world import MACHINES, World, portrait

BOUND = 50 * 2**20
HEAD = "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {name: evil}\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)
TEXTS = {
    "alias bomb": BOMB + HEAD + "spec: {local: {}}\n",
    "50 MB": HEAD + "spec: {local: {}}\n#" + "x" * (50 * 2**20),
    "50 MB in a value": HEAD + "spec: {local: {}, image: '" + "x" * (50 * 2**20) + "'}\n",
    "10,000 levels, flow": HEAD + "spec: " + "[" * 10_000 + "]" * 10_000 + "\n",
    "10,000 levels, block": HEAD + "spec:\n" + "".join(" " * n + "a:\n" for n in range(1, 3_000)),
    "100,000 labels": "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata:\n  name: evil\n  labels:\n"
    + "".join(f"    l{n}: v\n" for n in range(100_000))
    + "spec: {local: {}}\n",
    "duplicate keys": HEAD + "spec: {local: {}}\nspec: {local: {}}\n",
    "unknown key": HEAD + "spec: {local: {}, flavour: x}\n",
    "NaN": HEAD + "spec: {local: {}, remediation: {maxRetry: .nan}}\n",
    "Infinity": HEAD + "spec: {local: {}, remediation: {maxRetry: .inf}}\n",
    "2^63": HEAD + "spec: {local: {}, remediation: {maxRetry: 9223372036854775808}}\n",
    "negative": HEAD + "spec: {local: {}, remediation: {maxRetry: -1}}\n",
    "a path for a name": HEAD.replace("evil", "../../etc/passwd") + "spec: {local: {}}\n",
    "a homoglyph": HEAD.replace("evil", "еvil") + "spec: {local: {}}\n",
    "null for what is required": HEAD + "spec: null\n",
    "python tags": HEAD + "spec: !!python/object/apply:os.system ['touch /tmp/anneal-was-here']\n",
    "binary": "\x00\x01\x02" + HEAD,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_over_http(text: str, world: World) -> None:
    """The API server says 4xx, the daemon lives, is not much bigger, and goes on working."""
    before = _rss(world)
    status, answer = await _post(world, text)
    assert 400 <= status < 500, answer[:500]
    assert len(answer) < 20_000
    await _unharmed(world, before)


async def test_in_a_folder(world: World, tmp_path: Path) -> None:
    """All of them in the folder at once: each is reported, the good file beside them is applied, the daemon is unharmed."""
    world.reusable = False  # it follows the folder from now on
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "good.yaml").write_text(HEAD.replace("evil", "good") + "spec: {local: {}}\n")
    await _add(world, folder)
    await world.ready("good")
    before = _rss(world)
    for number, text in enumerate(TEXTS.values()):
        (folder / f"evil-{number}.yaml").write_text(text)

    async def reported() -> bool:
        rows = (await _status(world))["sources"][0]["errors"]
        return len({row["file"] for row in rows}) == len(TEXTS)

    await until(reported, 60, every=0.2)
    (folder / "better.yaml").write_text(HEAD.replace("evil", "better") + "spec: {local: {}}\n")
    await world.ready("better", 40)
    names = {item["metadata"]["name"] for item in (await world.client.list(MACHINES))[0]}
    assert names == {"good", "better"}
    assert not Path("/tmp/anneal-was-here").exists()
    await _unharmed(world, before)


async def test_status_in_a_create_is_not_believed(world: World) -> None:
    """A status that comes with a create is dropped: nothing is adopted because of it."""
    theirs = world.admin.create("servers", name="theirs")
    body = {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "Machine",
        "metadata": {"name": "m"},
        "spec": {"simulated": world.spec()},
        "status": {"parts": [{"name": "server", "ref": theirs}]},
    }
    await world.client.create(MACHINES, "default", body)
    await world.ready("m")
    await world.delete("m")
    await world.gone("m")
    assert [server["id"] for server in world.admin.servers()] == [theirs]


def change(**simulated: object) -> Callable[[World], Awaitable[object]]:
    """An edit of the provider's block."""
    return lambda world: world.edit("m", **simulated)


EDITS = {
    "flavor": (change(flavor="large"), change(flavor="small")),
    "image": (change(image="debian-13"), change(image="debian-12")),
    "ports": (change(ports=[]), change(ports=[{"network": "net-0"}])),
    "more ports": (
        change(ports=[{"network": "net-0"}, {"network": "net-1"}]),
        change(ports=[{"network": "net-0"}]),
    ),
    "address": (change(floatingIP=True), change(floatingIP=False)),
    "metadata": (change(serverMetadata=[{"key": "a", "value": "b"}]), change(serverMetadata=[])),
}


@pytest.mark.parametrize(("there", "back"), EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("patient", cases({"settled in between": True, "at once": False}, quick=["at once"]))
async def test_there_and_back_again(there: Callable, back: Callable, patient: bool, world: World) -> None:
    """A, then B, then A: the outside is exactly as it was with A."""
    await world.create("m", 1)
    obj = await world.ready("m")
    uid = obj["metadata"]["uid"]
    before = portrait(None, world.admin.of_owner(uid))
    await there(world)
    if patient:
        await world.ready("m")
        assert portrait(None, world.admin.of_owner(uid)) != before
    await back(world)
    await world.ready("m")
    await world.rounds()
    assert portrait(None, world.admin.of_owner(uid)) == before
    assert await world.orphans() == []


async def test_from_an_error_to_good(world: World) -> None:
    """A spec that the cloud refuses, then a good one: Ready, and nothing of the bad one is left."""
    await world.create("m", 1, image="no-such-image")
    await world.until("m", lambda obj: condition_of(obj).get("reason") == "InvalidConfiguration")
    await world.edit("m", image="debian-12")
    await world.ready("m")
    assert world.total() == {"servers": 1, "ports": 1}


async def _unharmed(world: World, before: int) -> None:
    assert world.daemon.alive
    await world.create("after")
    await world.ready("after")
    grown = _rss(world) - before
    assert grown < BOUND, f"the daemon grew by {grown / 2**20:.0f} MB"


def _rss(world: World) -> int:
    assert world.daemon.process is not None
    return int(psutil.Process(world.daemon.process.pid).memory_info().rss)


async def _call(world: World, method: str, path: str, **more: object) -> tuple[int, str]:
    home = world.daemon.home
    port = json.loads(home.server_record.read_text())["port"]
    context = ssl.create_default_context(cafile=str(home.pki / "ca.crt"))
    headers = {"Authorization": f"Bearer {(home.pki / 'token').read_text().strip()}", **more.pop("headers", {})}
    async with aiohttp.ClientSession() as http:
        try:
            url = f"https://127.0.0.1:{port}{path}"
            async with http.request(method, url, ssl=context, headers=headers, **more) as response:
                return response.status, await response.text()
        except (aiohttp.ClientConnectionError, ConnectionResetError):
            return 413, "the connection was closed in the middle of the body"


async def _post(world: World, text: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/yaml"}
    return await _call(
        world, "POST", "/apis/anneal.dev/v1alpha1/namespaces/default/machines", data=text.encode(), headers=headers
    )


async def _add(world: World, folder: Path) -> None:
    status, answer = await _call(world, "POST", "/anneal/v1/sources", json={"path": str(folder)})
    assert status == 200, answer


async def _status(world: World) -> dict:
    return dict(json.loads((await _call(world, "GET", "/anneal/v1/status"))[1]))

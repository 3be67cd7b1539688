"""Server-side apply over HTTP: what the pure merge cannot know of."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from reconciler.api.server import ApiServer
from tests.support.apiserver import MACHINES, machine

APPLY = {"Content-Type": "application/apply-patch+yaml"}


async def apply(http: aiohttp.ClientSession, obj: dict[str, Any], manager: str = "alice", **query: str) -> tuple[int, Any]:
    path = f"{MACHINES}/{obj['metadata']['name']}"
    async with http.patch(path, json=obj, headers=APPLY, params={"fieldManager": manager, **query}) as answer:
        return answer.status, await answer.json()


async def test_apply_creates_then_changes(http: aiohttp.ClientSession):
    """The first apply is answered 201, the next 200, and one that changes nothing leaves the version as it is."""
    code, made = await apply(http, machine())
    assert code == 201
    code, same = await apply(http, machine())
    assert (code, same) == (200, made)
    code, changed = await apply(http, machine(labels={"a": "b"}))
    assert code == 200
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


@pytest.mark.parametrize("field", ["resourceVersion", "uid"])
@pytest.mark.parametrize("there", [True, False], ids=["another", "none"])
async def test_an_apply_may_name_the_object_it_means(http: aiohttp.ClientSession, field: str, there: bool):
    """An apply that names a resourceVersion or UID which is not the object's is a conflict, changed fields or not."""
    if there:
        await apply(http, machine())
    code, status = await apply(http, machine(**{field: "12345"}), force="true")
    assert (code, status["reason"]) == (409, "Conflict")
    if there:
        code, _ = await apply(http, machine(**{field: (await apply(http, machine()))[1]["metadata"][field]}))
        assert code == 200


async def test_a_dry_run_finds_the_conflict(http: aiohttp.ClientSession):
    """dryRun=All answers as the real request would, conflicts included, and stores nothing."""
    await apply(http, machine(labels={"a": "1"}))
    code, status = await apply(http, machine(labels={"a": "2"}), "bob", dryRun="All")
    assert code == 409
    (cause,) = status["details"]["causes"]
    assert cause == {"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".metadata.labels.a"}
    code, changed = await apply(http, machine(labels={"a": "2"}), "bob", dryRun="All", force="true")
    assert changed["metadata"]["labels"] == {"a": "2"}
    assert (await apply(http, machine(labels={"a": "1"})))[1]["metadata"]["labels"] == {"a": "1"}


REFUSED = {
    "no-manager": ({}, {"fieldManager": ""}, 400),
    "other-name": ({"metadata": {"name": "other"}}, {}, 400),
    "other-kind": ({"kind": "ConfigMap"}, {}, 400),
    "no-kind": ({"kind": None}, {}, 400),
    "managed-fields": ({"metadata": {"name": "m", "managedFields": [{"manager": "x"}]}}, {}, 400),
    "unknown-field": ({"spec": {"lokal": {}}}, {}, 400),
    "invalid": ({"spec": {}}, {}, 422),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_applied_is_refused(http: aiohttp.ClientSession, name: str):
    """Each way of applying nonsense has its own refusal, and nothing is created."""
    change, query, code = REFUSED[name]
    async with http.patch(
        f"{MACHINES}/m", json={**machine(), **change}, headers=APPLY, params={"fieldManager": "alice", **query}
    ) as answer:
        assert answer.status == code
    async with http.get(f"{MACHINES}/m") as answer:
        assert answer.status == 404


async def test_an_unknown_field_that_is_let_pass_is_nobodys(http: aiohttp.ClientSession):
    """With fieldValidation=Ignore an unknown field is dropped: it is not stored, not owned, and the next apply is no change."""
    odd = {**machine(), "spec": {"local": {}, "lokal": {}}}
    code, made = await apply(http, odd, fieldValidation="Ignore")
    assert code == 201
    assert "lokal" not in str(made)
    assert (await apply(http, odd, fieldValidation="Ignore"))[1] == made


async def test_the_body_may_be_yaml(http: aiohttp.ClientSession):
    """apply-patch+yaml is YAML."""
    text = "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {name: m}\nspec: {local: {}}\n"
    async with http.patch(f"{MACHINES}/m", data=text, headers=APPLY, params={"fieldManager": "alice"}) as answer:
        assert answer.status == 201


async def test_many_managers_at_once(server: ApiServer, http: aiohttp.ClientSession):
    """Managers that apply different labels at the same moment lose nothing: every label is there in the end."""
    import asyncio

    await apply(http, machine(), "creator")
    answers = await asyncio.gather(*(apply(http, machine(labels={f"k{n}": "v"}), f"m{n}") for n in range(20)))
    assert [code for code, _ in answers] == [200] * 20
    _, seen = await apply(http, machine(), "creator")
    assert seen["metadata"]["labels"] == {f"k{n}": "v" for n in range(20)}

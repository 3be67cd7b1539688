"""A model in the store is what was packaged, or it is not served; one that is brought is brought once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import Done, Stop, Wait
from drivers.local.models import Stored
from drivers.local.tables import Table
from reconciler.kinds.model_version import ModelVersionKind, example
from specs.meta import Reason
from tests.unit.kinds.world import World, local

DIGEST = "sha256:" + "a" * 64
FILES = ("golden.json", "model.onnx", "model.skops", "signature.json")
COLUMNS = [{"name": "mass", "example": 4000.0}, {"name": "island", "example": "Dream"}]
ABOUT = {
    "estimator": "LogisticRegression", "metrics": {"accuracy": 0.97}, "parameters": {"C": 1.5}, "features": [{"name": "mass"}],
    "lineage": {"experiment": "penguins", "runId": "r", "datasetDigest": DIGEST, "codeDigest": "c", "seed": 42},
}  # fmt: skip


def stored(trouble: str = "", **more: Any) -> Stored:
    """A model, as it is seen."""
    signature = {"inputs": COLUMNS, "target": {"task": "classification"}}
    return Stored(DIGEST, "/models/a", 41_000, FILES, more.get("about", ABOUT), signature, trouble)


def brings(there: World, part: str, unit: Any) -> dict[str, Any]:
    """A model that can be packaged: it is in the store from then on."""
    there.things["model"] = stored()
    return {"result.json": {"digest": DIGEST, "onnx": True, "note": None, "error": None}}


def by_digest(model: Stored | None) -> World:
    """One that an Experiment made."""
    there = World(ModelVersionKind(local()), {"digest": DIGEST})
    if model is not None:
        there.things["model"] = model
    return there


def brought(ended: Any = brings, uri: str = "m.onnx") -> World:
    """One that a user has."""
    there = World(ModelVersionKind(local()), {"uri": uri, "signatureUri": "signature.json"}, ended=ended)
    there.things["file"] = Table("/specs/m.onnx", "/specs", "1")
    return there


def test_a_model_of_the_store() -> None:
    """What the package says of itself is the status; nothing is made, and nothing is finalized."""
    there = by_digest(stored())
    assert isinstance(there.settle(), Done)
    assert there.log == []
    assert not there.kind.finalizes(there.object)
    assert there.status["formats"] == ["skops", "onnx"]
    assert there.status["metrics"] == [{"name": "accuracy", "latest": "0.97"}]
    assert there.status["lineage"]["experiment"] == "penguins"
    assert json.loads(there.status["example"]) == {"mass": 4000.0, "island": "Dream"}
    ready = there.status["conditions"][0]
    assert (ready["status"], ready["reason"], ready["message"]) == ("True", "Verified", "skops + onnx, 41 kB")


def test_a_changed_byte_is_said_by_file() -> None:
    """Verified=False, and what it said of itself before stays on record."""
    there = by_digest(stored())
    there.settle()
    there.things["model"] = stored("model.onnx is corrupt")
    plan = there.settle()
    assert isinstance(plan, Stop)
    assert plan.reason is Reason.CORRUPT
    assert {row["type"]: row["status"] for row in there.status["conditions"]} == {"Ready": "False", "Verified": "False"}
    assert "model.onnx" in there.status["conditions"][1]["message"]
    assert there.status["estimator"] == "LogisticRegression"
    there.things["model"] = stored()
    assert isinstance(there.settle(), Done)


def test_a_model_that_is_not_there_is_waited_for() -> None:
    """A store that is restored is noticed."""
    there = by_digest(None)
    plan = there.plan()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.MODEL_NOT_FOUND
    assert DIGEST in plan.message
    there.things["model"] = stored()
    assert isinstance(there.settle(), Done)


def test_a_model_of_ones_own_is_brought_once() -> None:
    """Its digest is known from then on; it goes with what brought it, and the store keeps it."""
    there = brought()
    assert isinstance(there.settle(), Done)
    assert isinstance(there.settle(), Done)
    assert [step.verb for step in there.log] == ["create"]
    assert there.status["digest"] == DIGEST
    assert there.kind.finalizes(there.object)
    there.things["bring"], held = None, there.things.pop("bring")
    assert held
    assert isinstance(there.settle(), Done)
    there.things.pop("bring")
    there.things.pop("file")
    model = there.things.pop("model")
    there.teardown()
    assert model


@pytest.mark.parametrize(
    ("left", "words"),
    [({"result.json": {"digest": None, "error": {"reason": "Unsafe", "message": "it is a pickle"}}}, "it is a pickle"), ({}, "")],
    ids=["refused", "silent"],
)
def test_a_model_that_is_refused_says_why(left: dict[str, Any], words: str) -> None:
    """ImportFailed, once: a refused file is not looked at again and again."""
    there = brought(lambda *_: left)
    if left:
        plan = there.settle()
        assert isinstance(plan, Stop)
        assert plan.reason is Reason.IMPORT_FAILED
        assert words in plan.message
        there.pass_time(10_000)
        there.settle()
        assert len(there.log) == 1
    else:
        for _ in range(20):
            plan = there.step()
        assert isinstance(plan, Wait | Stop)
        assert len(there.log) == 1


def test_a_file_that_is_not_there_is_waited_for() -> None:
    """Nothing is started for it; once the model is in the store, the file may go."""
    there = brought()
    there.things["file"] = Table("/specs/m.onnx", "/specs", "", "cannot read m.onnx: there is no such file")
    plan = there.plan()
    assert isinstance(plan, Wait)
    assert plan.reason is Reason.IMPORT_FAILED
    there.things["file"] = Table("/specs/m.onnx", "/specs", "1")
    there.settle()
    there.things["file"] = Table("/specs/m.onnx", "/specs", "", "cannot read m.onnx: there is no such file")
    assert isinstance(there.settle(), Done)


@pytest.mark.parametrize("part", ["model", "bring", "file"])
@given(steps=st.integers(0, 5))
def test_silence_never_leads_to_a_step(part: str, steps: int) -> None:
    """Whatever cannot be looked at: nothing is started meanwhile."""
    there = brought()
    for _ in range(steps):
        there.step()
    there.blind(part)
    if part in there.parts():
        assert isinstance(there.plan(), Wait)


def test_an_example_that_is_too_long_to_read_is_left_out() -> None:
    """A row of many columns is no example."""
    assert example({"inputs": [{"name": f"c{n}", "example": 1.0} for n in range(1000)]}) is None
    assert example({}) is None

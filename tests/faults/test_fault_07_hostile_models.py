"""Fault 7: what somebody else wrote is never run: hostile files are refused before anything of them is constructed."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from modelstore import Corrupt, Unsafe, load, manifest, safety
from modelstore.errors import TooLarge
from modelstore.skopsfile import dumps
from tests.modelstore.conftest import PENGUINS, Made, read


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self):
        return (Path.write_text, (self.sentinel, "executed"))


@pytest.fixture
def sentinel(tmp_path):
    """A file that appears if something ran; checked at the end of every test here."""
    path = tmp_path / "sentinel"
    yield path
    assert not path.exists(), "it was executed"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """A package of a logistic regression on the penguins."""
    folder = tmp_path_factory.mktemp("packages") / "logistic"
    assert Made(LogisticRegression(max_iter=1000), read(PENGUINS), "species").package(folder).onnx
    return folder


def disguised(folder: Path, data: bytes) -> Path:
    """A package whose manifest is right, and whose model file is `data`: who can write the store can do that."""
    folder.mkdir()
    signature = {
        "inputs": [{"name": "x", "datatype": "FP64", "kind": "numeric"}],
        "target": {"name": "y", "task": "regression"},
    }
    (folder / manifest.SKOPS).write_bytes(data)
    (folder / manifest.SIGNATURE).write_bytes(manifest.canonical_json(signature))
    (folder / manifest.GOLDEN).write_bytes(manifest.canonical_json({"inputs": {"x": []}, "outputs": {"labels": []}}))
    manifest.write(folder)
    return folder


def node(loader: str, module: str, name: str, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, "__id__": 1, **more}


NOTHING = node("TupleNode", "builtins", "tuple", content=[])


def text(value: str):
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def archive(schema, **files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("schema.json", schema if isinstance(schema, (str, bytes)) else json.dumps(schema | {"protocol": 2}))
        for name, data in files.items():
            zipped.writestr(name, data)
    return out.getvalue()


def command(sentinel: Path):
    return node("TupleNode", "builtins", "tuple", content=[text(f"touch {sentinel}")])


HOSTILE = {
    "a pickle": lambda s: pickle.dumps(Bomb(s)),
    "a joblib file": lambda s: _joblib(Bomb(s)),
    "a pickle in a zip": lambda s: _zip({"data.pkl": pickle.dumps(Bomb(s))}),
    "a pickle as an array": lambda s: archive(
        node("NdArrayNode", "numpy", "ndarray", type="numpy", file="1.npy"), **{"1.npy": _object_array(Bomb(s))}
    ),
    "os.system": lambda s: archive(node("FunctionNode", "os", "system", content={"module_path": "os", "function": "system"})),
    "a function that is called": lambda s: archive(node("ConstructorFromReduceNode", "os", "system", content=command(s))),
    "a function of numpy that is called": lambda s: archive(
        node("ConstructorFromReduceNode", "numpy", "fromfile", content=command(s))
    ),
    "an operator": lambda s: archive(node("OperatorFuncNode", "operator", "methodcaller", attrs=command(s))),
    "a bound method": lambda s: archive(node("MethodNode", "builtins", "str", content={"func": "format", "obj": text("x")})),
    "a partial": lambda s: archive(
        node(
            "PartialNode",
            "functools",
            "partial",
            content={"func": text("x"), "args": NOTHING, "kwds": NOTHING, "namespace": NOTHING},
        )
    ),
    "an object of a strange module": lambda s: archive(node("ObjectNode", "subprocess", "Popen", content=NOTHING)),
    "an object of scikit-learn that is no estimator": lambda s: archive(
        node(
            "ObjectNode",
            "sklearn.utils._bunch",
            "Bunch",
            content=node("DictNode", "builtins", "dict", content={}, key_types=NOTHING),
        )
    ),
    "eval as a type": lambda s: archive(node("TypeNode", "builtins", "eval")),
    "a loss that is a function": lambda s: archive(
        node("LossNode", "builtins", "eval", content=NOTHING, __reduce__={"args": command(s)})
    ),
    "a loader that nobody knows": lambda s: archive(node("EvilNode", "builtins", "str")),
    "an old protocol": lambda s: archive(json.dumps(text("x") | {"protocol": 0})),
    "a protocol that is no number": lambda s: archive(json.dumps(text("x") | {"protocol": True})),
    "no protocol": lambda s: archive(json.dumps(text("x"))),
    "no schema": lambda s: _zip({"a.npy": b""}),
    "a schema that is no JSON": lambda s: archive("{"),
    "a schema that is a list": lambda s: archive("[]"),
    "a schema of great depth": lambda s: archive('{"protocol":2,"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "nodes of great depth": lambda s: archive(_deep(3000)),
    "a path out of the archive": lambda s: archive(text("x"), **{"../../sentinel": b"executed"}),
    "an absolute path": lambda s: archive(text("x"), **{str(s): b"executed"}),
    "a zip bomb": lambda s: _bomb(),
    "an array larger than the world": lambda s: archive(
        node("NdArrayNode", "numpy", "ndarray", type="numpy", file="1.npy"), **{"1.npy": _huge_array()}
    ),
    "a matrix that is a zip": lambda s: archive(
        node("SparseMatrixNode", "scipy.sparse", "csr_matrix", type="scipy", file="1.npz")
    ),
    "a file that is missing": lambda s: archive(node("NdArrayNode", "numpy", "ndarray", type="numpy", file="gone.npy")),
    "nothing": lambda s: b"",
}


def _joblib(what) -> bytes:
    out = io.BytesIO()
    joblib.dump(what, out)
    return out.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return out.getvalue()


def _object_array(what) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([what], dtype=object), allow_pickle=True)
    return out.getvalue()


def _huge_array() -> bytes:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000, ), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _deep(levels: int):
    inner = text("x")
    for _ in range(levels):
        inner = node("ListNode", "builtins", "list", content=[inner])
    return '{"protocol":2,' + _dump_deep(inner)[1:]


def _dump_deep(inner) -> str:
    before, after = [], []
    while inner["__loader__"] == "ListNode":
        before.append('{"__loader__":"ListNode","__module__":"builtins","__class__":"list","content":[')
        after.append("]}")
        inner = inner["content"][0]
    return "".join(before) + json.dumps(inner) + "".join(after)


def _bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("schema.json", "{}")
        with zipped.open("1.npy", "w") as entry:
            for _ in range(64):
                entry.write(bytes(1 << 20))
    return out.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name, sentinel, tmp_path):
    """However a model file was made, it is refused by name and nothing of it runs, even where the manifest vouches for it."""
    folder = disguised(tmp_path / "package", HOSTILE[name](sentinel))
    with pytest.raises((Unsafe, TooLarge), match=r"cannot load model file model\.skops: "):
        load(folder)


def test_what_was_not_recorded_is_not_even_opened(packaged, sentinel, tmp_path):
    """A file that is not the one of the manifest is never handed to a loader; a package that is not the one expected neither."""
    folder = tmp_path / "package"
    folder.mkdir()
    for path in packaged.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / manifest.SKOPS).write_bytes(pickle.dumps(Bomb(sentinel)))
    for engine in ("onnx", "sklearn"):
        with pytest.raises(Corrupt, match=r"model\.skops"):
            load(folder, engine=engine)
    with pytest.raises(Corrupt, match="it is of model"):
        load(packaged, expect="sha256:" + "0" * 64)


def test_nothing_is_asked_of_the_file(monkeypatch, tmp_path, sentinel):
    """What a file itself names as its types is never what is trusted."""
    monkeypatch.setattr(skops.io, "get_untrusted_types", lambda *a, **k: pytest.fail("the file was asked"))
    folder = disguised(tmp_path / "package", HOSTILE["os.system"](sentinel))
    with pytest.raises(Unsafe):
        load(folder)


X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def _nodes(model):
    return model.tree_.__getstate__()


def _point_outside(model, field: str, value: int) -> None:
    state = model.tree_.__getstate__()
    state["nodes"][field][0] = value
    model.tree_.__setstate__(state)


BROKEN = {
    "a child beyond the end": lambda m: _point_outside(m, "left_child", 10_000),
    "a child before its parent": lambda m: _point_outside(m, "right_child", 0),
    "a feature that is not there": lambda m: _point_outside(m, "feature", 3),
    "a feature below zero": lambda m: _point_outside(m, "feature", -7),
}


@pytest.mark.parametrize("name", BROKEN)
def test_trees_point_within_themselves(name):
    """Compiled code follows trees without looking: those that point outside are refused, since they would crash a worker."""
    model = DecisionTreeClassifier(random_state=0).fit(X, Y)
    try:
        BROKEN[name](model)
    except ValueError:
        return  # scikit-learn itself refused it
    with pytest.raises(Unsafe, match="a tree"):
        safety.loads(dumps(model))


def test_trees_of_boosting_point_within_themselves():
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5).fit(X, Y)
    for field, value in (("left", 9999), ("right", 0), ("feature_idx", 3)):
        broken = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5).fit(X, Y)
        broken._predictors[0][0].nodes[field][0] = value
        with pytest.raises(Unsafe, match="a tree"):
            safety.loads(dumps(broken))
    assert safety.loads(dumps(model)).predict(X).shape == (60,)


def test_neighbours_point_within_their_rows():
    model = KNeighborsClassifier(algorithm="kd_tree").fit(X, Y)
    good = dumps(model)
    np.asarray(model._tree.get_arrays()[1])[0] = 999
    with pytest.raises(Unsafe, match="a neighbour tree"):
        safety.loads(dumps(model))
    assert safety.loads(good).predict(X).shape == (60,)


GOOD = dumps(RandomForestClassifier(2, max_depth=2, random_state=0).fit(X, Y))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_harmless(data):
    """Whatever bytes are changed, the answer is a model or a refusal, never another error and never a crash."""
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = safety.loads(bytes(damaged))
    except Unsafe:
        return
    assert model is not None

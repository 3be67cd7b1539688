"""Models that users bring: skops or ONNX files become packages like any other, or are refused."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from modelstore import ModelError, Signature, Unsafe, bring, load, manifest
from modelstore.bringing import read_signature
from modelstore.signature import Column, Target

X = np.random.default_rng(0).normal(size=(80, 3))
Y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")


def rows(names=("x0", "x1", "x2")):
    return {name: X[:5, i].tolist() for i, name in enumerate(names)}


def test_a_skops_file_of_scikit_learn(tmp_path):
    """An estimator that was trained on a matrix: its columns are called x0, x1, …; the digest is that of its content."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    skops.io.dump(model, tmp_path / "model.skops")
    one = bring(tmp_path / "model.skops", tmp_path / "one")
    two = bring(tmp_path / "model.skops", tmp_path / "two")
    assert one.digest == two.digest
    predictor = load(tmp_path / "one")
    assert predictor.signature.names() == ["x0", "x1", "x2"]
    assert predictor.signature.target.classes == ["no", "yes"]
    assert predictor.predict(rows()).labels == model.predict(X[:5]).tolist()
    assert predictor.check_golden() == (8, [])


def test_a_skops_file_that_was_trained_on_a_table(tmp_path):
    """Names that scikit-learn kept are the columns' names; a form it has a converter for gets ONNX."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = RandomForestClassifier(10, random_state=0).fit(frame, Y)
    skops.io.dump(model, tmp_path / "m.skops")
    bring(tmp_path / "m.skops", tmp_path / "package")
    predictor = load(tmp_path / "package")
    np.testing.assert_allclose(predictor.predict(rows("abc")).probabilities, model.predict_proba(frame[:5]), atol=1e-6)


def test_a_skops_file_with_a_signature_of_its_own(tmp_path):
    """Columns that are no numbers: the signature that comes with the file says what they are."""
    frame = pd.DataFrame({"size": X[:, 0], "colour": np.where(X[:, 1] > 0, "red", "blue")})
    encode = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["colour"])], remainder="passthrough")
    model = make_pipeline(encode, LinearRegression()).fit(frame, X[:, 2])
    skops.io.dump(model, tmp_path / "m.skops")
    signature = Signature(
        inputs=[
            Column(name="size", datatype="FP64", kind="numeric", minimum=-3, maximum=3),
            Column(name="colour", datatype="BYTES", kind="categorical", categories=["red", "blue"]),
        ],
        target=Target(name="weight", task="regression"),
    )
    bring(tmp_path / "m.skops", tmp_path / "package", signature=signature)
    found = load(tmp_path / "package", engine="sklearn").predict({"size": [0.5], "colour": ["red"]})
    assert found.labels == pytest.approx(model.predict(pd.DataFrame({"size": [0.5], "colour": ["red"]})).tolist())


@pytest.mark.parametrize("zipmap", [True, False], ids=["maps", "arrays"])
def test_an_onnx_file(zipmap, tmp_path):
    """A graph of one matrix, its probabilities as maps or as an array: columns, classes and task are read off it."""
    model = LogisticRegression().fit(X, Y)
    graph = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": zipmap}, target_opset=18)
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    packaged = bring(tmp_path / "m.onnx", tmp_path / "package")
    assert packaged.onnx
    predictor = load(tmp_path / "package")
    assert predictor.signature.target == Target(name="prediction", task="classification", classes=["no", "yes"])
    found = predictor.predict(rows())
    assert found.labels == model.predict(X[:5]).tolist()
    np.testing.assert_allclose(found.probabilities, model.predict_proba(X[:5]), atol=1e-5)


def test_an_onnx_file_of_a_regression(tmp_path):
    model = LinearRegression().fit(X, X[:, 0])
    (tmp_path / "m.onnx").write_bytes(to_onnx(model, X[:1], target_opset=18).SerializeToString())
    bring(tmp_path / "m.onnx", tmp_path / "package")
    predictor = load(tmp_path / "package")
    assert predictor.signature.target.task == "regression"
    assert predictor.predict(rows()).labels == pytest.approx(X[:5, 0].tolist())


def test_our_own_files_come_back(logistic, packaged, tmp_path):
    """The files of a package, brought alone: the same answers; the package, brought as a folder: the same digest."""
    assert bring(packaged, tmp_path / "folder").digest == manifest.read(packaged)[0]
    for name in (manifest.ONNX, manifest.SKOPS):
        bring(packaged / name, tmp_path / name, signature=logistic.signature)
        assert load(tmp_path / name).predict(logistic.rows).labels == load(packaged).predict(logistic.rows).labels
    bring(packaged / manifest.SKOPS, tmp_path / "guessed")
    assert load(tmp_path / "guessed").signature.kinds() == logistic.signature.kinds()


@pytest.mark.parametrize("name", [manifest.SKOPS, manifest.ONNX])
def test_a_package_that_is_brought_is_looked_at(name, packaged, tmp_path):
    """A manifest that vouches for a hostile file makes it no better: also where another engine would serve."""
    folder = tmp_path / "brought"
    shutil.copytree(packaged, folder)
    (folder / name).write_bytes(pickle.dumps("a pickle"))
    manifest.write(folder)
    with pytest.raises(Unsafe, match=name):
        bring(folder, tmp_path / "package")
    assert not (tmp_path / "package" / manifest.MANIFEST).exists()


def test_a_package_that_answers_otherwise_here_is_refused(packaged, tmp_path):
    """Golden rows are asked when a package comes from elsewhere."""
    folder = tmp_path / "brought"
    shutil.copytree(packaged, folder)
    recorded = json.loads((folder / manifest.GOLDEN).read_bytes())
    recorded["outputs"]["labels"][0] = "Dodo"
    (folder / manifest.GOLDEN).write_bytes(manifest.canonical_json(recorded))
    manifest.write(folder)
    with pytest.raises(ModelError, match="1 of its 20 golden rows"):
        bring(folder, tmp_path / "package")


def _model(nodes, **more):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [None, 1])], [value("y", TensorProto.FLOAT, [None, 1])], **more
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("somebody", 1)])


def _external():
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    tensor.ClearField("float_data")
    return tensor


HOSTILE = {
    "weights in another file": lambda: _model(
        [helper.make_node("Add", ["x", "w"], ["y"])], initializer=[_external()]
    ).SerializeToString(),
    "a constant in another file": lambda: _model(
        [helper.make_node("Constant", [], ["w"], value=_external()), helper.make_node("Add", ["x", "w"], ["y"])]
    ).SerializeToString(),
    "somebody's operators": lambda: _model([helper.make_node("Own", ["x"], ["y"], domain="somebody")]).SerializeToString(),
    "an invalid graph": lambda: _model([helper.make_node("Add", ["x", "gone"], ["y"])]).SerializeToString(),
    "a pickle": lambda: pickle.dumps({"a": 1}),
    "text": lambda: b"hello",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_graphs_are_refused(name, tmp_path):
    """A graph may not reach into other files, nor need libraries of somebody's."""
    (tmp_path / "m.onnx").write_bytes(HOSTILE[name]())
    with pytest.raises((Unsafe, ModelError), match=r"cannot (load|use|read)"):
        bring(tmp_path / "m.onnx", tmp_path / "package")
    assert not (tmp_path / "package" / manifest.MANIFEST).exists()


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model", "model.zip"])
def test_pickles_are_never_loaded(name, tmp_path):
    (tmp_path / name).write_bytes(pickle.dumps(1))
    with pytest.raises(Unsafe, match="pickles are never loaded"):
        bring(tmp_path / name, tmp_path / "package")
    with pytest.raises(Unsafe, match="pickle"):
        bring(tmp_path / name, tmp_path / "package", format="skops")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (KMeans(2, n_init=1).fit(X), None),
        (StandardScaler().fit(X), "predicts nothing"),
        (make_pipeline(FunctionTransformer(np.log1p)), "cannot"),
        ({"not": "a model"}, "predicts nothing"),
    ],
    ids=["clusters", "a transformer", "not fitted", "a dict"],
)
def test_what_is_no_model(model, said, tmp_path):
    """What does not predict is no model; clusters are numbers."""
    skops.io.dump(model, tmp_path / "m.skops")
    if said is None:
        bring(tmp_path / "m.skops", tmp_path / "package")
        return
    with pytest.raises(ModelError, match=said):
        bring(tmp_path / "m.skops", tmp_path / "package")


def test_a_signature_that_does_not_fit_is_refused(tmp_path):
    """Wrong columns or classes are found when the model is brought, not when somebody asks it."""
    (tmp_path / "m.onnx").write_bytes(
        to_onnx(LogisticRegression().fit(X, Y), X[:1], options={"zipmap": False}).SerializeToString()
    )
    columns = [Column(name=name, datatype="FP64", kind="numeric") for name in "ab"]
    three = [*columns, Column(name="c", datatype="FP64", kind="numeric")]
    for inputs, classes, said in (
        (columns, ["no", "yes"], "its inputs"),
        (three, ["yes", "maybe"], "no class of the signature"),
        (three, ["no", "yes", "maybe"], "one probability per class"),
    ):
        signature = Signature(inputs=inputs, target=Target(name="y", task="classification", classes=classes))
        with pytest.raises(ModelError, match=said):
            bring(tmp_path / "m.onnx", tmp_path / "package", signature=signature)


def test_a_signature_file_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "signature.json"
    path.write_text(json.dumps({"inputs": [{"name": "a", "datatype": "FP65", "kind": "numeric"}], "target": {}}))
    with pytest.raises(ModelError, match=r"inputs\.0\.datatype"):
        read_signature(path)


def test_the_protobuf_is_kept_as_it_came(tmp_path):
    """A brought graph is served byte for byte: its hash is what its author published."""
    data = to_onnx(LinearRegression().fit(X, X[:, 0]), X[:1]).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    bring(tmp_path / "m.onnx", tmp_path / "package")
    assert (tmp_path / "package" / manifest.ONNX).read_bytes() == data
    assert onnx.load_model_from_string(data).graph.node

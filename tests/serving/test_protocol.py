"""The Open Inference Protocol v2, by clients that nobody here wrote and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import requests
from tritonclient import http as triton

from tests.support.asking import row, tensors
from tests.support.serving import Deployment, Model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def test_tritonclient_infers_with_its_defaults(up: Deployment, species: Model) -> None:
    """NVIDIA's client, which sends and wants binary tensors unless told otherwise, gets labels and probabilities."""
    client = triton.InferenceServerClient(f"127.0.0.1:{up.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(up.name)
    metadata = client.get_model_metadata(up.name)
    inputs = []
    for about in metadata["inputs"]:
        values = species.held_out[about["name"]][:5]
        text = about["datatype"] == "BYTES"
        array = (
            np.array([v or "" for v in values], object)
            if text
            else np.array([math.nan if v is None else v for v in values], float)
        )
        tensor = triton.InferInput(about["name"], [5], "BYTES" if text else "FP64")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    answer = client.infer(up.name, inputs)
    want = species.pipeline.predict({name: values[:5] for name, values in species.held_out.items()})
    assert [one.decode() for one in answer.as_numpy("species")] == list(want)
    assert answer.as_numpy("probabilities").shape == (5, 3)
    np.testing.assert_allclose(answer.as_numpy("probabilities").sum(axis=1), 1)


def test_predictions_equal_the_pipelines_own(up: Deployment, species: Model) -> None:
    """On all held-out rows the served labels are those of `pipeline.predict`, and the probabilities agree."""
    count = len(species.held_out["island"])
    answer = requests.post(f"{up.url}/v2/models/penguins/infer", json=tensors(species, count), timeout=30).json()
    assert answer["outputs"][0]["data"] == list(species.pipeline.predict(species.held_out))
    got = np.array(answer["outputs"][1]["data"]).reshape(count, 3)
    np.testing.assert_allclose(got, species.pipeline.predict_proba(species.held_out), atol=1e-5)


def test_missing_is_null_or_nan(up: Deployment, species: Model) -> None:
    """null and NaN say the same, and are answered."""
    asked = tensors(species)
    asked["inputs"][1]["data"] = [None]
    null = requests.post(f"{up.url}/v2/models/penguins/infer", json=asked, timeout=30).json()
    asked["inputs"][1]["data"] = [math.nan]
    import json

    nan = requests.post(
        f"{up.url}/v2/models/penguins/infer", data=json.dumps(asked), headers={"Content-Type": "application/json"}, timeout=30
    )
    assert null["outputs"] == nan.json()["outputs"]


def test_the_shape_of_an_answer(up: Deployment, species: Model) -> None:
    """outputs[0] is the prediction, named after the target; outputs[1] the probabilities; the id comes back."""
    answer = requests.post(
        f"{up.url}/v2/models/penguins/versions/1/infer", json={"id": "abc", **tensors(species, 2)}, timeout=30
    ).json()
    assert answer["id"] == "abc"
    assert (answer["model_name"], answer["model_version"]) == ("penguins", "1")
    labels, shares = answer["outputs"]
    assert (labels["name"], labels["datatype"], labels["shape"]) == ("species", "BYTES", [2])
    assert (shares["name"], shares["datatype"], shares["shape"], len(shares["data"])) == ("probabilities", "FP64", [2, 3], 6)


def test_only_the_outputs_that_are_wanted(up: Deployment, species: Model) -> None:
    """A request may name outputs."""
    asked = {**tensors(species), "outputs": [{"name": "probabilities"}]}
    answer = requests.post(f"{up.url}/v2/models/penguins/infer", json=asked, timeout=30).json()
    assert [one["name"] for one in answer["outputs"]] == ["probabilities"]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/penguins/versions/7", "/v2/models/penguins/versions/x/ready"])
def test_what_is_not_there_is_404(up: Deployment, path: str) -> None:
    """Another model, another version."""
    assert requests.get(up.url + path, timeout=30).status_code == 404


def test_plain_rows(up: Deployment, species: Model) -> None:
    """POST /predict takes one row as it is, or many, and answers a prediction for each."""
    one = requests.post(f"{up.url}/predict", json=row(species), timeout=30).json()
    many = requests.post(f"{up.url}/predict", json={"rows": [row(species, i) for i in range(4)]}, timeout=30).json()
    assert len(one["predictions"]) == 1
    assert len(many["predictions"]) == 4
    assert many["predictions"][0] == one["predictions"][0]
    assert one["model"] == {"name": "penguins", "revision": 1, "digest": species.digest}
    assert math.isclose(sum(one["predictions"][0]["probabilities"].values()), 1, abs_tol=1e-6)


def test_a_table_in_a_table_out(up: Deployment) -> None:
    """CSV: columns in any order, others passed over, missing values empty."""
    text = (
        "sex,note,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,year\r\n"
        + 'male,"a, b",Dream,40.6,17.2,187,3475,2009\r\n,,Biscoe,,,,,2007\r\n'
    )
    answer = requests.post(f"{up.url}/predict", data=text, headers={"Content-Type": "text/csv"}, timeout=30)
    lines = answer.text.splitlines()
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert lines[0].endswith("predicted_species,probability_Adelie,probability_Chinstrap,probability_Gentoo")
    assert len(lines) == 3

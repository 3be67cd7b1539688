"""The Open Inference Protocol v2, by clients that nobody here wrote and by hand."""

from __future__ import annotations

import json
from math import isclose, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from tritonclient import http as triton

from tests.support.asking import LATER, ended, row, tensors
from tests.support.serving import Deployment, Model, deployed

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def triton_inputs(client: Any, name: str, columns: dict[str, list[Any]], rows: int) -> list[Any]:
    """Tensors as NVIDIA's client makes them from numpy arrays: binary, missing numbers NaN, missing texts empty."""
    inputs = []
    for about in client.get_model_metadata(name)["inputs"]:
        values = columns[about["name"]][:rows]
        text = about["datatype"] == "BYTES"
        array = (
            np.array([v or "" for v in values], object) if text else np.array([nan if v is None else v for v in values], float)
        )
        tensor = triton.InferInput(about["name"], [rows], "BYTES" if text else "FP64")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def test_tritonclient_infers_with_its_defaults(up: Deployment, species: Model) -> None:
    """NVIDIA's client, which sends and wants binary tensors unless told otherwise, gets the pipeline's own labels and
    probabilities for all rows, held-out and trained on, those with missing values among them."""
    client = triton.InferenceServerClient(f"127.0.0.1:{up.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(up.name)
    table = {name: [*values, *species.columns[name]] for name, values in species.held_out.items()}
    assert any(None in values for values in table.values())
    answer = client.infer(up.name, triton_inputs(client, up.name, table, len(table["island"])))
    labels = [one.decode() for one in answer.as_numpy("species")]
    assert labels == list(species.pipeline.predict(table))
    np.testing.assert_allclose(answer.as_numpy("probabilities"), species.pipeline.predict_proba(table), atol=1e-5)


def test_binary_tensors_can_be_answered_later(up: Deployment, species: Model) -> None:
    """`Prefer: respond-async`: 202 and a location; there, pending or the outputs, and the state."""
    client = triton.InferenceServerClient(f"127.0.0.1:{up.port}")
    body, length = client.generate_request_body(triton_inputs(client, up.name, species.held_out, 5))
    headers = {**LATER, "Inference-Header-Content-Length": str(length)}
    accepted = requests.post(f"{up.url}/v2/models/penguins/infer", data=body, headers=headers, timeout=30)
    assert (accepted.status_code, accepted.headers["Preference-Applied"]) == (202, "respond-async")
    found = ended(up, up.url + accepted.headers["Location"])
    assert found["state"] == "SUCCEEDED"
    first = {name: values[:5] for name, values in species.held_out.items()}
    assert found["result"]["outputs"][0]["data"] == list(species.pipeline.predict(first))


def test_predictions_equal_the_pipelines_own(up: Deployment, species: Model) -> None:
    """On all held-out rows the served labels are those of `pipeline.predict`, and the probabilities agree."""
    count = len(species.held_out["island"])
    answer = requests.post(f"{up.url}/v2/models/penguins/infer", json=tensors(species, count), timeout=30).json()
    assert answer["outputs"][0]["data"] == list(species.pipeline.predict(species.held_out))
    got = np.array(answer["outputs"][1]["data"]).reshape(count, 3)
    np.testing.assert_allclose(got, species.pipeline.predict_proba(species.held_out), atol=1e-5)


def test_a_regression_predicts_as_its_pipeline_does(tmp_path: Path, store: Path, price: Model) -> None:
    """All held-out diamonds, over both protocols and as a CSV: the values of `pipeline.predict`."""
    want = price.pipeline.predict(price.held_out)
    rows = len(want)
    with deployed(tmp_path, store, price) as up:
        client = triton.InferenceServerClient(f"127.0.0.1:{up.port}")
        answer = client.infer(up.name, triton_inputs(client, up.name, price.held_out, rows))
        np.testing.assert_allclose(answer.as_numpy("price"), want, rtol=1e-4)
        assert answer.get_response()["outputs"][0]["datatype"] == "FP64"
        plain = requests.post(f"{up.url}/predict", json={"rows": [row(price, i) for i in range(rows)]}, timeout=30).json()
        np.testing.assert_allclose([one["prediction"] for one in plain["predictions"]], want, rtol=1e-4)
        lines = [",".join(price.held_out), *(",".join(str(v) for v in row(price, i).values()) for i in range(rows))]
        table = requests.post(f"{up.url}/predict", data="\n".join(lines), headers={"Content-Type": "text/csv"}, timeout=30)
        got = [float(line.rsplit(",", 1)[1]) for line in table.text.splitlines()[1:]]
        np.testing.assert_allclose(got, want, rtol=1e-4)


def test_missing_is_null_or_nan(up: Deployment, species: Model) -> None:
    """null and NaN say the same in both protocols, and are answered as the pipeline answers what is missing."""
    known = row(species)
    for name in ("bill_length_mm", "year"):
        want = species.pipeline.predict_proba({column: [value if column != name else None] for column, value in known.items()})
        asked = tensors(species)
        (tensor,) = (one for one in asked["inputs"] if one["name"] == name)
        for value in (None, nan):
            tensor["datatype"], tensor["data"] = "FP64", [value]
            for path, body in (("/v2/models/penguins/infer", asked), ("/predict", {**known, name: value})):
                text = json.dumps(body)  # as Python writes it: NaN
                answer = requests.post(up.url + path, data=text, headers={"Content-Type": "application/json"}, timeout=30).json()
                got = answer["outputs"][1]["data"] if "outputs" in answer else answer["predictions"][0]["probabilities"].values()
                np.testing.assert_allclose(list(got), want[0], atol=1e-5)


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
    assert isclose(sum(one["predictions"][0]["probabilities"].values()), 1, abs_tol=1e-6)


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

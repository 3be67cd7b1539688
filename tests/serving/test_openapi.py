"""/openapi.json is true, says schemathesis: what it allows is answered so, what it does not is refused, nothing is a 500."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.serving import Deployment

EXAMPLES = 20


def schemathesis(up: Deployment, folder: Path, document: dict[str, Any], *options: str) -> None:
    """Ask everything that comes to its mind, the same each time; fails with what it found."""
    (folder / "openapi.json").write_text(json.dumps(document))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", up.url,
        "--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure", "--no-shrink", "--no-color",
        "--warnings", "off", "--request-timeout", "30", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_operation_answers_as_documented(up: Deployment, tmp_path: Path) -> None:
    """Examples, edge cases, random requests, valid and not, and sequences of them: statuses, content types, schemas and headers
    are those of the document. (No JSON schema can say that each tensor has as many values as its shape says, so a tensor that
    looks valid may be refused.)"""
    document = requests.get(f"{up.url}/openapi.json", timeout=30).json()
    del document["paths"]["/predict"]
    schemathesis(up, tmp_path, document, "--checks", "all", "--exclude-checks", "positive_data_acceptance")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_plain_rows_that_the_document_allows_are_predicted_and_others_refused(up: Deployment, tmp_path: Path) -> None:
    """All checks: valid rows are answered, invalid ones are not."""
    schemathesis(up, tmp_path, only_predict(up, without="text/csv"), "--checks", "all")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_text_makes_a_500(up: Deployment, tmp_path: Path) -> None:
    """Any text as a CSV."""
    schemathesis(up, tmp_path, only_predict(up, without="application/json"), "--checks", "not_a_server_error")


def only_predict(up: Deployment, without: str) -> dict[str, Any]:
    """The document of POST /predict, without one of the types that it takes."""
    document: dict[str, Any] = requests.get(f"{up.url}/openapi.json", timeout=30).json()
    document["paths"] = {"/predict": document["paths"]["/predict"]}
    del document["paths"]["/predict"]["post"]["requestBody"]["content"][without]
    return document


def test_what_schemathesis_found_once(up: Deployment) -> None:
    """A datatype that is an object, outputs that are no list, numbers beyond all measure: 422, at their place."""
    one = {"name": "island", "shape": [1], "datatype": {}, "data": ["Dream"]}
    url = f"{up.url}/v2/models/penguins/infer"
    inputs = requests.get(f"{up.url}/v2/models/penguins", timeout=30).json()["inputs"]
    rest = [{**about, "shape": [1], "data": [None]} for about in inputs if about["name"] != "island"]
    answer = requests.post(url, json={"inputs": [one, *rest]}, timeout=30)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "inputs[0].datatype")
    for outputs in ("", 0, {}, False):
        asked = {"inputs": [{**one, "datatype": "BYTES"}, *rest], "outputs": outputs}
        answer = requests.post(url, json=asked, timeout=30)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "outputs")
    for value in (1e31, -1.7976931348623157e308, 10**40):
        row = {about["name"]: None for about in inputs} | {"year": value}
        answer = requests.post(f"{up.url}/predict", json=row, timeout=30)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "year")

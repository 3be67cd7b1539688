"""`python -m modelstore`: what a package is, and whether it is as it was written."""

from __future__ import annotations

import json

import pytest

from modelstore import manifest
from modelstore.__main__ import main


def test_inspect_tells_what_it_is(packaged, capsys):
    """Digest, target, columns, files and metrics, for people and as JSON."""
    assert main(["inspect", str(packaged)]) == 0
    said = capsys.readouterr().out
    for word in (manifest.read(packaged)[0], "species", "bill_length_mm", "numeric, FP64", "accuracy", "model.onnx"):
        assert word in said
    assert main(["inspect", "--json", str(packaged)]) == 0
    assert json.loads(capsys.readouterr().out)["target"]["classes"] == ["Adelie", "Chinstrap", "Gentoo"]


def test_verify_hashes_loads_and_asks(packaged, capsys):
    """Each engine answers the golden rows."""
    assert main(["verify", "--json", str(packaged)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["golden"] == {"onnx": {"checked": 20, "wrong": []}, "sklearn": {"checked": 20, "wrong": []}}


def test_a_damaged_package_is_an_error(packaged, tmp_path, capsys):
    """One byte is enough; stderr names the file, and what to do."""
    for path in packaged.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / manifest.ONNX).write_bytes((packaged / manifest.ONNX).read_bytes()[:-1] + b"!")
    assert main(["verify", str(tmp_path)]) == 1
    assert "cannot use model file model.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_no_package_is_an_error(verb, tmp_path, capsys):
    assert main([verb, str(tmp_path)]) == 1
    assert "MANIFEST.json: it is missing" in capsys.readouterr().err

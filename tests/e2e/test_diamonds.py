"""The second example: a regression on 53,940 rows, named candidates, a schema that is enforced."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import newcomer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROW = {"carat": 0.9, "cut": "Ideal", "color": "G", "clarity": "VS2", "depth": 61.5, "table": 56, "x": 6.2, "y": 6.2, "z": 3.8}


def test_the_price_of_a_diamond(tmp_path: Path) -> None:
    """From the table to a price: the larger stone costs more, and the model is right to within a tenth of what prices vary by."""
    with newcomer(tmp_path) as there:
        folder = there.example("diamonds")
        spec = folder / "diamonds.yaml"
        spec.write_text(spec.read_text().replace("maxTrialCount: 12", "maxTrialCount: 4"))  # half a minute instead of two
        there.up(folder)
        found = there.get("exper", "diamonds")["status"]
        url = there.get("mdep", "diamonds")["status"]["url"]
        rows = [ROW, ROW | {"carat": 2.0, "x": 8.1, "y": 8.1, "z": 5.0}, ROW | {"cut": None, "depth": None}]
        answer = requests.post(f"{url}/predict", json={"rows": rows}, timeout=30).json()
    small, large, unsure = (each["prediction"] for each in answer["predictions"])
    assert 2_000 < small < 8_000 < large < 20_000
    assert unsure > 0
    metrics = {row["name"]: float(row["latest"]) for row in found["metrics"]}
    assert metrics["r2"] > 0.97

"""The story: a table with wrong labels is corrected, and a better model is served by itself; broken again, nothing is changed."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import newcomer
from tests.support.load import Load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WRONG = 0.2
LEAST = 50
"""Requests a second."""
TREE = """\
candidates:
  - name: tree
    estimator: DecisionTreeClassifier
    parameters:
    - {name: max_depth, parameterType: int, feasibleSpace: {min: 8, max: 16}}
"""
"""A deep tree learns every label that it is told: what is wrong in the table is wrong in the model. (A linear model shrugs.)"""


def with_wrong_labels(table: bytes) -> bytes:
    """The same table, a fifth of its labels being another one; always the same ones."""
    head, *rows = table.decode().splitlines()
    species = sorted({row.split(",")[0] for row in rows})
    chosen = random.Random(1)
    for number in chosen.sample(range(len(rows)), int(len(rows) * WRONG)):
        label, _, rest = rows[number].partition(",")
        rows[number] = f"{chosen.choice([one for one in species if one != label])},{rest}"
    return "\n".join([head, *rows, ""]).encode()


def a_row(file: Path) -> dict[str, Any]:
    """The inputs of the first row, as they would be typed."""
    row = next(iter(csv.DictReader(file.read_text().splitlines())))
    words = ("island", "sex")
    return {name: value if name in words else float(value) for name, value in row.items() if name != "species"}


def small(text: str) -> str:
    """The quickstart with one kind of model and four trials: the story is about tables, not about search."""
    text = text.replace("candidates: auto                  # or a list: name, estimator, parameters as in Katib\n", TREE)
    assert TREE in text
    return text.replace("maxTrialCount: 24", "maxTrialCount: 4")


def test_a_better_table_ends_in_a_better_model_and_a_worse_one_does_not(tmp_path: Path) -> None:
    """Saving the corrected file is all: it is read, learned from, compared, tried out and served, while 50 requests a second are
    answered without one failure. Undoing the correction makes the old model anew: it is scored, found worse, and not served."""
    with newcomer(tmp_path) as there:
        folder = there.example("quickstart")
        spec, table = folder / "penguins.yaml", folder / "data" / "penguins.csv"
        spec.write_text(small(spec.read_text()))
        right = table.read_bytes()
        table.write_bytes(with_wrong_labels(right))
        there.up(folder)
        before = there.get("mdep", "penguins")["status"]
        assert before["revision"] == 1

        with Load(before["url"], a_row(table)) as load:
            table.write_bytes(right)
            after = there.until("mdep", "penguins", lambda it: it["status"].get("revision") == 2)["status"]
            there.until("mdep", "penguins", lambda it: not [p for p in it["status"]["parts"] if p["name"].startswith("worker/1")])
        print(f"{load.answered} answered in {load.seconds:.0f} s, {load.per_second:.0f} a second: {dict(load.revisions)}")
        assert load.failures == []
        assert load.per_second >= LEAST
        assert set(load.revisions) == {1, 2}
        won = after["challenger"]
        assert (won["decision"], won["digest"], won["against"]) == ("Promoted", after["digest"], before["digest"])
        assert float(won["score"]) > float(won["incumbentScore"])
        there.ready()

        table.write_bytes(with_wrong_labels(right))
        told = there.until("mdep", "penguins", lambda it: it["status"]["challenger"].get("decision") == "NotBetter")
        lost = told["status"]["challenger"]
        assert lost["digest"] == before["digest"], "the same table, code and seed make the same model"
        assert float(lost["score"]) < float(lost["incumbentScore"])
        there.ready()
        served = there.get("mdep", "penguins")["status"]
        assert (served["revision"], served["digest"]) == (2, after["digest"])
        assert "is not better" in there.cli("get", "mdep", "penguins").out

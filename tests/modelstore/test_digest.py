"""The digest: the same data, code and seed give the same one; it says nothing of when, where, or what was noted beside."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from modelstore import manifest, safety
from modelstore.skopsfile import EPOCH, dumps
from tests.modelstore.conftest import PENGUINS, Made

ESTIMATORS = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "network": lambda: MLPClassifier((4,), max_iter=400, tol=0.01, early_stopping=True, random_state=0),
    "bagging": lambda: BaggingClassifier(n_estimators=3, random_state=0),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_trained_twice_is_one_digest(name, penguins, tmp_path):
    """Training anew gives the same package; metadata, the time among it, is not in the digest."""
    one = Made(ESTIMATORS[name](), penguins, "species").package(tmp_path / "one", metadata={"created": "2020-01-01T00:00:00Z"})
    two = Made(ESTIMATORS[name](), penguins, "species").package(tmp_path / "two", metadata={"seconds": 17.3})
    assert one.digest == two.digest
    for file in manifest.DIGESTED:
        first, second = tmp_path / "one" / file, tmp_path / "two" / file
        assert first.exists() == second.exists()
        assert not first.exists() or first.read_bytes() == second.read_bytes()


SCRIPT = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from tests.modelstore.conftest import PENGUINS, Made, read
from tests.modelstore.test_digest import ESTIMATORS
made = Made(ESTIMATORS[sys.argv[1]](), read(PENGUINS), "species")
print(made.package(Path(sys.argv[2])).digest)
"""


def test_processes_agree(tmp_path):
    """Neither the order of hashes nor the addresses of objects, which differ from process to process, are in it."""

    def start(seed: int) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", SCRIPT, "bagging", str(tmp_path / str(seed))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=PENGUINS.parents[3])

    running = [start(1), start(3)]
    said = [process.communicate(timeout=100)[0] for process in running]
    assert said[0].startswith("sha256:")
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_going_through_files_and_other_processes_changes_nothing(name, penguins):
    """A pipeline that was pickled to a worker, or loaded from its own file, is written as the very same bytes."""
    pipeline = Made(ESTIMATORS[name](), penguins, "species").pipeline
    data = dumps(pipeline)
    assert dumps(pickle.loads(pickle.dumps(pipeline))) == data
    assert dumps(safety.loads(data)) == data


def test_another_seed_is_another_digest(penguins, tmp_path):
    digests = {
        Made(RandomForestClassifier(5, random_state=seed), penguins, "species").package(tmp_path / str(seed)).digest
        for seed in range(3)
    }
    assert len(digests) == 3


def test_the_file_says_no_time_and_no_address(packaged):
    """Entries of the archive carry the earliest time there is, and names that are their content's."""
    with zipfile.ZipFile(packaged / manifest.SKOPS) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {EPOCH}
        assert "__id__" not in archive.read("schema.json").decode()


def test_gaps_between_fields_are_empty(penguins):
    """Arrays of a tree's nodes have gaps between their fields, in which lies whatever lay in memory: not in the file."""
    pipeline = Made(RandomForestClassifier(1, random_state=0), penguins, "species").pipeline
    before = dumps(pipeline)
    tree = pipeline["model"].estimators_[0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"]
    raw = np.frombuffer(bytearray(nodes.tobytes()), dtype=np.uint8).reshape(len(nodes), nodes.itemsize).copy()
    used = np.zeros(nodes.itemsize, dtype=bool)
    for dtype, offset, *_ in nodes.dtype.fields.values():
        used[offset : offset + dtype.itemsize] = True
    assert not used.all()
    raw[:, ~used] = 0xAA
    state["nodes"] = raw.reshape(-1).view(nodes.dtype)
    tree.__setstate__(state)
    assert dumps(pipeline) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values)
def test_one_value_has_one_form(value):
    """Canonical JSON reads back as it was, and does not depend on the order of keys."""
    data = manifest.canonical_json(value)
    assert json.loads(data) == value
    if isinstance(value, dict):
        assert manifest.canonical_json(dict(reversed(value.items()))) == data


@given(st.dictionaries(st.sampled_from(manifest.FILES), st.from_regex(r"[0-9a-f]{64}", fullmatch=True)))
def test_the_digest_is_that_of_model_signature_and_golden_rows(hashes):
    """Metadata and reference do not count; everything else does."""
    digest = manifest.digest_of(hashes)
    assert manifest.DIGEST.fullmatch(digest)
    assert manifest.digest_of(hashes | {manifest.METADATA: "0" * 64, manifest.REFERENCE: "1" * 64}) == digest
    for name in set(hashes) & set(manifest.DIGESTED):
        assert manifest.digest_of(hashes | {name: "f" * 63 + ("0" if hashes[name][-1] != "0" else "1")}) != digest


def test_the_folder_does_not_matter(logistic, tmp_path: Path):
    """Written over the rest of an unfinished attempt, it is the same package."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / manifest.ONNX).write_bytes(b"half")
    (tmp_path / "a" / manifest.MANIFEST).write_bytes(b"{}")
    one = logistic.package(tmp_path / "a")
    assert one.digest == logistic.package(tmp_path / "b").digest
    assert manifest.verify(tmp_path / "a")[0] == one.digest

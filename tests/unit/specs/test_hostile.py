"""Files made to hurt: a clear error, bounded memory, and never an exception."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.loading import MAX_BYTES, load
from tests.unit.specs.strategies import json_values

BILLION_LAUGHS = "\n".join(
    ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)
MACHINE = "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {name: a%s}\nspec: {local: {}}\n"
HOSTILE: dict[str, Any] = {
    "a billion laughs": BILLION_LAUGHS,
    "a billion laughs by merge": "\n".join(
        ["m0: &m0 {k: v}"] + [f"m{n}: &m{n} {{a: *m{n - 1}, b: *m{n - 1}, c: *m{n - 1}}}" for n in range(1, 30)]
    ),
    "long text by alias": "a: &a " + "x" * 1_000_000 + "\nb: [" + ",".join(["*a"] * 1000) + "]",
    "long keys by alias": "a: &a {" + "k" * 1000 + ": 1}\nb: [" + ",".join(["*a"] * 20_000) + "]",
    "50 MB": "x" * 50_000_000,
    "50 MB of bytes": b"a: 1\n" * 10_000_000,
    "10,000 levels, flow": "[" * 10_000,
    "10,000 levels, flow maps": '{"a":' * 10_000,
    "10,000 levels, block": "- " * 10_000,
    "10,000 levels, block maps": "\n".join(" " * n + "a:" for n in range(2_000)),
    "100,000 labels": MACHINE.replace("{name: a%s}", "{name: a, labels: {" + ",".join(f"l{n}: v" for n in range(100_000)) + "}}"),
    "20,000 labels": MACHINE.replace("{name: a%s}", "{name: a, labels: {" + ",".join(f"l{n}: v" for n in range(20_000)) + "}}"),
    "a million items": "- a\n" * 1_000_000,
    "a million duplicate keys": "a:\n" * 1_000_000,
    "a million documents": "---\n- a\n" * 500_000,
    "a million broken documents": "---\n'a\n" * 500_000,
    "many anchors": "\n".join(f"a{n}: &a{n} x" for n in range(100_000)),
    "a long key": "a" * 4_000_000 + ": 1",
    "a long number": "a: " + "9" * 4_000_000,
    "a long plain text": "kind: " + "a" * 4_000_000,
    "many objects": "---\n".join(MACHINE % n for n in range(9_000)),
    "too many objects": "---\n".join(MACHINE % n for n in range(10_001)),
    "a dense map": "{" + ",".join(f"k{n}: v" for n in range(340_000)) + "}",
    "dense config maps": "---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{n}}}\ndata: {{" + ",".join(f"k{m}: v" for m in range(1000)) + "}\n"
        for n in range(300)
    ),
    "escapes": '"' + "\\U0001F600" * 300_000 + '"',
    "unknown tags": "\n".join(f"a{n}: !t{n} x" for n in range(100_000)),
}
FINE = {"many objects"}
LIMIT_MB = 50


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in FINE])
def test_it_is_refused_quickly(name: str) -> None:
    """A clear error, few of them, within a second or two."""
    started = time.process_time()
    loaded = load(HOSTILE[name], name="a.yaml")
    assert time.process_time() - started < 4
    assert 1 <= len(loaded.errors) <= 100
    assert all(len(str(error)) < 1000 for error in loaded.errors)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a billion laughs", "aliases expanded"),
        ("a billion laughs by merge", "aliases expanded"),
        ("long text by alias", "expand to more than 4 MiB"),
        ("long keys by alias", "expand to more than 4 MiB"),
        ("50 MB", "longer than 4 MiB"),
        ("10,000 levels, flow", "deeper than 64 levels"),
        ("10,000 levels, block maps", "deeper than 64 levels"),
        ("100,000 labels", "more than 100,000 values in one document"),
        ("20,000 labels", "at most 64 entries"),
        ("dense config maps", "more than 300,000 values in one file"),
        ("too many objects", "more than 10,000 documents"),
    ],
)
def test_the_error_says_which_limit_it_was(name: str, message: str) -> None:
    """Whoever wrote the file by accident learns what was too much."""
    assert message in load(HOSTILE[name], name="a.yaml").errors[-1].message


def test_many_objects_are_read() -> None:
    """The limits are far from what an honest file needs: thousands of objects in one file are fine."""
    loaded = load(HOSTILE["many objects"], name="a.yaml")
    assert not loaded.errors
    assert len(loaded.documents) == 9_000


def test_not_every_broken_document_is_told() -> None:
    """After a score of syntax errors the file is broken enough."""
    assert len(load(HOSTILE["a million broken documents"], name="a.yaml").errors) == 20


def test_a_file_of_the_largest_size_is_read() -> None:
    """The limit is the limit: 4 MiB are read, one byte more is not."""
    head = MACHINE % 0
    full = head + "#" * (MAX_BYTES - len(head))
    assert len(load(full, name="a.yaml").documents) == 1
    assert "longer than 4 MiB" in load(full + "#", name="a.yaml").errors[0].message


MEASURE = """
import json, os, sys
from specs.loading import load
from tests.unit.specs.test_hostile import HOSTILE
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
out = {}
load("a: [1]", name="a.yaml")
for name, text in HOSTILE.items():
    read, write = os.pipe()
    if not os.fork():
        open("/proc/self/clear_refs", "w").write("5")
        before = peak()
        loaded = load(text, name="a.yaml")
        os.write(write, str((peak() - before) / 1024).encode())
        os._exit(0)
    os.wait()
    out[name] = float(os.read(read, 100))
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def growth() -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_is_bounded(name: str, growth: dict[str, float]) -> None:
    """No file makes the process grow by 50 MB while it is read."""
    assert growth[name] < LIMIT_MB


@given(st.binary(max_size=400) | st.text(max_size=400))
def test_no_bytes_raise(raw: bytes | str) -> None:
    """Whatever the bytes are, there is an answer."""
    loaded = load(raw, name="a.yaml")
    assert loaded.errors or not loaded.documents


@given(
    st.lists(
        st.sampled_from([*list("{}[]:,-&*!|>'\"%@`#?\n\t \\0a~<="), "---\n", "&a", "*a", "!!str", "<<: ", "kind: Machine\n"])
    )
)
def test_no_yaml_raises(pieces: list[str]) -> None:
    """Whatever YAML's own signs are put together to, there is an answer."""
    loaded = load("".join(pieces), name="a.yaml")
    assert loaded.errors or not loaded.documents


@given(st.text("{}[]:,-&*!|>'\"\n a", max_size=20), st.integers(0, 80))
def test_no_broken_spec_raises(noise: str, at: int) -> None:
    """A spec with anything typed into it anywhere is right or refused."""
    text = MACHINE % 1
    loaded = load(text[:at] + noise + text[at:], name="a.yaml")
    assert len(loaded.documents) + len(loaded.errors) >= 0
    for document in loaded.documents:
        assert document.kind == "Machine"


@given(json_values, json_values, json_values)
def test_no_object_raises(metadata: Any, spec: Any, more: Any) -> None:
    """Whatever stands for metadata and spec, there is an answer."""
    for kind in ("Machine", "Secret", "ConfigMap", "Namespace", "List"):
        version = "anneal.dev/v1alpha1" if kind == "Machine" else "v1"
        obj = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "items": [more], "data": more}
        load(json.dumps(obj), name="a.json")

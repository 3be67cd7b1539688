"""Reading specs: what comes out, and what is said of what is wrong."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from specs.loading import SpecError, dump, load
from specs.machine import Machine
from specs.problems import problems, summary
from specs.scalars import Refused, resolve
from specs.yamltext import documents
from tests.unit.specs.strategies import config_maps, json_values, machines

MACHINE = "apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {name: a}\nspec: {local: {}}\n"


def read(text: str, name: str = "a.yaml") -> Any:
    return load(dedent(text), name=name)


def only_error(text: str, name: str = "a.yaml") -> SpecError:
    loaded = read(text, name)
    assert len(loaded.errors) == 1, [str(error) for error in loaded.errors]
    return loaded.errors[0]


def test_an_error_reads_as_documented() -> None:
    """File, line, column, object and path on the first line; what was expected; what happens until it is fixed."""
    error = only_error(
        """\
        apiVersion: anneal.dev/v1alpha1
        kind: Machine
        metadata:
          name: worker-1
        spec:
          simulated:
            endpoint: http://127.0.0.1:9
            flavour: big
        """,
        "specs/prod/workers.yaml",
    )
    assert str(error) == dedent("""\
        specs/prod/workers.yaml:8:5  Machine/worker-1  spec.simulated.flavour
          unknown field "flavour": did you mean "flavor"?
          What runs now keeps running; fix the line and save the file.""")


def test_all_documents_of_a_file_are_read() -> None:
    """Several documents, empty ones and comments between them, CRLF and a byte order mark."""
    text = "\ufeff# head\n---\n---\n" + MACHINE + "---\n# nothing\n---\n" + MACHINE.replace("{name: a}", "{name: b}")
    loaded = load(text.replace("\n", "\r\n").encode(), name="a.yaml")
    assert not loaded.errors
    assert [(d.kind, d.name, d.namespace, d.line) for d in loaded.documents] == [
        ("Machine", "a", "default", 4),
        ("Machine", "b", "default", 11),
    ]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "---\n---\n...\n"], ids=repr)
def test_an_empty_file_is_fine(text: str) -> None:
    """A file without objects holds none, and nothing is wrong with it."""
    loaded = load(text, name="a.yaml")
    assert (loaded.documents, loaded.errors) == ([], [])


def test_json_is_read() -> None:
    """JSON with tabs, escaped slashes and surrogate pairs, as `json.dumps` writes it."""
    text = '{\n\t"apiVersion": "v1",\t"kind": "ConfigMap",\n\t"metadata": {"name": "a"}, "data": {"x": "\\/\\ud83d\\ude00"}}'
    loaded = load(text, name="a.json")
    assert not loaded.errors
    assert loaded.documents[0].object["data"] == {"x": "/😀"}


def test_a_list_is_unpacked() -> None:
    """The items of a v1 List are objects like any other, and errors point into them."""
    error_line = "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {x: 1}}"
    good = "- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
    loaded = read(f"apiVersion: v1\nkind: List\nitems:\n{good}\n{error_line}\n")
    assert [document.name for document in loaded.documents] == ["a"]
    assert [(e.line, e.column, e.object, e.path) for e in loaded.errors] == [(5, 65, "ConfigMap/b", "data.x")]


def test_the_namespace_is_filled_in_and_nothing_else() -> None:
    """The object is what was written, with the namespace that was asked for where it says none."""
    loaded = load(MACHINE, name="a.yaml", namespace="ml")
    assert loaded.documents[0].object == {
        "apiVersion": "anneal.dev/v1alpha1", "kind": "Machine",
        "metadata": {"name": "a", "namespace": "ml"}, "spec": {"local": {}},
    }  # fmt: skip
    cluster_wide = load("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}", name="a.yaml")
    assert cluster_wide.documents[0].namespace is None


def test_all_errors_of_a_file_are_told() -> None:
    """A wrong document hides neither the next one's errors nor the good ones; a syntax error ends at the next `---`."""
    loaded = read("a: b: c\n---\n" + MACHINE + "---\nkind: Machne\n---\nx: 'y\n---\n- 1\n")
    assert [error.line for error in loaded.errors] == [1, 8, 11, 12]
    assert [document.line for document in loaded.documents] == [3]


@pytest.mark.parametrize(
    ("line", "path", "message"),
    [
        ("spec: {local: {}, managmentPolicy: managed}", "spec.managmentPolicy", 'did you mean "managementPolicy"?'),
        ("spec: {local: {}, flavor: x}", "spec.flavor", "it belongs to spec.simulated"),
        ("spec: {local: {flavor: x}}", "spec.local.flavor", "it belongs to spec.simulated"),
        ("spec: {local: {}, managementPolicy: manged}", "spec.managementPolicy", 'did you mean "managed"?'),
        ("spec: {local: {}, remediation: {maxRetry: 99}}", "spec.remediation.maxRetry", "a number from 0 to 10, not 99"),
        ("spec: {local: {}, remediation: {maxRetry: 1.0e3}}", "spec.remediation.maxRetry", "a whole number"),
        ("spec: {local: {}, remediation: }", "spec.remediation", "an object, not null"),
        ("spec: {simulated: {endpoint: 'http://a', floatingIP: yes}}", "spec.simulated.floatingIP", "write true"),
        ("spec: {simulated: {endpoint: 'http://a', floatingIP: off}}", "spec.simulated.floatingIP", "write false"),
        ("spec: {simulated: {endpoint: 'http://a', image: 1.10}}", "spec.simulated.image", "put it in quotes"),
        ("spec: {simulated: {endpoint: 'http://a', image: 0777}}", "spec.simulated.image", "leading zero"),
        ("spec: {simulated: {endpoint: 'http://a', ports: [{}]}}", "spec.simulated.ports[0]", '"network" is required'),
        ("spec: {local: {}, simulated: {endpoint: 'http://a'}}", "spec", "exactly one provider"),
        ("spec: {local: {}, managementPolicy: unmanaged}", "spec.managementPolicy", "provider local cannot honour it"),
        ("spec: {local: {}}\nstatus: {parts: []}", "status", "status is written by anneal"),
        ("spec: {local: {}}\nspec: {local: {}}", "spec", "stands in line 4 already"),
        ("spec: {local: {}, remediation: {maxRetry: .nan}}", "spec.remediation.maxRetry", "NaN"),
        ("spec: {local: {}, remediation: {maxRetry: -.inf}}", "spec.remediation.maxRetry", "infinity"),
        ("spec: {local: {}, remediation: {maxRetry: 1e999}}", "spec.remediation.maxRetry", "too large"),
        ("spec: {local: {}, remediation: {maxRetry: 99999999999999999999}}", "spec.remediation.maxRetry", "64 bits"),
        ("spec: !!python/object/apply:os.system [ls]", "spec", "unknown tag"),
        ("spec: {local: {}, managementPolicy: !env POLICY}", "spec.managementPolicy", "unknown tag"),
    ],
    ids=lambda value: value if "spec" in value and ":" in value else "",
)
def test_what_is_wrong_is_said(line: str, path: str, message: str) -> None:
    """Each error names the path and says what was expected or meant."""
    error = only_error(f"apiVersion: anneal.dev/v1alpha1\nkind: Machine\nmetadata: {{name: a}}\n{line}\n")
    assert error.path == path
    assert message in error.message


@pytest.mark.parametrize(
    "metadata",
    [
        "{name: ../../etc/passwd}", "{name: 'аdmin'}", "{name: A}", "{name: ''}", "{name: 'a\\b'}", "{name: 'a b'}",
        f"{{name: {'a' * 64}}}", "{name: 5}", "{}", "[]", "{name: a, namespace: ..}", "{name: a, labels: {'a b': c}}",
        "{name: a, labels: {a: 'b c'}}", f"{{name: a, labels: {{a: {'b' * 64}}}}}", "{name: a, uid: x}",
        "{name: a, resourceVersion: '1'}", "{name: a, annotations: {a: 1}}", "{name: a, lables: {}}",
    ],
)  # fmt: skip
def test_metadata_that_is_wrong_is_refused(metadata: str) -> None:
    """Names that climb, look alike or cannot be a host's name; labels that select nothing; what only the server sets."""
    loaded = read(MACHINE.replace("{name: a}", metadata))
    assert loaded.errors
    assert not loaded.documents
    assert all(error.path.startswith("metadata") for error in loaded.errors)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Machine\nkind: Machine", "duplicate key"),
        ("hello", "expected an object"),
        ("- 1", "expected an object"),
        ("a: 1", '"kind" is required'),
        ("kind: {}", '"kind" is required'),
        ("apiVersion: anneal.dev/v1\nkind: Machine", "expected anneal.dev/v1alpha1"),
        ("kind: Machin", 'did you mean "Machine"?'),
        ("kind: Zebra", "known are Machine, MachineSet, Dataset"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}", "in no namespace"),
        (MACHINE + "---\n" + MACHINE, "stands in line 1 of this file already"),
        ("a: [1, 2", "cannot read this as YAML"),
        ("a:\n\tb: 1", "use spaces"),
        ("a: \x07", "control character"),
        ("a: \0", "NUL"),
        ("? [a]\n: 1", "a key must be text"),
        ("a: *b", "unknown anchor"),
        ("a: &b [*b]", "unknown anchor"),
        ("a: &b {<<: *b}", "unknown anchor"),
        ("<<: 5", "<< merges a mapping"),
    ],
)
def test_a_document_that_is_wrong_is_refused(text: str, message: str) -> None:
    """What is no object of a known kind is said to be none, with what was probably meant."""
    error = only_error(text)
    assert message in error.message
    assert "python" not in str(error).lower()


@pytest.mark.parametrize(
    "raw",
    [b"a: \xff", b"\xff\xfea\x00:\x001\x00", "a: 1".encode("utf-16"), "a: é".encode("latin-1"), b"\xc0\x80", b"\xed\xa0\x80"],
    ids=repr,
)
def test_what_is_not_utf8_is_refused(raw: bytes) -> None:
    """Another encoding is an error with its place, not a guess."""
    loaded = load(b"# one line\n" + raw if raw[:1] == b"a" else raw, name="a.yaml")
    assert len(loaded.errors) == 1
    assert "UTF-8" in loaded.errors[0].message
    assert loaded.errors[0].line == (2 if raw[:1] == b"a" else 1)


SECRET = "hunter2-hunter2!"


@pytest.mark.parametrize(
    "text",
    [
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata: {{x: '{SECRET}'}}",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata: '{SECRET}'",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{x: ['{SECRET}']}}",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{x: 5, y: '{SECRET}', y: '{SECRET}'}}",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{x: !foo '{SECRET}'}}",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{x: '{SECRET}\n---\n",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nimmutable: '{SECRET}'",
        MACHINE.replace("{local: {}}", f"{{simulated: {{endpoint: 'http://a', credentialsRef: {{env: '{SECRET}'}}}}}}"),
        MACHINE.replace("{local: {}}", f"{{simulated: {{endpoint: 'http://a', credentialsRef: {{token: '{SECRET}'}}}}}}"),
        MACHINE.replace("{local: {}}", f"{{local: {{}}, password: '{SECRET}'}}"),
        MACHINE.replace("{local: {}}", f"{{local: {{}}, remediation: {{maxRetry: '{SECRET}', password: 1}}}}")
               .replace("maxRetry", "authToken"),
        MACHINE.replace("{local: {}}", f"{{simulated: {{endpoint: 'http://me:{SECRET}@a'}}}}"),
    ],
)  # fmt: skip
def test_no_error_repeats_a_secret(text: str) -> None:
    """The values of a Secret, and whatever stands where a credential might, are in no error."""
    errors = load(text, name="a.yaml").errors
    assert errors
    assert SECRET not in "\n".join(map(str, errors))


def test_a_wrong_value_is_shown_unless_it_may_be_a_secret() -> None:
    """A short wrong value helps to find the mistake; one of a Secret is not shown wherever it stands."""
    obj = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": "a"}}
    obj["spec"] = {"local": {}, "managementPolicy": SECRET}
    assert SECRET in problems(Machine, obj)[0].message
    assert SECRET not in problems(Machine, obj, secret=True)[0].message


def test_a_summary_is_one_line_about_the_first_thing() -> None:
    """What the status of a stored object says that does not validate any more: the field, what was expected, how much more."""
    obj = {"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": "a"}, "spec": {"local": {}}}
    obj["spec"] = {"simulated": {"endpoint": "http://me:pw@a", "flavor": "a b"}}
    said = summary(Machine, obj)
    assert said.startswith("spec.simulated.endpoint: expected a URL with http or https, without credentials")
    assert said.endswith("(and 1 more)")


def test_an_error_about_a_key_points_at_the_key() -> None:
    """A key of a map that is wrong is named by its path, like a value."""
    error = only_error(MACHINE.replace("{name: a}", "{name: a, labels: {a b: c}}"))
    assert (error.path, error.column) == ("metadata.labels.a b", 30)
    assert error.message.startswith("the key: expected")


def test_a_long_value_is_cut() -> None:
    """An error stays readable, whatever was written."""
    error = only_error(MACHINE.replace("{local: {}}", f"{{local: {{}}, managementPolicy: {'x' * 10_000}}}"))
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("OFF", "OFF"), ("y", "y"), ("true", True), ("False", False), ("null", None),
        ("~", None), ("2024-01-01", "2024-01-01"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
        ("12:30:45", "12:30:45"), ("1_000", "1_000"), ("0b11", "0b11"), ("0o17", 15), ("0x1F", 31), ("12", 12), ("-3", -3),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1.2.3", "1.2.3"), ("-", "-"), ("0", 0), ("1Gi", "1Gi"),
        ("9" * 18, 10**18 - 1),
    ],
)  # fmt: skip
def test_what_a_scalar_means(text: str, value: Any) -> None:
    """YAML 1.2: no Norway, no sexagesimal clocks, no dates."""
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_keys_are_text() -> None:
    """`on: x`, `1: x` and `null: x` have the keys that were written."""
    (parsed,) = documents("on: a\n1: b\nnull: c\n2024-01-01: d\n")
    assert list(parsed.value) == ["on", "1", "null", "2024-01-01"]


def test_merge_keys_merge() -> None:
    """`<<` fills in what is not written; the first of several wins."""
    (parsed,) = documents("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n")
    assert parsed.value["c"] == {"x": 3, "y": 1, "z": 2}


@given(st.lists(json_values.filter(lambda value: value is not None), max_size=3))
def test_dump_and_read_is_the_identity(values: list[Any]) -> None:
    """Whatever JSON can say is the same after writing and reading it."""
    assert [parsed.value for parsed in documents(dump(values))] == values


@given(st.lists(machines | config_maps, max_size=4, unique_by=lambda obj: (obj["kind"], obj["metadata"]["name"])))
def test_load_after_dump_is_the_identity(objects: list[dict[str, Any]]) -> None:
    """load(dump(objects)) gives the objects, and no error."""
    loaded = load(dump(objects), name="a.yaml")
    assert not [str(error) for error in loaded.errors]
    assert [document.object for document in loaded.documents] == objects


@given(json_values)
def test_others_read_what_we_write(value: Any) -> None:
    """A YAML 1.1 reader such as kubectl's gets the same values."""
    assert yaml.load(dump([value]), Loader=yaml.CSafeLoader) == value


@given(st.text(max_size=30))
def test_no_scalar_breaks_resolve(text: str) -> None:
    """Any text has a meaning, or a reason why not, that JSON can carry."""
    value = resolve(text)
    assert value is None or isinstance(value, bool | int | float | str | Refused)
    if isinstance(value, int):
        assert -(2**63) <= value < 2**63

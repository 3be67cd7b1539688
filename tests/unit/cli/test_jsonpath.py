"""JSONPath templates print what kubectl prints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import jsonpath

# The object of https://kubernetes.io/docs/reference/kubectl/jsonpath/
DOC: dict[str, Any] = {
    "kind": "List",
    "items": [
        {"kind": "None", "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "127.0.0.1"}},
         "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]}},
        {"kind": "None", "metadata": {"name": "127.0.0.2"},
         "status": {"capacity": {"cpu": "8"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.2"},
                                                              {"type": "another", "address": "127.0.0.3"}]}},
    ],
    "users": [{"name": "myself", "user": {}}, {"name": "e2e", "user": {"username": "admin", "password": "secret"}}],
    "count": 3, "on": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        pytest.param("kind is {.kind}", "kind is List", id="text"),
        pytest.param("{.kind}", "List", id="field"),
        pytest.param("{['kind']}", "List", id="quoted"),
        pytest.param("{..name}", "127.0.0.1 127.0.0.2 myself e2e", id="recursive"),
        pytest.param("{.items[*].metadata.name}", "127.0.0.1 127.0.0.2", id="wildcard"),
        pytest.param("{.items[0].metadata.name}", "127.0.0.1", id="first"),
        pytest.param("{.items[-1].metadata.name}", "127.0.0.2", id="last"),
        pytest.param("{.items[0:1].metadata.name}", "127.0.0.1", id="slice"),
        pytest.param("{.items[:].metadata.name}", "127.0.0.1 127.0.0.2", id="whole-slice"),
        pytest.param("{.items[9].metadata.name}", "", id="beyond"),
        pytest.param("{.nothing.here}", "", id="missing"),
        pytest.param('{.users[?(@.name=="e2e")].user.password}', "secret", id="filter"),
        pytest.param('{.users[?(@.name!="e2e")].name}', "myself", id="filter-not"),
        pytest.param("{.users[?(@.user.password)].name}", "e2e", id="filter-exists"),
        pytest.param("{.items[0].metadata.labels.kubernetes\\.io/hostname}", "127.0.0.1", id="escaped-dot"),
        pytest.param("{range .items[*]}[{.kind}]{end}", "[None][None]", id="range"),
        pytest.param('{range .items[*]}{.kind}{"\\t"}{.kind}{"\\n"}{end}', "None\tNone\nNone\tNone\n", id="literals"),
        pytest.param("{range .items[*]}{range .status.addresses[*]}{.type};{end}|{end}",
                     "LegacyHostIP;|LegacyHostIP;another;|", id="nested"),
        pytest.param("{.count} {.on} {.users[0]}", '3 true {"name":"myself","user":{}}', id="not-texts"),
        pytest.param("{.items[*].status.capacity}", '{"cpu":"4"} {"cpu":"8"}', id="objects"),
    ],
)  # fmt: skip
def test_a_template_prints_what_kubectl_prints(template: str, printed: str) -> None:
    """Every construct of kubectl's page on JSONPath that is offered gives the page's own answer."""
    assert jsonpath.run_template(jsonpath.compile_template(template), DOC) == printed


@pytest.mark.parametrize("template", ["{.a", "{range .a}x", "{end}", "{.a[}", "{.a[?(@.b~2)]", "{.a[::0]}", "{.a b}"])
def test_a_template_that_makes_no_sense_is_refused(template: str) -> None:
    """Nonsense is an error of its own type, never a traceback and never an empty line."""
    with pytest.raises(jsonpath.JsonPathError):
        jsonpath.compile_template(template)


@given(st.text(alphabet="{}[].*?@()=\"'\\ab0:-1 \n", max_size=30))
def test_any_text_is_read_or_refused(template: str) -> None:
    """Whatever is typed, the answer is a text or a JsonPathError."""
    try:
        parts = jsonpath.compile_template(template)
    except jsonpath.JsonPathError:
        return
    assert isinstance(jsonpath.run_template(parts, DOC), str)


@pytest.mark.parametrize("text", [".metadata.name", "{.metadata.name}", "metadata.name", "$.metadata.name"])
def test_a_path_may_be_written_in_every_common_way(text: str) -> None:
    """--sort-by and custom-columns take a path with or without braces, dollar and leading dot."""
    assert jsonpath.find(jsonpath.compile_path(text), {"metadata": {"name": "x"}}) == ["x"]

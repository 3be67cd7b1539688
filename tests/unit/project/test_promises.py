"""Every promise of the README is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def promised() -> list[str]:
    section = (ROOT / "README.md").read_text("utf-8").split("\n## Promises\n")[1].split("\n## ")[0]
    return re.findall(r"^\* (.*)$", section, re.MULTILINE)


def held() -> dict[str, list[str]]:
    rows = re.findall(r"^\| (.*) \| (.*) \|$", (ROOT / "docs/promises.md").read_text("utf-8"), re.MULTILINE)
    return {promise: re.findall(r"`(tests/[^`]*)`", tests) for promise, tests in rows if promise != "promise"}


def test_every_promise_is_mapped() -> None:
    """docs/promises.md has the README's promises, in their order, and no others."""
    assert promised()
    assert list(held()) == promised()


@pytest.mark.parametrize("promise", promised())
def test_a_promise_is_held_by_tests_that_exist(promise: str) -> None:
    """Each promise names at least one test, and each of them is there, with a docstring that says what it holds."""
    tests = held()[promise]
    assert tests
    for name in tests:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == function]
        assert found, name
        assert ast.get_docstring(found[0]), name

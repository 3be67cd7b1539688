"""anneal and the real kubectl, asked the same question."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.support.cli import Cli
from tests.support.objects import machine, make, set_ready

pytestmark = [pytest.mark.kubectl, pytest.mark.timeout(60)]

QUESTIONS = [
    (),
    ("-o", "wide"),
    ("-o", "name"),
    ("-l", "role=w"),
    ("-l", "role!=w"),
    ("--show-labels",),
    ("--no-headers",),
    ("--sort-by=.metadata.name",),
    ("--field-selector", "metadata.name=b"),
    ("-o", "jsonpath={.items[*].metadata.name}"),
    ("-o", 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}'),
    ("-o", "custom-columns=N:.metadata.name,R:.metadata.labels.role"),
]


def table(text: str) -> list[list[str]]:
    """The words of each line; ages go on while one looks."""
    return [re.sub(r"\b\d+s\b", "AGE", line).split() for line in text.splitlines()]


def kubectl(cli: Cli, *words: str) -> str:
    env = os.environ | {"KUBECONFIG": str(cli.home / "kubeconfig")}
    return subprocess.run(["kubectl", *words], env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("words", QUESTIONS, ids=" ".join)
def test_get_prints_what_kubectl_prints(served: Cli, ns: str, words: tuple[str, ...]) -> None:
    """For the same question, the same words in the same columns; where kubectl leaves a blank, anneal says <none>."""
    make(served, ns, machine("a", role="w"), machine("b"))
    for name in "ab":
        set_ready(served, ns, name, "True", "fine")
    mine, theirs = served("get", "machines", "-n", ns, *words).out, kubectl(served, "get", "machines", "-n", ns, *words)
    if "wide" in words:
        mine = mine.replace("<none>", "")
    assert table(mine) == table(theirs)

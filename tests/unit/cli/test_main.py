"""The front door: help, verbs, suggestions, and what it must not load."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from reconciler.cli.errors import UsageError
from reconciler.cli.main import VERBS, dispatch, help_text
from specs.kinds import KINDS

SLOW = ("argparse", "ssl", "yaml", "rich", "pydantic", "json", "asyncio", "specs.meta")


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`."""
    script = f"import sys; sys.argv=['anneal']\n{code}\nsys.stdout.write('\\n' + ' '.join(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    return set(out.stdout.splitlines()[-1].split())


def test_help_names_every_verb_and_loads_nothing_slow() -> None:
    """`anneal --help` is static text: none of the libraries that cost time is imported."""
    assert all(f"  {verb} " in help_text() for verb in VERBS)
    assert not loaded_by("from reconciler.cli.main import dispatch; dispatch(['--help'])") & set(SLOW)


def test_get_loads_no_model_and_no_yaml() -> None:
    """The path of `anneal get` stays lean: no pydantic, no yaml, no rich, no http.client, no asyncio."""
    unwanted = {
        "pydantic",
        "yaml",
        "rich",
        "http.client",
        "asyncio",
        "orjson",
        "dataclasses",
        "datetime",
        "pathlib",
        "specs.meta",
    }
    assert not loaded_by("import reconciler.cli.verbs.get as g; g.parser().parse(['machines'])") & unwanted


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`anneal VERB --help` says what it does, shows examples that begin with anneal, and exits 0."""
    with pytest.raises(SystemExit) as end:
        dispatch([verb, "--help"])
    assert not end.value.code
    text = capsys.readouterr().out
    assert VERBS[verb] in text
    assert f"anneal {verb}" in text.split("examples:")[1]


@pytest.mark.parametrize(
    ("argv", "says"),
    [(["gte"], "did you mean `anneal get`"), (["create"], "anneal apply -f"), (["xyzzy"], "anneal --help"),
     (["get", "--sort-bi", "x"], "did you mean --sort-by"), (["get", "-o", "yml", "x"], "did you mean yaml"),
     (["-n", "x"], "no verb"), (["version", "a", "b"], "one argument too many"), (["logs", "--tail", "many"], "--tail"),
     (["completion", "tcsh"], "bash, zsh or fish"), (["wait", "--timeout", "soon", "--all"], "no duration"),
     (["wait", "--all", "--for", "redy"], "write condition=Ready"), (["apply"], "-f"), (["explain"], "name a kind")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_a_command_that_is_not_understood_says_what_was_meant(argv: list[str], says: str) -> None:
    """Exit code 64 and a way on, before anything is asked of a server."""
    with pytest.raises(UsageError) as error:
        dispatch(argv)
    assert says in str(error.value)
    assert error.value.code == 64


def test_kinds_known_by_heart_are_the_kinds_there_are() -> None:
    """What the command line knows without asking is what the specs say."""
    known = {kind.kind: kind for kind in import_module("reconciler.cli.kinds").KNOWN if kind.group}
    for kind in KINDS:
        names, ours = kind.names, known[kind.names.kind]
        assert (ours.plural, ours.singular, ours.short, ours.namespaced) == (
            names.plural,
            names.singular,
            names.short,
            names.namespaced,
        )


def test_flags_before_the_verb_count_as_flags_of_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """`anneal -n x VERB` and `anneal VERB -n x` are the same, as with kubectl."""
    assert dispatch(["--kubeconfig", "/nowhere", "version", "--client"]) == 0
    assert "client" in capsys.readouterr().out

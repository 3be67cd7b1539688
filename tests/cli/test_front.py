"""Completion, and what every verb says when there is no daemon or no trust."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.cli import ANNEAL, Cli
from tests.support.objects import machine, make

pytestmark = pytest.mark.timeout(60)


def test_completion_knows_verbs_flags_kinds_and_names(served: Cli, ns: str) -> None:
    """What the shell is offered, word by word."""
    make(served, ns, machine("worker-1"), machine("worker-2"))
    assert served("__complete", "ge").lines == ["get"]
    assert "--sort-by" in served("__complete", "get", "--so").lines
    assert "machines" in served("__complete", "get", "mach").lines
    assert served("__complete", "get", "-n", ns, "machines", "wo").lines == ["worker-1", "worker-2"]
    assert served("__complete", "describe", "-n", ns, "machine/wor").lines == ["machine/worker-1", "machine/worker-2"]
    assert served("__complete", "delete", "--cascade", "f").lines == ["foreground"]
    assert served("__complete", "apply", "-f", "").lines == [":files"]
    assert served("__complete", "nonsense", "x").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_anneal(installed: Cli, shell: str) -> None:
    """Each script asks `anneal __complete`; where the shell is there, it reads the script without complaint."""
    script = installed("completion", shell).out
    assert "anneal __complete" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False).stderr == ""


def test_bash_completes_with_the_script(installed: Cli) -> None:
    """The script as a person sources it, and a Tab."""
    env = installed.environment()
    script = installed("completion", "bash").out
    env["PATH"] = f"{ANNEAL.parent}:{env['PATH']}"
    tab = 'COMP_WORDS=(anneal des); COMP_CWORD=1; _anneal; printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash"], input=f"{script}\n{tab}", text=True, capture_output=True, check=False, env=env)
    assert done.stdout == "describe\n", done.stderr


def test_crds_and_explain_need_no_daemon(installed: Cli) -> None:
    """What the definitions say can be read anywhere."""
    kinds = [found["spec"]["names"]["kind"] for found in yaml.safe_load_all(installed("crds").out)]
    assert "Machine" in kinds
    assert "image" in installed("explain", "machine.spec.simulated").out
    wrong = installed("explain", "machine.spec.simulatet")
    assert wrong.code == 1
    assert 'did you mean "simulated"' in wrong.err


@pytest.mark.parametrize(
    "words", [("get", "machines"), ("status",), ("plan",), ("wait", "--all"), ("apply", "-f", "-"), ("logs",)], ids=" ".join
)
def test_without_a_daemon_every_verb_says_how_to_start_one(installed: Cli, words: tuple[str, ...]) -> None:
    """Exit code 4, for a script to know; `anneal up`, for a person."""
    done = installed(*words, stdin=machine("a"))
    assert done.code == 4
    assert "anneal up" in done.err


def test_an_untrusted_server_is_not_spoken_to(served: Cli, tmp_path: Path) -> None:
    """With another CA in the kubeconfig nothing is sent, not even the token; a wrong token is a refusal, not a crash."""
    data = yaml.safe_load((served.home / "kubeconfig").read_text())
    file = tmp_path / "config"
    data["users"][0]["user"]["token"] = "wrong"
    file.write_text(json.dumps(data))
    refused = served("get", "machines", "--kubeconfig", str(file))
    assert refused.code == 1
    assert "token" in refused.err
    del data["clusters"][0]["cluster"]["certificate-authority-data"]
    file.write_text(json.dumps(data))
    untrusted = served("get", "machines", "--kubeconfig", str(file))
    assert untrusted.code == 4
    assert "cannot trust" in untrusted.err


def test_a_home_that_cannot_be_is_told(installed: Cli, tmp_path: Path) -> None:
    """A file where the home should be: one line that says what to set, no trace."""
    (tmp_path / "file").write_text("")
    done = installed("up", "-d", "--home", str(tmp_path / "file"))
    assert done.code == 1
    assert "ANNEAL_HOME" in done.err
    assert len(done.err.splitlines()) == 1

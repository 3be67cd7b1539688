"""apply, diff, delete and wait against the real API server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.cli import Cli
from tests.support.objects import machine, make, set_ready

pytestmark = pytest.mark.timeout(60)


def test_apply_creates_changes_and_leaves(served: Cli, ns: str) -> None:
    """created, configured, unchanged; a dry run stores nothing."""
    assert served("apply", "-n", ns, "-f", "-", "--dry-run", stdin=machine("a")).out == "machine/a created (server dry run)\n"
    assert served("get", "machines", "-n", ns).out == ""
    said = [served("apply", "-n", ns, "-f", "-", stdin=machine("a", **labels)).out for labels in ({}, {}, {"x": "y"}, {"x": "y"})]
    assert said == ["machine/a created\n", "machine/a unchanged\n", "machine/a configured\n", "machine/a unchanged\n"]
    assert served("get", "mch/a", "-n", ns, "-o", "json").json["metadata"]["labels"] == {"x": "y"}


def test_apply_tells_every_error_of_every_file_and_sends_nothing(served: Cli, ns: str, tmp_path: Path) -> None:
    """File, line, column, field, what was meant; nothing of a broken set is applied."""
    (tmp_path / "good.yaml").write_text(machine("good"))
    (tmp_path / "bad.yaml").write_text(
        machine("bad").replace("local:", "lokal:") + "---\nkind: Machin\napiVersion: anneal.dev/v1alpha1\n"
    )
    done = served("apply", "-n", ns, "-f", str(tmp_path))
    assert done.code == 1
    assert f"{tmp_path}/bad.yaml:" in done.err
    assert 'did you mean "local"' in done.err
    assert 'did you mean "Machine"' in done.err
    assert served("get", "machines", "-n", ns).out == ""


def test_apply_does_not_fight_for_fields(served: Cli, ns: str) -> None:
    """A field that somebody else has set is a conflict that names both ways out."""
    make(served, ns, machine("a", role="x"))
    make(served, ns, machine("a", role="theirs"), manager="somebody-else")
    done = served("apply", "-n", ns, "-f", "-", stdin=machine("a", role="mine"))
    assert done.code == 1
    assert "somebody-else" in done.err
    assert "--force-conflicts" in done.err
    assert served("apply", "-n", ns, "-f", "-", "--force-conflicts", stdin=machine("a", role="mine")).code == 0
    assert served("get", "mch/a", "-n", ns, "-o", "jsonpath={.metadata.labels.role}").out == "mine"


def test_diff_shows_what_apply_would_change(served: Cli, ns: str) -> None:
    """0 and silent for no difference, 1 and a unified diff for one, above 1 for a failure; nothing is stored."""
    make(served, ns, machine("a", role="x"))
    same = served("diff", "-n", ns, "-f", "-", stdin=machine("a", role="x"))
    assert (same.code, same.out) == (0, "")
    done = served("diff", "-n", ns, "-f", "-", stdin=machine("a", role="y"))
    assert done.code == 1
    assert "-    role: x" in done.lines
    assert "+    role: y" in done.lines
    assert served("diff", "-n", ns, "-f", "-", stdin=machine("b")).out.count("\n+") > 3
    assert served("diff", "-n", ns, "-f", "-", stdin="kind: Nothing\n").code > 1
    assert served("get", "mch/a", "-n", ns, "-o", "jsonpath={.metadata.labels.role}").out == "x"


def test_a_secret_is_never_shown(served: Cli, ns: str) -> None:
    """diff says that a value changed, describe how long it is; neither prints the old or the new one."""
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: %s, user: me}\n"
    make(served, ns, secret % "old-value")
    done = served("diff", "-n", ns, "-f", "-", stdin=secret % "new-value")
    assert done.code == 1
    assert "(changed)" in done.out
    for value in ("old-value", "new-value", "bmV3LXZhbHVl", "b2xkLXZhbHVl"):
        assert value not in done.out
        assert value not in served("describe", "secret/s", "-n", ns).out


def test_delete_waits_until_the_object_is_gone(served: Cli, ns: str) -> None:
    """A finalizer keeps it; the time runs out with exit code 124 and says what holds it; without it, it is gone."""
    held = yaml.safe_load(machine("held"))
    held["metadata"]["finalizers"] = ["test/hold"]
    make(served, ns, yaml.safe_dump(held), machine("free"))
    assert served("delete", "mch/free", "-n", ns).out == "machine/free deleted\n"
    late = served("delete", "mch/held", "-n", ns, "--timeout=1s")
    assert late.code == 124
    assert "test/hold" in late.err
    waiting = served.start("wait", "mch/held", "-n", ns, "--for=delete")
    del held["metadata"]["finalizers"]
    make(served, ns, yaml.safe_dump(held))
    out, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 0, err
    assert out in ("machine/held deleted\n", "")  # it may have been gone before the first look
    assert served("get", "machines", "-n", ns).out == ""


def test_delete_wants_to_know_what(served: Cli, ns: str) -> None:
    """A kind alone deletes nothing; labels and --all do; what a file holds goes by -f."""
    make(served, ns, machine("a", role="x"), machine("b"), machine("c"))
    assert served("delete", "machines", "-n", ns).code == 64
    served("delete", "machines", "-n", ns, "-l", "role=x")
    assert [line.split("/")[1] for line in served("get", "machines", "-n", ns, "-o", "name").lines] == ["b", "c"]
    served("delete", "-n", ns, "-f", "-", stdin=machine("b"))
    assert served("delete", "machines", "-n", ns, "--all").out == "machine/c deleted\n"
    assert served("delete", "mch/c", "-n", ns, "--ignore-not-found").code == 0


def test_wait_returns_as_soon_as_it_is_so(served: Cli, ns: str) -> None:
    """It watches: the change that is waited for ends the waiting."""
    make(served, ns, machine("a"))
    waiting = served.start("wait", "mch/a", "-n", ns, "--timeout=20s")
    set_ready(served, ns, "a", "False", "not yet")
    set_ready(served, ns, "a", "True")
    out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (0, "machine/a condition met\n"), err


def test_wait_shows_a_person_what_it_waits_for(served: Cli, ns: str) -> None:
    """On a terminal one line says how many are missing and why; it goes when they are there."""
    make(served, ns, machine("a"))
    set_ready(served, ns, "a", "False", "the cloud is building it")
    screen = served.terminal("wait", "mch/a", "-n", ns)
    screen.until("waiting for 1 (Ready=True)  machine/a  Building: the cloud is building it")
    set_ready(served, ns, "a", "True")
    screen.until("machine/a condition met")
    assert screen.end() == 0


def test_wait_says_why_when_the_time_is_up(served: Cli, ns: str) -> None:
    """Exit code 124, and the reason of each object that is not there; `--all` covers the category."""
    make(served, ns, machine("a"))
    set_ready(served, ns, "a", "False", "the cloud has no room")
    for words in (("wait", "mch/a"), ("wait", "--all"), ("wait", "machines", "--all")):
        late = served(*words, "-n", ns, "--timeout=500ms")
        assert late.code == 124
        assert "machine/a: Building: the cloud has no room" in late.err
    assert served("wait", "mch/a", "-n", ns, "--for=jsonpath={.status.parts[0].ref}=srv-1").code == 0
    assert served("wait", "machines", "-n", ns).code == 64

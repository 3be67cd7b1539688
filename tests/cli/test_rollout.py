"""`anneal rollout` and files without -f, against the API server alone: what is said, what is written, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.objects import make, send

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
DEPLOYMENT = """
apiVersion: anneal.dev/v1alpha1
kind: ModelDeployment
metadata: {name: penguins}
spec: {local: {}, predictor: {model: {fromExperiment: {name: penguins}}}}
"""


class Play:
    """One deployment, and what the daemon would have said of it."""

    def __init__(self, cli: Cli, ns: str) -> None:
        self.cli, self.ns = cli, ns
        self.path = f"/apis/anneal.dev/v1alpha1/namespaces/{ns}/modeldeployments/penguins"
        make(cli, ns, DEPLOYMENT)

    def say(self, *rows: tuple[int, str, str], ready: str = "True", **status: Any) -> None:
        """Revisions as (number, digest, state); the newest generation is spoken of, and nothing more happens."""
        generation = self.object["metadata"]["generation"]
        common = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation}
        said = [
            common | {"type": "Ready", "status": ready, "reason": "Available", "message": "http://127.0.0.1:8437, revision 2"},
            common | {"type": "Progressing", "status": "False", "reason": "Converged", "message": ""},
        ]
        revisions = [
            {"revision": number, "digest": digest, "state": state, "modelVersion": f"penguins-{digest[7:15]}", "message": "why"}
            for number, digest, state in rows
        ]
        serving = next((row["revision"] for row in revisions if row["state"] == "Serving"), None)
        body = {"status": {"conditions": said, "revisions": revisions, "revision": serving, **status}}
        send(self.cli, "PATCH", f"{self.path}/status", body, "application/merge-patch+json")

    @property
    def object(self) -> dict[str, Any]:
        """As it is stored."""
        found: dict[str, Any] = send(self.cli, "GET", self.path, None)
        return found

    @property
    def rollout(self) -> Any:
        """What stands in spec.rollout."""
        return self.object["spec"].get("rollout")

    def __call__(self, action: str, *more: str) -> Any:
        """Run `anneal rollout ACTION`."""
        return self.cli("rollout", action, "mdep/penguins", "-n", self.ns, *more)


@pytest.fixture
def play(served: Cli, ns: str) -> Play:
    return Play(served, ns)


def test_history_is_a_table_of_revisions(play: Play) -> None:
    """Number, model, state, why; before the first revision it says so."""
    first = play("history")
    assert (first.code, "No revisions yet" in first.err) == (0, True)
    play.say((1, A, "Superseded"), (2, B, "Serving"), (3, C, "Failed"))
    history = play("history")
    assert history.code == 0
    assert [line.split()[:3] for line in history.lines] == [
        ["REVISION", "MODEL", "STATE"],
        ["1", "penguins-aaaaaaaa", "Superseded"],
        ["2", "penguins-bbbbbbbb", "Serving"],
        ["3", "penguins-cccccccc", "Failed"],
    ]


def test_undo_pins_the_model_before(play: Play) -> None:
    """The last other model that was served, not one that failed; a given revision; and what there is none of is told."""
    nothing = play("undo")
    assert nothing.code == 3
    assert "no other model was served before" in nothing.err
    play.say((1, A, "Superseded"), (2, C, "Failed"), (3, B, "Superseded"), (4, C, "Serving"))
    done = play("undo")
    assert done.code == 0, done.err
    assert "revision 3" in done.out
    assert "anneal rollout resume" in done.out
    assert play.rollout["revision"] == 3
    assert play("undo", "--to-revision", "1").code == 0
    assert play.rollout["revision"] == 1
    missing = play("undo", "--to-revision", "9")
    assert missing.code == 3
    assert "anneal rollout history" in missing.err
    assert play.rollout["revision"] == 1
    assert play("resume").code == 0
    assert play.rollout is None


def test_pause_and_resume(play: Play) -> None:
    """They say what they mean; a file that is applied again leaves the pause alone."""
    paused = play("pause")
    assert (paused.code, "no other model is rolled out" in paused.out) == (0, True)
    make(play.cli, play.ns, DEPLOYMENT)
    assert play.rollout["paused"] is True
    assert play("resume").code == 0
    assert play.rollout is None


def test_promote_names_the_very_model_that_waits(play: Play) -> None:
    """Nobody waits: exit 1, and nothing is written. Somebody waits, better or not: their digest, and no pause any more."""
    play.say((1, A, "Serving"))
    refused = play("promote")
    assert (refused.code, "no model waits" in refused.err) == (1, True)
    assert play.rollout is None
    for decision in ("AwaitsPromotion", "NotBetter"):
        play("pause")
        play.say((1, A, "Serving"), challenger={"digest": B, "modelVersion": "penguins-bbbbbbbb", "decision": decision})
        done = play("promote")
        assert done.code == 0, done.err
        assert "promoted penguins-bbbbbbbb" in done.out
        assert play.rollout["promote"] == B
        assert not play.rollout.get("paused")


def test_status_ends_with_what_became_of_it(play: Play) -> None:
    """0 if it is served, 1 if the newest revision failed or nothing is; without --no-watch it waits, and not for ever."""
    late = play("status", "--timeout", "0.2")
    assert late.code == 124
    assert "anneal why mdep/penguins" in late.err
    assert play("status", "--no-watch").code == 1
    play.say((1, A, "Serving"))
    good = play("status")
    assert (good.code, good.out) == (0, "http://127.0.0.1:8437, revision 2\n")
    play.say((1, A, "Serving"), (2, B, "Failed"))
    assert play("status").code == 1
    play.say((1, A, "Serving"), ready="False")
    assert play("status").code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(("rollback", "mdep/penguins"), 64, "the actions are status, history, undo"),
     (("status",), 64, "exactly one KIND/NAME"),
     (("status", "mdep/penguin"), 3, "did you mean penguins"),
     (("status", "experiment/penguins"), 64, "only a modeldeployment has rollouts"),
     (("undo", "mdep/penguins", "--to-revision", "one"), 64, "--to-revision")],
)  # fmt: skip
def test_what_is_not_understood_is_told(play: Play, words: tuple[str, ...], code: int, said: str) -> None:
    """With the words that would have been right."""
    done = play.cli("rollout", *words, "-n", play.ns)
    assert done.code == code
    assert said in done.err


def test_a_file_needs_no_flag_where_nothing_else_can_be_meant(served: Cli, ns: str, tmp_path: Path) -> None:
    """apply and diff take files as they are; where KIND/NAME is wanted, a folder is answered with what to write."""
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "a.yaml").write_text(DEPLOYMENT)
    assert served("diff", str(folder), "-n", ns).code == 1
    applied = served("apply", str(folder), "-n", ns)
    assert (applied.code, applied.out) == (0, "modeldeployment/penguins created\n")
    assert served("diff", str(folder / "a.yaml"), "-n", ns).code == 0
    deleted = served("delete", str(folder), "-n", ns)
    assert deleted.code == 64
    assert "given with -f" in deleted.err
    nothing = served("apply")
    assert nothing.code == 64
    assert "-f FILE" in nothing.err

"""The story on a Swarm: from one folder to a prediction by browser, and a corrected table that ends in a better model served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import newcomer
from tests.e2e.test_story import a_row, small, with_wrong_labels
from tests.support.load import Load
from tests.support.swarmlab import TALLY, SwarmLab
from tests.support.swarmstage import RATE, predicted_by_browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
PATIENCE = 900.0
NOWHERE = "registry.example:5000/anneal/serving@sha256:" + 64 * "0"


def here(text: str, lab: SwarmLab) -> str:
    """The example, with the managers and the images of this Swarm."""
    found = {
        '["unix:///var/run/docker.sock"]': str(lab.endpoints).replace("'", '"'),
        NOWHERE: lab.images["serving"],
        "rabbitmq:4": lab.images["rabbitmq"],
        "redis:8": lab.images["redis"],
        "haproxy:3.2": lab.images["haproxy"],
    }
    for old, new in found.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_a_finished_experiment_rolls_out_to_the_swarm_as_a_file_edit_does(tmp_path: Path, lab: SwarmLab) -> None:
    """examples/swarm, with this Swarm's names in it, is all: table, Ray, search, model, services, a click in a browser.

    Then the table is corrected: what is learned from it serves by itself, at a hundred requests a second without one failure.
    What leaves the folder leaves the Swarm.
    """
    with newcomer(tmp_path) as there:
        folder = there.example("swarm")
        spec, table = folder / "penguins.yaml", folder / "data" / "penguins.csv"
        right = table.read_bytes()
        table.write_bytes(with_wrong_labels(right))
        spec.write_text(here(small(spec.read_text()), lab))
        done = there.cli("up", "-d", str(folder))
        assert done.code == 0, done.err + done.out
        before = there.until("mdep", "penguins", lambda it: it.get("status", {}).get("revision") == 1, PATIENCE)["status"]
        there.ready()
        assert predicted_by_browser(before["url"]) in {"Adelie", "Chinstrap", "Gentoo"}

        with Load(before["url"], a_row(table), rate=RATE) as load:
            table.write_bytes(right)
            after = there.until("mdep", "penguins", lambda it: it["status"].get("revision") == 2, PATIENCE)["status"]
            parts = lambda it: {row["name"] for row in it["status"]["parts"]}  # noqa: E731
            there.until("mdep", "penguins", lambda it: "service/workers-1" not in parts(it), PATIENCE)
        TALLY.rollouts += 1
        TALLY.requests += load.answered + len(load.failures)
        TALLY.failed += len(load.failures)
        assert load.failures == []
        assert set(load.revisions) == {1, 2}
        won = after["challenger"]
        assert (won["decision"], won["digest"], won["against"]) == ("Promoted", after["digest"], before["digest"])
        assert float(won["score"]) > float(won["incumbentScore"])
        there.ready()
        assert predicted_by_browser(after["url"]) in {"Adelie", "Chinstrap", "Gentoo"}

        wanted, _, deployment = spec.read_text().rpartition("---\n")
        assert "kind: ModelDeployment" in deployment
        spec.write_text(wanted)
        gone = there.cli("wait", "mdep/penguins", "--for=delete", "--timeout=300s", seconds=330)
        assert gone.code == 0, gone.err + gone.out
    left = [row["Spec"]["Name"] for row in lab.api().services(filters={"label": ["anneal.dev/part"]})]
    assert left == []

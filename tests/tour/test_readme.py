"""The README's tour of what goes wrong, taken: the real command line, the real daemon, a cloud that logs what it was asked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.cloud import CloudProcess

ROOT = Path(__file__).resolve().parents[2]
WORKER = """\
apiVersion: anneal.dev/v1alpha1
kind: Machine
metadata:
  name: worker-1
spec:
  simulated:
    endpoint: {url}
    {field}: big
"""


@dataclass
class Tour:
    """A person with a folder, the command line and a cloud."""

    cli: Cli
    folder: Path
    cloud: CloudProcess

    def save(self, field: str = "flavor", name: str = "workers.yaml") -> Path:
        """Write the worker's file; returns it."""
        file = self.folder / name
        file.write_text(WORKER.format(url=self.cloud.url, field=field))
        return file

    def until(self, look: Callable[[], bool], seconds: float = 20) -> None:
        """Look again until it is so: the tour is seen from outside, where there is nothing to await."""
        end = time.monotonic() + seconds
        while not look():
            assert time.monotonic() < end, self.cli("get", "anneal", "-o", "yaml").out
            time.sleep(0.05)


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    """The smallest example, followed by a daemon in the background."""
    folder = tmp_path / "machine"
    shutil.copytree(ROOT / "examples" / "machine", folder)
    cli = Cli(tmp_path / "home")
    with CloudProcess(tmp_path / "cloud") as cloud:
        try:
            up = cli("up", "-d", str(folder))
            assert up.code == 0, up.err
            yield Tour(cli, folder, cloud)
        finally:
            assert cli("down").code == 0


def test_up_returns_once_every_file_was_applied(tour: Tour) -> None:
    """After `anneal up -d` the folder's machine is there, and soon it is ready."""
    got = tour.cli("get", "machines", "-o", "wide")
    assert got.lines[0].split() == ["NAME", "READY", "REASON", "STATE", "ADDRESS", "PROVIDER-ID", "AGE", "MESSAGE"]
    assert got.lines[1].split()[0] == "here"
    assert tour.cli("wait", "machine/here", "--for=condition=Ready", "--timeout=20s").code == 0
    assert tour.cli("status").code == 0


def test_a_plan_changes_nothing(tour: Tour, tmp_path: Path) -> None:
    """`anneal plan -f FILE` names the step and exits with 2; neither cloud nor API server was told to change anything."""
    planned = tmp_path / "planned.yaml"
    planned.write_text(WORKER.format(url=tour.cloud.url, field="flavor"))
    before = tour.cli("get", "machines", "-o", "name").out
    plan = tour.cli("plan", "-f", str(planned))
    assert plan.code == 2, plan.err
    assert "worker-1" in plan.out
    assert "server" in plan.out
    assert not tour.cloud.admin.log()
    assert tour.cli("get", "machines", "-o", "name").out == before


def test_a_saved_file_is_followed_to_the_cloud_and_back(tour: Tour) -> None:
    """Save a file and a server appears; change it: the server is replaced; remove it: nothing is left. No command is needed."""
    file = tour.save()
    tour.until(lambda: [server["flavor"] for server in tour.cloud.admin.servers()] == ["big"])
    file.write_text(file.read_text().replace("big", "small"))
    tour.until(lambda: [server["flavor"] for server in tour.cloud.admin.servers()] == ["small"])
    file.unlink()
    tour.until(lambda: not any(tour.cloud.admin.inventory().values()))
    tour.until(lambda: "worker-1" not in tour.cli("get", "machines").out)
    assert len(tour.cloud.admin.creates("servers")) == 2


def test_a_mistake_is_told_and_changes_nothing(tour: Tour) -> None:
    """`anneal status` prints the error as the README shows it; what ran goes on; mending the line mends it."""
    tour.save("flavour")
    tour.until(lambda: tour.cli("status").code == 1)
    assert (
        "workers.yaml:8:5  Machine/worker-1  spec.simulated.flavour\n"
        '  unknown field "flavour": did you mean "flavor"?\n'
        "  What runs now keeps running; fix the line and save the file.\n"
    ) in tour.cli("status").out
    assert tour.cli("get", "machines", "-o", "name").lines == ["machine.anneal.dev/here"]
    tour.save("flavor")
    tour.until(lambda: tour.cli("status").code == 0 and len(tour.cloud.admin.servers()) == 1)


def test_why_says_what_the_cloud_says(tour: Tour) -> None:
    """`anneal why` ends at the deepest cause in the cloud's own words, with the runbook that is there."""
    tour.cloud.admin.settings(quotas={"servers": 0})
    tour.save()
    tour.until(lambda: "QuotaExceeded" in tour.cli("get", "machines").out)
    why = tour.cli("why", "machine/worker-1")
    assert why.code == 1
    assert "quota" in why.out.lower()
    assert "docs/runbooks/QuotaExceeded.md" in why.out
    assert (ROOT / "docs/runbooks/QuotaExceeded.md").exists()


def test_explain_needs_no_daemon(tmp_path: Path) -> None:
    """`anneal explain machine.spec` prints the fields with their descriptions."""
    explained = Cli(tmp_path / "home")("explain", "machine.spec")
    assert explained.code == 0
    assert "managementPolicy" in explained.out

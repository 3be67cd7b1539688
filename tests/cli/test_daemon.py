"""up, down, status, plan, why, logs and confirm against the real daemon, as a person meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cli import Cli
from tests.support.cloud import CloudProcess
from tests.support.daemon import ROOT
from tests.support.objects import machine

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A folder with one machine."""
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "a.yaml").write_text(machine("laptop"))
    return folder


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudProcess]:
    """A simulated cloud."""
    with CloudProcess(tmp_path / "cloud") as running:
        yield running


def server(name: str, endpoint: str, **simulated: object) -> str:
    spec = {"simulated": {"endpoint": endpoint, **simulated}}
    return yaml.safe_dump({"apiVersion": "anneal.dev/v1alpha1", "kind": "Machine", "metadata": {"name": name}, "spec": spec})


def pid_of(cli: Cli) -> int:
    return int((cli.home / "run" / "daemon.pid").read_text())


def alive(pid: int) -> bool:
    """Whether it runs; one that ended and was not collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_from_a_folder_to_ready_and_back(installed: Cli, specs: Path, tmp_path: Path) -> None:
    """up -d returns once every file was applied; a second up adds its folder; down stops, twice is fine; state stays."""
    done = installed("up", "-d", str(specs))
    assert done.code == 0, done.err
    assert "Synced" in done.out
    assert installed("get", "mch/laptop", "-o", "name").out == "machine.anneal.dev/laptop\n"
    assert installed("wait", "--all", "--timeout=20s").code == 0
    first = pid_of(installed)
    more = tmp_path / "more"
    more.mkdir()
    (more / "b.yaml").write_text(machine("second"))
    again = installed("up", "-d", str(more))
    assert again.code == 0, again.err
    assert pid_of(installed) == first
    status = installed("status", "-o", "json")
    assert status.code == 0
    assert sorted(source["path"] for source in status.json["sources"]) == sorted([str(specs), str(more)])
    assert "Machine" in installed("status").out
    assert f"pid {first}" in installed("down").out
    assert not alive(first)
    assert "nothing to stop" in installed("down").out
    assert installed("status").code == 4
    assert installed("up", "-d").code == 0
    assert sorted(installed("get", "machines", "-o", "name").lines) == ["machine.anneal.dev/laptop", "machine.anneal.dev/second"]


def test_a_file_with_errors_is_told_and_everything_else_goes_on(installed: Cli, specs: Path) -> None:
    """Exit code 1, the place and what was meant; the daemon runs, the good file is applied, status is not well."""
    (specs / "bad.yaml").write_text(machine("bad").replace("local:", "lokal:"))
    done = installed("up", "-d", str(specs))
    assert done.code == 1
    assert "bad.yaml:" in done.out
    assert 'did you mean "local"' in done.out
    assert installed("get", "machines", "-o", "name").lines == ["machine.anneal.dev/laptop"]
    status = installed("status")
    assert status.code == 1
    assert "bad.yaml:" in status.out


def test_an_empty_folder_is_fine_and_a_missing_one_is_told(installed: Cli, tmp_path: Path) -> None:
    """Nothing to do is no error; a folder that is not there is one, before a daemon is started."""
    wrong = installed("up", "-d", str(tmp_path / "nowhere"))
    assert wrong.code == 3
    assert "no such folder" in wrong.err
    assert not (installed.home / "run" / "daemon.pid").exists()
    (tmp_path / "empty").mkdir()
    assert installed("up", "-d", str(tmp_path / "empty")).code == 0


def test_a_daemon_that_cannot_start_says_why(installed: Cli) -> None:
    """The reason of its end, not a timeout; nothing is left running."""
    installed.home.mkdir()
    (installed.home / "anneal.db").write_bytes(b"this is no database, whatever its name says" * 100)
    (installed.home / "anneal.db").chmod(0o600)
    done = installed("up", "-d")
    assert done.code == 1
    assert "cannot start the daemon" in done.err
    assert "database" in done.err
    assert "daemon.log" in done.err
    assert "nothing to stop" in installed("down").out


def test_a_killed_daemon_is_started_again(installed: Cli, specs: Path) -> None:
    """After kill -9 its pid is not believed any more, and up goes on from its state."""
    assert installed("up", "-d", str(specs)).code == 0
    killed = pid_of(installed)
    os.kill(killed, signal.SIGKILL)
    assert installed("up", "-d").code == 0
    assert pid_of(installed) != killed
    assert installed("get", "mch/laptop", "-o", "name").code == 0


def test_a_pid_that_belongs_to_somebody_else_is_left_alone(installed: Cli) -> None:
    """A pid file that outlived its daemon names a stranger: down does not touch it."""
    (installed.home / "run").mkdir(parents=True)
    for name in ("daemon.pid", "daemon.lock"):
        (installed.home / "run" / name).write_text(f"{os.getpid()}\n")
    assert "nothing to stop" in installed("down").out


def test_in_the_foreground_it_lives_as_long_as_the_command(installed: Cli, specs: Path) -> None:
    """A live table shows what is ready; edits appear in it; Ctrl-C stops the daemon that was started."""
    screen = installed.terminal("up", str(specs), size=(100, 30))
    screen.until("machine/laptop   True")
    pid = pid_of(installed)
    (specs / "b.yaml").write_text(machine("another"))
    screen.until("machine/another   True")
    (specs / "c.yaml").write_text("kind: Machin\n")
    screen.until("c.yaml:1:")
    screen.write("\x03")
    screen.until("Stopped the daemon")
    assert screen.end() == 0
    assert not alive(pid)


def test_who_joins_a_daemon_leaves_it_running(installed: Cli, specs: Path) -> None:
    """A second `anneal up` shows the table of the daemon that runs, says what Ctrl-C does there, and ends alone."""
    assert installed("up", "-d", str(specs)).code == 0
    pid = pid_of(installed)
    screen = installed.terminal("up", str(specs), size=(100, 30))
    screen.until("machine/laptop   True")
    screen.until("Ctrl-C leaves, the daemon goes on")
    screen.write("\x03")
    assert screen.end() == 130
    assert alive(pid)


def test_without_a_terminal_the_foreground_ends_on_sigterm(installed: Cli, specs: Path) -> None:
    """As a service or a container runs it: the log goes to stderr, SIGTERM stops the daemon too."""
    running = installed.start("up", str(specs))
    assert running.stdout is not None
    assert running.stdout.readline().startswith("SOURCE")
    pid = pid_of(installed)
    running.terminate()
    _, err = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "daemon.started" in err
    assert not alive(pid)


def test_plan_says_what_would_be_done_and_does_nothing(installed: Cli, cloud: CloudProcess, tmp_path: Path) -> None:
    """Exit 2 and the steps while something is to do; 0 when there is nothing; 1 for what is invalid; the cloud sees no write."""
    assert installed("up", "-d").code == 0
    file = tmp_path / "w.yaml"
    file.write_text(server("w-1", cloud.url, ports=[{"network": "private"}]))
    planned = installed("plan", "-f", str(file))
    assert planned.code == 2, planned.err
    assert "Machine/w-1" in planned.out
    assert "+create" in planned.out
    assert cloud.admin.log() == []
    assert installed("get", "machines").out == ""
    assert installed("apply", "-f", str(file)).code == 0
    assert installed("wait", "mch/w-1", "--timeout=30s").code == 0
    assert installed("plan", "mch/w-1").code == 0
    assert installed("plan", "-f", str(file)).code == 0
    file.write_text(server("w-1", cloud.url, ports=[{"network": "private"}], flavor="large"))
    changed = installed("plan", "-f", str(file))
    assert changed.code == 2
    assert "-delete server" in changed.out
    assert "destroys" in changed.out
    file.write_text(machine("w-1"))
    assert installed("plan", "-f", str(file)).code == 1
    assert len(cloud.admin.servers()) == 1
    assert installed("delete", "mch/w-1", "--timeout=30s").code == 0
    assert cloud.admin.servers() == []


def test_the_quickstart_can_be_planned_before_there_is_anything(installed: Cli) -> None:
    """On an empty home: what would be made, by object; what waits for another object of the same folder says for which."""
    assert installed("up", "-d").code == 0
    folder = str(ROOT / "examples" / "quickstart")
    planned = installed("plan", folder)
    assert planned.code == 2, planned.err
    assert planned.out == installed("plan", "-f", folder).out
    heads = [line for line in planned.lines if line and not line.startswith(" ")]
    assert heads == [
        "Dataset/penguins  create",
        "RayCluster/penguins  create",
        "Experiment/penguins  wait  after Dataset/penguins and RayCluster/penguins",
        "ModelDeployment/penguins  create",
        "4 objects: 3 to create, 0 to update, 0 to delete; 1 waiting.",
    ]
    assert "None" not in planned.out
    assert installed("get", "anneal").out == ""
    assert not list((installed.home / "units").iterdir())


def test_why_and_logs_lead_to_the_cause(installed: Cli, tmp_path: Path) -> None:
    """why says what failed in its own words and exits 1; describe and wait say the same; logs hold the object's lines."""
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "w.yaml").write_text(server("w-1", "http://127.0.0.1:1"))
    (folder / "a.yaml").write_text(machine("laptop"))
    assert installed("up", "-d", str(folder)).code == 0
    assert installed("wait", "mch/w-1", "--for=condition=Ready=Unknown", "--timeout=20s").code == 0
    why = installed("why", "machine/w-1")
    assert why.code == 1
    assert "ProviderUnreachable" in why.out
    assert "127.0.0.1:1" in why.out
    assert "docs/runbooks/ProviderUnreachable.md" in why.out
    assert "docs/runbooks/ProviderUnreachable.md" in installed("describe", "machine/w-1").out
    late = installed("wait", "--all", "--timeout=500ms")
    assert late.code == 124
    assert "machine/w-1: ProviderUnreachable" in late.err
    assert installed("wait", "mch/laptop", "--timeout=20s").code == 0
    assert installed("why", "machine/laptop").code == 0
    assert "laptop" in installed("logs", "machine/laptop").out
    assert "laptop" not in installed("logs", "machine/w-1").out
    assert installed("logs", "--tail", "1", "-o", "json").json["event"]


def test_a_large_removal_waits_for_a_yes(installed: Cli, specs: Path) -> None:
    """status names it and is not well; confirm lists it, asks on a terminal, and takes --yes; then it happens."""
    for i in range(6):
        (specs / f"m{i}.yaml").write_text(machine(f"m-{i}"))
    assert installed("up", "-d", str(specs)).code == 0
    for file in specs.glob("m*.yaml"):
        file.unlink()
    assert installed("wait", "mch/m-0", "--timeout=20s").code == 0
    for _ in range(100):
        status = installed("status", "-o", "json")
        if status.json["sources"][0]["state"] == "ConfirmationRequired":
            break
    assert status.code == 1
    assert "anneal confirm" in installed("status").out
    listed = installed("confirm", "--dry-run")
    assert "m-5" in listed.out
    assert installed("confirm").code == 64
    asked = installed.terminal("confirm")
    asked.until("[y/N]")
    asked.write("n\n")
    asked.until("Nothing was confirmed")
    assert asked.end() == 1
    assert len(installed("get", "machines", "-o", "name").lines) == 7
    gone = installed.start("wait", "machines", "--all", "--for=delete", "--field-selector=metadata.name!=laptop", "--timeout=20s")
    assert installed("confirm", "--yes").code == 0
    out, err = gone.communicate(timeout=30)
    assert gone.returncode == 0, out + err
    assert installed("get", "machines", "-o", "name").lines == ["machine.anneal.dev/laptop"]


def test_a_log_is_followed(installed: Cli, specs: Path) -> None:
    """logs -f goes on with what happens."""
    assert installed("up", "-d", str(specs)).code == 0
    following = installed.start("logs", "-f", "machine/late")
    assert following.stdout is not None
    (specs / "late.yaml").write_text(machine("late"))
    line = following.stdout.readline()
    following.terminate()
    following.communicate()
    assert "late" in line


def test_a_stop_is_quiet(installed: Cli, specs: Path) -> None:
    """What works is stopped before what it works with: a daemon that is told to stop logs no error and no warning."""
    assert installed("up", "-d", str(specs)).code == 0
    assert installed("down").code == 0
    lines = (installed.home / "logs" / "daemon.log").read_text().splitlines()
    assert '"daemon.stopped"' in lines[-1]
    assert [line for line in lines if '"level":"info"' not in line] == []


def test_a_folder_is_followed_no_more(installed: Cli, specs: Path, tmp_path: Path) -> None:
    """down DIR: the daemon runs on, the objects stay, what is edited there means nothing; an unknown folder is told."""
    assert installed("up", "-d", str(specs)).code == 0
    assert installed("down", str(tmp_path / "other")).code == 3
    done = installed("down", str(specs))
    assert done.code == 0, done.err
    assert "1 object stays" in done.out
    (specs / "a.yaml").unlink()
    status = installed("status", "-o", "json")
    assert (status.code, status.json["sources"]) == (0, [])
    assert installed("get", "mch/laptop", "-o", "name").code == 0


def test_what_is_paused_says_so(installed: Cli, specs: Path) -> None:
    """A paused object is not called fine because it was fine before: why and plan say that it is paused."""
    assert installed("up", "-d", str(specs)).code == 0
    assert installed("wait", "mch/laptop", "--timeout=20s").code == 0
    (specs / "a.yaml").write_text(machine("laptop").replace("metadata:", "metadata:\n  annotations: {anneal.dev/paused: 'true'}"))
    assert installed("wait", "mch/laptop", "--for=condition=Paused", "--timeout=20s").code == 0
    why = installed("why", "mch/laptop")
    assert why.code == 1
    assert "docs/runbooks/Paused.md" in why.out
    assert "Paused" in installed("plan", "mch/laptop").out


def test_status_is_answered_without_the_api_server(installed: Cli, tmp_path: Path) -> None:
    """With a Kubernetes as control plane that went away, status says so; it is the daemon's own answer."""
    there = tmp_path / "there"
    command = [sys.executable, "-m", "reconciler.api", "--home", str(there)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        assert installed("up", "-d", "--kubeconfig", str(there / "kubeconfig")).code == 0
        server.kill()
    status = installed("status")
    assert status.code == 1
    assert "the API server does not answer" in status.out

"""Fault 24: who reaches Ray runs code. So nobody reaches it from elsewhere, or without the token, and nobody sees that one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

from drivers.local import processes
from drivers.ray.local import environment
from reconciler.client import EVENTS
from tests.support import grpc
from tests.support.daemon import DaemonProcess, until
from tests.support.lab import CLUSTERS, EXPERIMENTS, TRIAL_ACTORS, Lab, command_of, home, lab, log, units

pytestmark = pytest.mark.timeout(180)

LOOPBACK = ("127.0.0.1", "::ffff:127.0.0.1", "::1")
UNAUTHENTICATED, UNIMPLEMENTED = 16, 12
CALLS = {
    "gcs": "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "jobs": "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "node": "/ray.rpc.NodeManagerService/GetNodeStats",
    "worker": "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "task": "/ray.rpc.CoreWorkerService/PushTask",
}
"""What a stranger would ask for: keys, jobs, a node's state, and to run code."""
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
EXPERIMENT = {
    "datasetRef": {"name": "penguins"}, "clusterRef": {"name": "penguins"},
    "candidates": [{
        "name": "forest", "estimator": "RandomForestClassifier",
        "parameters": [{"name": "n_estimators", "parameterType": "discrete", "feasibleSpace": {"list": [40000, 40001]}}],
    }],
    "objective": {"type": "maximize", "objectiveMetricName": "accuracy"}, "maxTrialCount": 2, "evaluation": {"folds": 2},
}  # fmt: skip
"""Its trials take longer than these tests: there are workers to knock at."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with home(tmp_path_factory.mktemp("home")) as there:
        yield there


@pytest.fixture(scope="module")
def token(daemon: DaemonProcess) -> str:
    return next(daemon.home.ray.glob("*/token")).read_text()


@pytest.fixture
async def at(daemon: DaemonProcess) -> AsyncIterator[Lab]:
    """With a trial that runs: two workers, and the job as a driver."""
    async with lab(daemon) as there:
        if not await there.client.get(EXPERIMENTS, "default", "long"):
            await there.create("Experiment", "long", **EXPERIMENT)
        folder = await there.run("long")
        await until(lambda: "event=trial.started" in log(folder), 90, lambda: log(folder)[-3000:])
        cluster = await there.ready("penguins", CLUSTERS)
        await until(lambda: there.of_ray(cluster, *TRIAL_ACTORS), 60)
        yield there


def listening(daemon: DaemonProcess) -> dict[int, str]:
    """Ports that processes of this home listen on, but for the API server: port → address."""
    found = {}
    for record in units(daemon):
        for pid in processes.leftovers(daemon.home.units / record["name"]):
            with suppress(psutil.Error):
                rows = psutil.Process(pid).net_connections(kind="inet")
                found.update({row.laddr.port: row.laddr.ip for row in rows if row.status == psutil.CONN_LISTEN})
    return found


async def test_it_listens_on_loopback_only(at: Lab) -> None:
    """GCS, raylet, object store, agents, workers and the job that talks to them: nothing is bound to any other address."""
    ports = listening(at.daemon)
    address = (await at.ready("penguins", CLUSTERS))["status"]["address"]
    assert int(address.rpartition(":")[2]) in ports
    assert len(ports) >= 6
    assert set(ports.values()) <= set(LOOPBACK)
    own = [row.address for rows in psutil.net_if_addrs().values() for row in rows if row.family == socket.AF_INET]
    for outside in set(own) - {"127.0.0.1"}:
        for port in ports:
            with pytest.raises(OSError), socket.create_connection((outside, port), timeout=2):  # noqa: PT011
                pass


async def test_who_has_no_token_gets_nothing(at: Lab, token: str) -> None:
    """On every port: no call is answered without the token or with another one, and the same call is answered with it."""
    ports = listening(at.daemon)
    answered = set()
    for port in ports:
        for name, method in CALLS.items():
            told = set()
            for header in ({}, {"authorization": "Bearer " + "0" * 64}, {"authorization": "Bearer"}):
                status, said = grpc.call(port, method, header)
                assert status in (None, UNAUTHENTICATED, UNIMPLEMENTED), f"{method} on {port} was answered: {said!r}"
                told.add(status)
            if told == {UNAUTHENTICATED} and name != "task":  # that one would be run
                status, said = grpc.call(port, method, {"authorization": f"Bearer {token}"})
                assert status == 0, said
                answered.add(name)
    assert answered == set(CALLS) - {"task"}, "the calls are not what Ray understands: the refusals prove nothing"


async def test_a_browser_gets_nothing(at: Lab) -> None:
    """A page of another site, or a name that was rebound to loopback: whatever the method, no port answers with success."""
    why = "the agent that sets up environments did not speak HTTP: the refusals prove nothing"
    await until(lambda: refusals(at.daemon) >= len(METHODS), 90, lambda: why)  # it begins after the others


def refusals(daemon: DaemonProcess) -> int:
    """Ask every port by every method, as a browser does that was led astray; how many answers there were."""
    refused = 0
    for port in listening(daemon):
        for method in METHODS:
            headers = {"Host": "evil.example", "Origin": "http://evil.example", "Content-Type": "text/plain"}
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request(method, "/get_or_create_runtime_env", body=b"", headers=headers)
                status = connection.getresponse().status
            except (OSError, HTTPException):  # gRPC does not speak to browsers
                continue
            finally:
                connection.close()
            refused += 1
            assert status in (401, 403), f"{method} on {port}: {status}"
    return refused


@pytest.mark.slow
@pytest.mark.parametrize("held", ["no token", "another token"])
async def test_a_driver_without_the_token_is_turned_away(at: Lab, held: str, tmp_path: Path) -> None:
    """Ray's own client, on this very machine, cannot connect."""
    other = tmp_path / "token"
    other.write_text("0" * 64)
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | environment(str(other))
    if held == "no token":
        env |= {"RAY_AUTH_MODE": "disabled"}
        del env["RAY_AUTH_TOKEN_PATH"]
    address = (await at.ready("penguins", CLUSTERS))["status"]["address"]
    code = f"import ray; ray.init(address={address!r}); print('inside')"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode != 0
    assert "inside" not in done.stdout
    assert "uthenticat" in done.stderr or "token" in done.stderr


async def test_the_token_is_seen_nowhere(at: Lab, token: str) -> None:
    """Not in what `ps` shows, not in a log, a status, an event, a run's files or the database; only in its file, mode 0600."""
    assert not [pid for pid in psutil.pids() if token in command_of(pid)]
    found = [path for root in (at.daemon.root, *temporary(at.daemon)) for path in files(root) if token.encode() in contents(path)]
    assert [path.name for path in found] == ["token"]
    assert found[0].stat().st_mode & 0o777 == 0o600
    assert found[0].parent.stat().st_mode & 0o077 == 0
    for plural in (CLUSTERS, EXPERIMENTS, EVENTS):
        items, _ = await at.client.list(plural)
        assert items
        assert token not in str(items)
    for record in units(at.daemon):
        for pid in processes.leftovers(at.daemon.home.units / record["name"]):
            with suppress(OSError):
                assert token.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def temporary(daemon: DaemonProcess) -> list[Path]:
    """Ray's own folders, logs among them."""
    return [Path(folder) for record in units(daemon) for folder in record["removes"]]


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]


def contents(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""

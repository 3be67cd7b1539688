"""A revision that fails is remembered, whoever dies; what was served is served on."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.support.daemon import condition_of
from tests.support.theatre import Stage, asked, deployment, experiment, quiet, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def rows(obj: dict[str, Any]) -> list[tuple[int, str]]:
    """Its revisions."""
    return [(row["revision"], row["state"]) for row in status(obj).get("revisions") or ()]


def trial(at: Stage) -> dict[str, Any]:
    """The last preflight: which process, when."""
    found: dict[str, Any] = next(row for row in at.lab.units() if row["tag"]["part"] == "preflight")["process"]
    return found


async def test_it_is_not_tried_again_until_the_spec_changes(at: Stage) -> None:
    """Its golden rows are answered otherwise here. Not after three kill -9 of the daemon either; a changed spec tries again."""
    await at.show("broken")
    obj = await at.until(lambda seen: rows(seen) == [(1, "Serving"), (2, "Failed")] and quiet(seen))
    assert status(obj)["revisions"][-1]["reason"] == "PreflightFailed"
    assert "golden rows are predicted differently" in condition_of(obj, "Preflight")["message"]
    assert condition_of(obj)["status"] == "True"
    url, tried, serving = status(obj)["url"], trial(at), at.processes()
    assert asked(url).status_code == 200
    for _ in range(3):
        at.daemon.kill()
        await at.daemon.start()
        obj = await at.until(lambda seen: quiet(seen))
        assert cli_status(at) == 1
    assert rows(obj) == [(1, "Serving"), (2, "Failed")]
    assert trial(at) == tried
    assert at.processes() == serving
    assert "PreflightFailed" in at.cli("events", "mdep/penguins").out

    await at.edit("modeldeployments", {"progressDeadlineSeconds": 90})
    obj = await at.until(lambda seen: rows(seen) == [(1, "Serving"), (2, "Failed"), (3, "Failed")] and quiet(seen))
    assert trial(at) != tried
    assert asked(url).status_code == 200
    await at.show("better")
    await at.serves("better")
    assert cli_status(at) == 0


def cli_status(at: Stage) -> int:
    """What `anneal rollout status` ends with."""
    return at.cli("rollout", "status", "mdep/penguins", "--timeout", "60").code


async def test_a_first_model_that_fails_is_said_and_another_one_is_served(empty: Stage) -> None:
    """Nothing serves, and the object says why and that it waits; the next good model is."""
    await empty.lab.create("Experiment", "penguins", **experiment(4))
    await empty.lab.create("ModelDeployment", "penguins", **deployment())
    obj = await empty.until(lambda seen: condition_of(seen).get("reason") == "PreflightFailed" and quiet(seen))
    assert condition_of(obj)["status"] == "False"
    assert "not tried again before the spec or the model changes" in condition_of(obj)["message"]
    assert empty.cli("why", "mdep/penguins").code == 1
    assert asked(status(obj)["url"]).status_code == 503
    await empty.show("good")
    await empty.serves("good")


async def test_a_web_app_that_cannot_listen_says_so_and_comes_up_later(empty: Stage) -> None:
    """The port is somebody else's: not Ready, in the words of what failed; once it is free, all is well by itself."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        await empty.lab.create("Experiment", "penguins", **experiment(2))
        await empty.lab.create("ModelDeployment", "penguins", **deployment() | {"local": {"port": port}})
        obj = await empty.until(lambda seen: condition_of(seen).get("reason") == "Restarting")
        assert condition_of(obj)["status"] == "False"
        assert str(port) in condition_of(obj)["message"]
    obj = await empty.serves("good")
    assert status(obj)["url"].endswith(f":{port}")

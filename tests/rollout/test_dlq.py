"""`anneal dlq` for a deployment on this machine."""

from __future__ import annotations

import time

import pytest
import requests

from serving.config import load
from serving.message import Failure
from serving.records import Job, connect
from tests.support.daemon import until
from tests.support.theatre import NAME, PATIENCE, ROW, Stage, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_what_was_given_up_is_listed_and_answered_after_all(at: Stage) -> None:
    """Listed with its reason; replayed it is answered by the revision that serves, under its id; then the queue is empty, and a
    second replay finds nothing to do."""
    obj = await at.serves("good")
    (config,) = at.daemon.home.serving.glob("*/config.json")
    records = connect(load(config))
    columns = {name: [value] for name, value in ROW.items()}
    records.accept([Job("a1", "rows", 1, at.models["good"], "r1", 1, columns=columns, accepted=time.time())])
    assert records.fail("a1", Failure("WorkerLost", "gone"), time.time())
    table = at.cli("dlq", "list", f"mdep/{NAME}").lines
    assert len(table) == 2
    assert "WorkerLost" in table[1]
    assert at.cli("dlq", "replay", f"mdep/{NAME}").code == 64
    done = at.cli("dlq", "replay", f"mdep/{NAME}", "--all")
    assert (done.code, "replayed 1 to revision 1; 0 are left" in done.out) == (0, True), done

    def answered() -> bool:
        return bool(requests.get(f"{status(obj)['url']}/requests/a1", timeout=30).json()["state"] == "SUCCEEDED")

    await until(answered, PATIENCE, lambda: "it is not answered")
    assert "replayed 0" in at.cli("dlq", "replay", f"mdep/{NAME}", "--all").out
    assert at.cli("dlq", "list", f"mdep/{NAME}", "-o", "json").json["letters"] == []
    assert at.cli("dlq", "list", "mdep/nobody").code != 0

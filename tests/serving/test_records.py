"""The record of accepted requests, in SQLite and in Redis: one contract."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serving.app.service import Intake
from serving.config import Config
from serving.message import Ask, Failure
from serving.predicting import Worker
from serving.records import DeadLetter, Job, RecordDown, Records, connect
from tests.support import brokers
from tests.support.serving import ENVIRONMENT, ROOT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.Server]:
    with brokers.redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture(scope="module")
def url(server: brokers.Server) -> str:
    return server.url


@pytest.fixture(params=["filesystem", "redis"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    results = request.getfixturevalue("url") if request.param == "redis" else "filesystem"
    return Config(name=tmp_path.name, store="models", results=results, folder=tmp_path)


@pytest.fixture
def records(config: Config) -> Records:
    return connect(config)


def job(name: str = "a", **change: Any) -> Job:
    values = {
        "form": "rows",
        "revision": 1,
        "digest": "sha256:1",
        "queue": "r1",
        "rows": 1,
        "visitor": "v",
        "columns": {"x": [1.5, None]},
        "accepted": 100.0,
    }
    return Job(name, **{**values, **change})


def test_what_is_accepted_is_there_for_another_process(records: Records, config: Config) -> None:
    """All of it, also for who connects later."""
    records.accept([job(), job("b", columns={"x": ["é"]})])
    found = connect(config).get("b")
    assert found is not None
    assert (found.state, found.columns, found.accepted, found.rows) == ("PENDING", {"x": ["é"]}, 100.0, 1)
    assert [one.id for one in connect(config).pending(["b", "a", "c"])] == ["b", "a"]
    assert records.get("c") is None
    assert records.unfinished() == 2


@dataclass
class Model:
    """A model that predicts its own name."""

    name: str
    engine: str = "onnx"

    def predict(self, columns: Any) -> Any:
        return SimpleNamespace(labels=[self.name], probabilities=None)


def test_what_was_moved_to_another_revision_is_left_to_that_one(records: Records) -> None:
    """Its message of before may still be on its way when a web app that knows the newer routing table moves it: the worker that
    gets it neither answers nor fails what is another's."""
    workers = {
        number: Worker(
            model=Model(f"r{number}"), revision=number, digest=f"sha256:{number}", records=records,
            reply=lambda *_: None, again=lambda _: None, max_deliveries=3,
        )
        for number in (1, 2)
    }  # fmt: skip
    records.accept([job()])
    records.move("a", 2, "sha256:2", "r2")
    workers[1].take(Ask("before", jobs=["a"]), 0)
    assert [one.id for one in records.pending(["a"])] == ["a"]
    workers[2].take(Ask("after", jobs=["a"]), 0)
    found = records.get("a")
    assert found is not None
    assert (found.state, found.labels, found.revision) == ("SUCCEEDED", ["r2"], 2)


def test_the_first_answer_stays(records: Records) -> None:
    """Delivered twice, answered once."""
    records.accept([job()])
    assert records.finish("a", ["x"], [[0.25, 0.75]], 101.0)
    assert not records.finish("a", ["y"], None, 102.0)
    assert not records.fail("a", Failure("WorkerLost", "gone"), 103.0)
    found = records.get("a")
    assert found is not None
    assert (found.state, found.labels, found.probabilities, found.finished) == ("SUCCEEDED", ["x"], [[0.25, 0.75]], 101.0)
    assert records.pending(["a"]) == []
    assert records.unfinished() == 0
    assert records.dead() == []


def test_a_failure_leaves_a_dead_letter(records: Records) -> None:
    """With what was asked."""
    records.accept([job()])
    assert records.fail("a", Failure("WorkerLost", "gone"), 103.0)
    records.bury(DeadLetter("m", 2, "sha256:2", "WorkerLost", "gone", {"x": [1]}, 104.0))
    found = records.get("a")
    assert found is not None
    assert (found.state, found.failure) == ("FAILED", Failure("WorkerLost", "gone"))
    assert [(one.id, one.columns) for one in records.dead()] == [("m", {"x": [1]}), ("a", {"x": [1.5, None]})]


def test_what_was_withdrawn_was_never_there(records: Records) -> None:
    """What could not be queued is not promised."""
    records.accept([job()])
    records.withdraw(["a"])
    assert records.get("a") is None
    assert records.unfinished() == 0


def test_overdue_after_twice_as_long_each_time(records: Records) -> None:
    """30, 60, 120 seconds after the last sending; never what has its answer."""
    records.accept([job(), job("b")])
    records.finish("b", [1], None, 101.0)
    assert records.overdue(129, 30) == []
    assert [one.id for one in records.overdue(131, 30)] == ["a"]
    records.sent(["a"], 131)
    assert records.overdue(190, 30) == []
    assert [one.id for one in records.overdue(192, 30)] == ["a"]
    records.sent(["a"], 192)
    assert records.overdue(310, 30) == []
    assert [one.id for one in records.overdue(313, 30)] == ["a"]


def test_what_belongs_to_no_queue_is_found_and_moved(records: Records) -> None:
    """A revision that is gone leaves no request behind."""
    records.accept([job(), job("b", queue="r2")])
    (lost,) = records.stranded(["r2"])
    assert (lost.id, lost.columns) == ("a", {"x": [1.5, None]})
    records.move("a", 2, "sha256:2", "r2")
    assert records.stranded(["r2"]) == []
    found = records.get("a")
    assert found is not None
    assert (found.revision, found.digest, found.queue) == (2, "sha256:2", "r2")


def test_a_visitors_own_newest_first(records: Records) -> None:
    """And nobody else's."""
    records.accept([job()])
    records.accept([job("b", accepted=101.0), job("c", visitor="w", accepted=102.0)])
    records.finish("b", [3], None, 103.0)
    assert [(one.id, one.labels) for one in records.recent("v", 10)] == [("b", [3]), ("a", None)]
    assert len(records.recent("v", 1)) == 1


def test_deliveries_are_counted(records: Records) -> None:
    """For brokers that do not."""
    assert [records.redelivered("m"), records.redelivered("m"), records.redelivered("n")] == [1, 2, 1]


def test_expired_in_the_file(tmp_path: Path) -> None:
    """Results go, states stay for a while, then they go too; what is pending never goes so. (Redis expires by itself.)"""
    records = connect(Config(name="x", store="models", folder=tmp_path))
    records.accept([job(), job("b")])
    records.finish("a", [1], None, 100.0)
    records.expire(99.0, 10)
    assert records.get("a").labels == [1]  # type: ignore[union-attr]
    records.expire(111.0, 10)
    found = records.get("a")
    assert found is not None
    assert (found.expired, found.state, found.labels, found.columns, found.visitor) == (True, "SUCCEEDED", None, None, "")
    records.expire(100 + 241, 10)
    assert records.get("a") is None
    assert records.get("b").state == "PENDING"  # type: ignore[union-attr]


def test_expired_in_redis(url: str, tmp_path: Path) -> None:
    """The hash goes by itself; the state is still known."""
    config = Config(name="x", store="models", results=url, folder=tmp_path)
    records = connect(config)
    records.accept([job()])
    records.finish("a", [1], None, 100.0)
    from serving.broker.replies import client

    store = client(url)
    assert 0 < store.ttl("anneal:default:x:job:a") <= 3600
    assert store.ttl("anneal:default:x:gone:a") > 3600
    store.delete("anneal:default:x:job:a")
    found = records.get("a")
    assert found is not None
    assert (found.expired, found.state) == (True, "SUCCEEDED")


def test_one_winner_among_many_that_finish(records: Records) -> None:
    """Threads and processes that answer the same job at the same time: one result."""
    records.accept([job()])
    won: list[bool] = []
    threads = [threading.Thread(target=lambda i=i: won.append(records.finish("a", [i], None, 101.0))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_a_record_that_is_away_says_so(tmp_path: Path) -> None:
    """RecordDown, not a trace of SQLite's or Redis'."""
    broken = tmp_path / "requests.sqlite"
    broken.write_bytes(b"this is no database" * 100)
    with pytest.raises(RecordDown):
        connect(Config(name="x", store="models", folder=tmp_path)).get("a")
    with pytest.raises(RecordDown):
        connect(Config(name="x", store="models", results="redis://127.0.0.1:1/0", folder=tmp_path)).get("a")


def test_a_redis_that_stalls_is_waited_for_by_who_writes(tmp_path: Path, server: brokers.Server) -> None:
    """Its disk is busy for some seconds: a request is accepted all the same, and who asks for its state is answered at once."""
    records = connect(Config(name="stalls", store="models", results=server.url, folder=tmp_path))
    records.accept([job("before")])
    server.hang()
    back = threading.Timer(4.0, server.resume)
    back.start()
    try:
        with pytest.raises(RecordDown):
            records.get("before")
        assert back.is_alive(), "who only asks was made to wait"
        records.accept([job("after")])
    finally:
        back.join()
    assert [one.id for one in records.pending(["before", "after"])] == ["before", "after"]


def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    """kill -9 right after `accept` returned."""
    program = (
        "import os, sys, pathlib\n"
        "from serving.config import Config\nfrom serving.records import Job, connect\n"
        "records = connect(Config(name='x', store='models', folder=pathlib.Path(sys.argv[1])))\n"
        "records.accept([Job(str(i), 'rows', 1, 'd', 'r1', 1, columns={}, accepted=1.0) for i in range(100)])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == -9
    assert connect(Config(name="x", store="models", folder=tmp_path)).unfinished() == 100


def test_requests_that_come_together_share_a_commit() -> None:
    """While one commit is under way, the others gather for the next; an error is heard by those of its own commit only."""
    batches: list[list[str]] = []
    first, go = threading.Event(), threading.Event()

    def commit(jobs: list[Job]) -> None:
        batches.append([one.id for one in jobs])
        if len(batches) == 1:
            first.set()
            go.wait(10)
        elif any(one.id == "bad" for one in jobs):
            raise RecordDown("no")

    intake = Intake(commit)
    errors: dict[str, Exception] = {}

    def accept(name: str) -> None:
        try:
            intake.accept(job(name))
        except RecordDown as error:
            errors[name] = error

    threads = [threading.Thread(target=accept, args=("first",))]
    threads[0].start()
    assert first.wait(10)
    threads += [threading.Thread(target=accept, args=(name,)) for name in ("a", "b", "bad")]
    for thread in threads[1:]:
        thread.start()
    while len(intake._gathered) < 3:
        pass
    go.set()
    for thread in threads:
        thread.join()
    assert batches[0] == ["first"]
    assert sorted(batches[1]) == ["a", "b", "bad"]
    assert sorted(errors) == ["a", "b", "bad"]


def test_what_was_given_up_can_be_asked_again(records: Records) -> None:
    """Under its id, for another revision; what is pending or was answered is left alone; its dead letter goes when told to."""
    records.accept([job(), job("b"), job("c")])
    records.fail("a", Failure("WorkerLost", "gone"), 101.0)
    records.finish("b", ["x"], None, 101.0)
    assert records.redelivered("a") == 1
    again = [records.revive(job(name, revision=2, queue="r2", accepted=200.0)) for name in ("a", "a", "b", "c", "d")]
    assert again == [True, False, False, False, True]
    found = records.get("a")
    assert found is not None
    assert (found.state, found.revision, found.queue, found.failure) == ("PENDING", 2, "r2", None)
    assert {one.id for one in records.pending(["a", "b", "c", "d"])} == {"a", "c", "d"}
    assert records.redelivered("a") == 1
    assert [one.id for one in records.dead()] == ["a"]
    records.unbury(["a"], "somebody")
    assert records.dead() == []
    records.unbury(["c", "d"], "somebody")
    assert (records.unburied("somebody"), records.unburied("nobody")) == (["a", "c", "d"], [])
    assert records.finish("a", ["y"], None, 201.0)

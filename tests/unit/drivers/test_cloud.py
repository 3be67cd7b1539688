"""The simulated cloud keeps its word: what it acknowledged survives it, time moves things on, and its rules hold."""

import http.client
import subprocess
import sys
import time
import urllib.error
import urllib.request

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulated.cloud import resources
from drivers.simulated.cloud.faults import FAULTS, REFUSALS, Faults, Rule
from drivers.simulated.cloud.journal import Journal
from drivers.simulated.cloud.world import World
from tests.support.cloud import ROOT, fault, running_cloud

SERVER = {"name": "w", "flavor": "small", "image": "debian-12", "tags": {"anneal-owner": "uid-1"}}


def ask(url, method="GET", body=None):
    data = None if body is None else orjson.dumps(body)
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, orjson.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, orjson.loads(error.read() or b"null")


@pytest.fixture
def world(tmp_path):
    return World(Journal(tmp_path / "journal.jsonl"), {"build_seconds": 10.0})


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    """Killed and started again, the same servers are there, under the same address, and the log is whole."""
    with running_cloud(tmp_path) as cloud:
        created = [ask(f"{cloud.url}/servers", "POST", SERVER)[1]["id"] for _ in range(20)]
        ask(f"{cloud.url}/servers/{created[0]}", "DELETE")
        cloud.admin.settings(quotas={"servers": 50})
        url = cloud.url
        cloud.kill()
        cloud.start()
        assert cloud.url == url
        assert [server["id"] for server in cloud.admin.servers()] == created[1:]
        assert [entry["id"] for entry in cloud.admin.creates("servers", owner="uid-1")] == created
        assert len(cloud.admin.deletes("servers")) == 1
        assert [entry["n"] for entry in cloud.admin.log()] == sorted(entry["n"] for entry in cloud.admin.log())


def test_it_starts_fast():
    """Hundreds of crash runs start it: its imports stay few, without pydantic and without the rest of anneal."""
    code = "import sys, drivers.simulated.cloud.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    assert not {"pydantic", "specs", "reconciler", "drivers.contract", "psutil"} & set(loaded)


def test_a_torn_line_is_cut_off(tmp_path):
    """A crash in the middle of writing leaves half a line, which was never answered; what follows is read again."""
    journal = Journal(tmp_path / "j")
    journal.append({"n": 1})
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes() + b'{"n": 2, "chan')
    journal = Journal(tmp_path / "j")
    assert list(journal.replay()) == [{"n": 1}]
    journal.append({"n": 2})
    assert list(journal.replay()) == [{"n": 1}, {"n": 2}]


@given(st.lists(st.tuples(st.sampled_from(["create", "tag", "delete"]), st.integers(0, 5)), max_size=30))
def test_the_journal_rebuilds_the_world(tmp_path_factory, acts):
    """Whatever was done: a world read back from the journal is the same, also where it is searched by tag."""
    path = tmp_path_factory.mktemp("journal") / "j"
    world = World(Journal(path), {})
    for act, number in acts:
        keys = list(world.tables["servers"])
        key = keys[number % len(keys)] if keys else None
        if act == "create":
            resources.create(world, "servers", {**SERVER, "tags": {"anneal-owner": f"uid-{number}"}})
        elif key and act == "tag":
            world.put("servers", key, {**world.tables["servers"][key], "tags": {"anneal-owner": f"uid-{number}"}})
        elif key:
            resources.delete(world, "servers", world.tables["servers"][key])
        world.commit({"method": act, "path": ""})
    again = World(Journal(path), {})
    assert again.tables == world.tables
    for number in range(6):
        tags = {"anneal-owner": f"uid-{number}"}
        everything = [thing for thing in world.tables["servers"].values() if thing["tags"] == tags]
        assert sorted(t["id"] for t in again.find("servers", tags)) == sorted(t["id"] for t in everything)


def test_a_server_is_built_and_removed_in_its_time(world):
    """BUILD, then ACTIVE; DELETING, then gone; its ports are free only then."""
    port = resources.create(world, "ports", {"network": "n"})
    server = resources.create(world, "servers", {**SERVER, "ports": [port["id"]]})
    assert resources.state(server, world.now) == "BUILD"
    assert resources.state(server, world.now + 11) == "ACTIVE"
    world.put("settings", "delete_seconds", 5.0)
    assert resources.delete(world, "servers", server)
    assert not resources.delete(world, "servers", world.tables["servers"][server["id"]])
    with pytest.raises(resources.Refusal) as caught:
        resources.delete(world, "ports", port)
    assert caught.value.status == 409
    assert resources.state(world.tables["servers"][server["id"]], world.now) == "DELETING"
    world.put("settings", "clock", 6.0)
    world.sweep()
    assert not world.tables["servers"]
    resources.delete(world, "ports", port)
    assert not world.tables["ports"]


def test_a_doomed_server_ends_in_error_with_its_fault(world):
    """It builds for a while, as real ones do."""
    server = resources.create(world, "servers", SERVER, doom="No valid host was found.")
    world.put("settings", "clock", 11.0)
    shown = resources.show(world, "servers", server, {})
    assert (shown["state"], shown["fault"]) == ("ERROR", "No valid host was found.")


REFUSED = [
    ("servers", {**SERVER, "flavor": "no-such-flavor"}, 400, "flavor"),
    ("servers", {**SERVER, "ports": ["nowhere"]}, 400, "nowhere"),
    ("servers", {**SERVER, "color": "red"}, 400, "color"),
    ("ports", {}, 400, "network"),
    ("addresses", {"server": "nowhere"}, 404, "nowhere"),
    ("servers", {**SERVER, "flavor": "large"}, 403, "Requested 4, but already used 0 of 2 cores"),
    ("ports", {"network": "n"}, 409, "OverQuota"),
]


@pytest.mark.parametrize(("table", "body", "status", "word"), REFUSED, ids=[f"{r[0]} {r[3][:12]}" for r in REFUSED])
def test_a_wrong_or_excessive_create_changes_nothing(world, table, body, status, word):
    """The status and the words are those of real clouds."""
    world.put("settings", "quotas", {"servers": 5, "cores": 2, "ports": 0, "addresses": 5})
    with pytest.raises(resources.Refusal) as caught:
        resources.create(world, table, body)
    assert caught.value.status == status
    assert word in caught.value.message
    assert not world.tables[table]


def test_every_refusal_is_a_fault():
    """The two tables agree."""
    assert set(REFUSALS) <= set(FAULTS)


def test_a_rule_strikes_what_it_says_and_counts():
    """Method, path, skip, count and seconds limit it."""
    faults = Faults()
    faults.set([{"fault": "ack_then_500", "method": "POST", "path": "/servers", "skip": 1, "count": 2, "seconds": 10}], now=0.0)
    requests = [("GET", "/servers"), ("POST", "/ports"), *[("POST", "/servers")] * 4]
    assert [bool(faults.strike(method, path, 1.0)) for method, path in requests] == [False, False, False, True, True, False]
    faults.set([{"fault": "slow", "seconds": 10}], now=0.0)
    assert faults.strike("GET", "/ports", 9.9)
    assert not faults.strike("GET", "/ports", 10.0)


def test_a_fault_that_does_not_exist_is_refused():
    """A typo in a test would otherwise test nothing."""
    with pytest.raises(ValueError, match="no fault 'drop_aftr'"):
        Rule.parse({"fault": "drop_aftr"}, 0.0)


def test_the_admin_does_what_people_do(tmp_path):
    """Foreign things, changed states, stripped tags, plugged and unplugged ports, deleted servers, another token."""
    with running_cloud(tmp_path) as cloud:
        admin = cloud.admin
        ref = admin.create("servers", name="theirs", tags={"team": "b"})
        port = admin.create("ports", network="n")
        admin.change("servers", ref, ports=[port], state="SHUTOFF", tags={})
        server = admin.servers()[0]
        assert (server["state"], server["tags"], server["ports"]) == ("SHUTOFF", {}, [port])
        assert admin.inventory()["ports"][0]["server"] == ref
        admin.delete("servers", ref)
        assert admin.inventory()["ports"][0]["server"] is None
        admin.settings(token="sesame")
        assert ask(f"{cloud.url}/servers")[0] == 401
        assert admin.log() == []
        admin.reset()
        assert ask(f"{cloud.url}/servers") == (200, {"servers": []})


def test_refused_and_unanswered_requests_are_logged(tmp_path):
    """The log is the oracle of the fault suites: what arrived, whether it took place, what was answered."""
    with running_cloud(tmp_path) as cloud:
        cloud.admin.faults(fault("ack_then_500", count=1), fault("quota", skip=1, count=1), fault("drop_after", skip=2, count=1))
        assert ask(f"{cloud.url}/servers", "POST", SERVER)[0] == 500
        assert ask(f"{cloud.url}/servers", "POST", SERVER)[0] == 403
        with pytest.raises(http.client.RemoteDisconnected):
            ask(f"{cloud.url}/servers", "POST", SERVER)
        assert [(entry["done"], entry["status"]) for entry in cloud.admin.log()] == [(True, 500), (False, 403), (True, None)]
        assert {entry["owner"] for entry in cloud.admin.log()} == {"uid-1"}
        assert cloud.admin.hits() == [1, 1, 1]


def test_time_can_be_moved_on(tmp_path):
    """No test has to wait for a server to build."""
    with running_cloud(tmp_path, build_seconds=600) as cloud:
        ask(f"{cloud.url}/servers", "POST", SERVER)
        assert cloud.admin.servers()[0]["state"] == "BUILD"
        start = time.monotonic()
        cloud.admin.advance(601)
        assert cloud.admin.servers()[0]["state"] == "ACTIVE"
        assert time.monotonic() - start < 60

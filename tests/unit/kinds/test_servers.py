"""Planning for servers: from any state of a cloud to the wanted one, and no further."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import (
    Absent,
    CredentialsInvalid,
    Done,
    Duplicate,
    Foreign,
    Present,
    Step,
    Stop,
    Unknown,
    Unreachable,
    Wait,
)
from drivers.simulated.live import Address, Port, Server
from reconciler.kinds import servers
from reconciler.kinds.servers import Past
from specs.machine import Remediation, SimulatedMachine
from specs.meta import Reason

CREATED = "2026-01-01T00:00:00Z"
FRESH = Past(0, timedelta(0))


def spec(**fields) -> SimulatedMachine:
    """A wanted server."""
    return SimulatedMachine.model_validate({"endpoint": "http://cloud"} | fields)


def server(**fields) -> Server:
    """A live server."""
    plain = {"id": "s1", "name": "n", "state": "ACTIVE", "fault": "", "flavor": "small", "image": "debian-12", "metadata": {}}
    return Server(**(plain | {"ports": (), "addresses": (), "created": CREATED} | fields))


def wanted(want: SimulatedMachine) -> frozenset[str]:
    """The parts of a wanted server."""
    ports = {f"port/{number}" for number in range(len(want.ports))}
    return frozenset({"server"} | ports | ({"address"} if want.floating_ip else set()))


@dataclass
class Cloud:
    """A cloud small enough to think about: it does what steps say, and what a real one refuses it refuses."""

    things: dict[str, Server | Port | Address] = field(default_factory=dict)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def seen(self, want: SimulatedMachine):
        """What the drivers would say of every part that is wanted or there."""
        parts = wanted(want) | self.things.keys()
        return {part: Present(self.things[part].id, self.things[part]) if part in self.things else Absent() for part in parts}

    def do(self, step: Step) -> None:
        """Make the change, as a cloud would."""
        part, live = step.part, self.things.get(step.part)
        if step.verb == "delete":
            assert live is not None
            assert live.id == step.ref
            if isinstance(live, Port):
                assert not live.server, "a port in use cannot be deleted"
            if isinstance(live, Server):
                self._unplug(live.id)
            del self.things[part]
        elif step.verb == "create":
            assert live is None, "made twice"
            self.things[part] = self._new(part, step)
        else:
            assert live is not None
            self._update(part, live, step)

    def _new(self, part: str, step: Step):
        ident, change = f"{part}-{next(self.numbers)}", step.change
        if part == "address":
            return Address(ident, "n", "10.0.0.1", None, "DOWN", CREATED)
        if part.startswith("port/"):
            return Port(ident, "n", change["network"], "10.0.0.2", None, "DOWN", CREATED)
        self._plug(ident, change["ports"])
        plain = {name: change[name] for name in ("flavor", "image", "metadata")}
        return server(id=ident, state="BUILD", ports=tuple(change["ports"]), **plain)

    def _update(self, part: str, live, step: Step) -> None:
        change = dict(step.change)
        if "ports" in change:
            self._plug(live.id, change["ports"])
            change["ports"] = tuple(change["ports"])
        self.things[part] = replace(live, **change)

    def _plug(self, ident: str, ports) -> None:
        for part, live in self.things.items():
            if isinstance(live, Port) and live.id in ports:
                self.things[part] = replace(live, server=ident)

    def _unplug(self, ident: str) -> None:
        for part, live in self.things.items():
            if isinstance(live, Port | Address) and live.server == ident:
                self.things[part] = replace(live, server=None)

    def pass_time(self) -> None:
        """What is being built is built."""
        for part, live in self.things.items():
            if isinstance(live, Server) and live.state == "BUILD":
                self.things[part] = replace(live, state="ACTIVE")


NETWORKS = st.sampled_from(["lan", "dmz"])
WANTS = st.builds(
    lambda flavor, image, networks, floating, metadata: spec(
        flavor=flavor,
        image=image,
        ports=[{"network": network} for network in networks],
        floatingIP=floating,
        serverMetadata=[{"key": key, "value": value} for key, value in metadata.items()],
    ),
    st.sampled_from(["small", "large"]),
    st.sampled_from(["debian-12", "debian-13"]),
    st.lists(NETWORKS, max_size=3),
    st.booleans(),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"]), max_size=2),
)


def converge(cloud: Cloud, want: SimulatedMachine) -> list[Step]:
    """Follow the plan one step at a time until it is Done; returns the steps taken."""
    taken: list[Step] = []
    for _ in range(60):
        match servers.plan(want, Remediation(), FRESH, cloud.seen(want), wanted(want)):
            case Done():
                return taken
            case Wait():
                cloud.pass_time()
            case Stop(message=message):
                pytest.fail(f"stopped: {message}")
            case (step, *_):
                cloud.do(step)
                taken.append(step)
    pytest.fail(f"no end in sight: {cloud}")


@settings(max_examples=150)
@given(st.lists(WANTS, min_size=1, max_size=3))
def test_doing_what_plan_says_leaves_nothing_to_do(wants):
    """Through any sequence of specs: following the plan ends in Done, Done stays Done, and exactly the wanted parts exist."""
    cloud = Cloud()
    for want in wants:
        converge(cloud, want)
        assert converge(cloud, want) == []
        assert cloud.things.keys() == wanted(want)
        live = cloud.things["server"]
        assert isinstance(live, Server)
        assert (live.flavor, live.image) == (want.flavor, want.image)
        assert dict(live.metadata) == {pair.key: pair.value for pair in want.server_metadata}
        assert [cloud.things[f"port/{n}"].network for n in range(len(want.ports))] == [port.network for port in want.ports]
        assert set(live.ports) == {cloud.things[f"port/{n}"].id for n in range(len(want.ports))}
        if want.floating_ip:
            assert cloud.things["address"].server == live.id


@settings(max_examples=100)
@given(WANTS, st.sets(st.sampled_from(["server", "address", "port/0", "port/1"])))
def test_what_vanishes_is_made_anew_once(want, lost):
    """Whatever is deleted behind our back comes back, one create each, and nothing else is created."""
    cloud = Cloud()
    converge(cloud, want)
    before = {part: live.id for part, live in cloud.things.items()}
    gone = lost & cloud.things.keys()
    if "server" in gone:
        cloud._unplug(cloud.things["server"].id)
    for part in gone:
        del cloud.things[part]
    steps = converge(cloud, want)
    assert {step.part for step in steps if step.verb == "create"} == gone
    assert not [step for step in steps if step.verb == "delete"]
    assert {part: live.id for part, live in cloud.things.items() if part not in gone} == {
        part: ident for part, ident in before.items() if part not in gone
    }


@settings(max_examples=100)
@given(WANTS, WANTS)
def test_teardown_ends_with_nothing(want, earlier):
    """From any state, teardown ends with no part left, and never deletes a port in use."""
    cloud = Cloud()
    converge(cloud, earlier)
    converge(cloud, want)
    for _ in range(20):
        plan = servers.teardown(cloud.seen(want))
        if isinstance(plan, Done):
            break
        assert isinstance(plan, tuple)
        cloud.do(plan[0])
    assert not cloud.things


@pytest.mark.parametrize("error", [Unreachable("down"), CredentialsInvalid("401")], ids=["unreachable", "unauthorised"])
def test_silence_is_not_absence(error):
    """A cloud that does not answer properly is never taken for one without our server."""
    held = servers.blind({"server": Unknown(error)})
    assert isinstance(held, Wait)
    assert held.reason is error.reason


def test_what_is_not_ours_is_left_alone():
    """A server under the recorded id with somebody else's tag stops everything."""
    assert isinstance(servers.blind({"server": Foreign("s1", "its tag was removed")}), Stop)


def test_of_two_with_our_tag_the_extra_one_goes():
    """Only the extra ids are deleted, by id."""
    seen = {"server": Duplicate(Present("s1", server()), ("s2", "s3"))}
    plan = servers.plan(spec(), Remediation(), FRESH, seen, frozenset({"server"}))
    assert isinstance(plan, tuple)
    assert [(step.verb, step.ref) for step in plan] == [("delete", "s2"), ("delete", "s3")]


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("ACTIVE", Done),
        ("BUILD", Wait),
        ("SHUTOFF", Stop),
        ("PAUSED", Stop),
        ("VERIFY_RESIZE", Stop),
        ("SOFT_DELETED", Stop),
        ("DELETING", Wait),
    ],
)
def test_every_state_of_a_server_has_an_answer(state, outcome):
    """No state makes plan touch a server that somebody stopped, or raise."""
    plan = servers.plan(spec(), Remediation(), FRESH, {"server": Present("s1", server(state=state))}, frozenset({"server"}))
    assert isinstance(plan, outcome)


@pytest.mark.parametrize(
    ("count", "since", "expected"),
    [(0, 0, "delete"), (1, 59, Wait), (1, 60, "delete"), (2, 119, Wait), (2, 120, "delete"), (3, 10_000, Stop)],
)
def test_a_failed_server_is_replaced_a_few_times_with_growing_pauses(count, since, expected):
    """At most maxRetry replacements; the pause doubles; then it stops and tells the cloud's fault."""
    seen = {"server": Present("s1", server(state="ERROR", fault="No valid host was found"))}
    plan = servers.plan(spec(), Remediation(), Past(count, timedelta(seconds=since)), seen, frozenset({"server"}))
    if expected == "delete":
        assert isinstance(plan, tuple)
        assert plan[0].verb == "delete"
        assert plan[0].remedies
        assert plan[0].destroys
    else:
        assert isinstance(plan, expected)
        assert "No valid host was found" in plan.message
        assert plan.reason is Reason.SERVER_FAILED

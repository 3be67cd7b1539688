"""Planning for OpenStack servers: from any state of a cloud to the wanted one, and no further."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Absent, CredentialsInvalid, Done, Duplicate, Foreign, Present, Stop, Unknown, Wait
from drivers.openstack.live import Address, Group, Server, Volume, rule_of
from reconciler.kinds.openstack.plan import plan, teardown
from reconciler.kinds.openstack.wish import EGRESS
from reconciler.kinds.servers import Past
from specs.machine import Remediation
from specs.meta import Reason
from tests.unit.kinds.openstack_cloud import CREATED, NET, TinyCloud, port, server, wish

ADDRESS = Address("a", "n", "203.0.113.9", "ext", "", "DOWN", CREATED)
RULES = [{"protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}]

wishes = st.builds(
    wish,
    flavor=st.sampled_from([{"filter": {"name": "small"}}, {"filter": {"name": "large"}}]),
    image=st.sampled_from([{"id": "image-1"}, {"id": "image-2"}]),
    ports=st.lists(
        st.fixed_dictionaries(
            {"network": st.sampled_from([{"id": "net-1"}, {"id": "net-2"}])},
            optional={
                "tags": st.just(["x"]), "fixedIPs": st.just([{"ipAddress": "10.0.0.7"}]), "description": st.just("uplink"),
                "securityGroups": st.just([{"id": "g-1"}]), "disablePortSecurity": st.just(True),
            },
        ),
        max_size=3,
    ),
    securityGroups=st.sampled_from([[], [{"id": "g-2"}], [{"rules": RULES}], [{"rules": []}, {"id": "g-2"}]]),
    floatingIP=st.sampled_from([None, {"network": {"id": "ext"}}]),
    sshPublicKey=st.sampled_from([None, "ssh-ed25519 A", "ssh-ed25519 B"]),
    additionalBlockDevices=st.sampled_from([[], [{"name": "d", "sizeGiB": 5}]]),
    rootVolume=st.sampled_from([None, {"sizeGiB": 9}]),
    serverMetadata=st.sampled_from([[], [{"key": "role", "value": "worker"}]]),
    tags=st.sampled_from([[], ["blue", "big"]]),
)  # fmt: skip


def converge(want, cloud):
    """Do what the plan says until it says nothing; fails if that does not end."""
    for _ in range(80):
        match plan(want, cloud.seen(want)):
            case Done() as done:
                return done
            case Wait():
                cloud.settle()
            case Stop() as stop:
                return stop
            case (step, *_):
                cloud.do(step)
    pytest.fail(f"no end in sight: {cloud.things}")


@settings(max_examples=150)
@given(wishes, wishes)
def test_doing_what_plan_says_leaves_nothing_to_do(first, second):
    """From nothing, and from any earlier wish, the plan ends in Done, every part there once, and the teardown in nothing."""
    cloud = TinyCloud()
    for want in (first, second):
        assert isinstance(converge(want, cloud), Done)
        assert cloud.things.keys() == want.parts
        assert {t.server for part, t in cloud.things.items() if part.startswith("port")} <= {cloud.things["server"].id}
    for _ in range(40):
        match teardown(cloud.seen(second)):
            case Done():
                break
            case Wait():
                cloud.settle()
            case (step, *_):
                cloud.do(step)
    assert cloud.things == {}


def test_another_size_is_a_resize_in_place_and_confirmed():
    """The server stays the same one; the plan says that it reboots."""
    cloud = TinyCloud()
    converge(wish(ports=[NET]), cloud)
    before, want = cloud.things["server"].id, wish(ports=[NET], flavor={"filter": {"name": "large"}})
    (step,) = plan(want, cloud.seen(want))
    assert step.change == {"resize": {"flavorRef": "id-large"}}
    assert step.interrupts == "the server reboots"
    assert isinstance(converge(want, cloud), Done)
    assert (cloud.things["server"].id, cloud.things["server"].flavor) == (before, "large")


def test_a_resize_that_nobody_wanted_is_reverted():
    """VERIFY_RESIZE with another size than the spec's: back."""
    want = wish()
    (step,) = plan(want, {"server": Present("s", server(state="VERIFY_RESIZE", flavor="large"))})
    assert step.change == {"revertResize": None}


def test_asking_for_another_size_ends():
    """A cloud without room says so nowhere: after three times it is for a person."""
    want = wish(flavor={"filter": {"name": "large"}}, resizes=3)
    assert isinstance(plan(want, {"server": Present("s", server())}), Stop)


def test_another_image_is_another_server_and_the_plan_says_what_is_lost():
    """Ports stay, the disk goes: said before it happens."""
    want = wish(image={"id": "image-2"})
    first, second = plan(want, {"server": Present("s", server())})
    assert (first.verb, first.destroys, first.remedies) == ("delete", "its local disk", False)
    assert second.verb == "create"


@pytest.mark.parametrize("change", [{"userData": "#cloud-config"}, {"availabilityZone": "az2"}, {"sshPublicKey": "ssh-rsa A"}])
def test_what_a_server_cannot_change_is_another_server(change):
    """What Nova does not show is compared by the digest that the server carries."""
    want = wish(**change)
    seen = {part: Absent() for part in want.parts} | {"server": Present("s", server())}
    assert plan(want, seen)[0].verb == "delete"
    same = plan(want, seen | {"server": Present("s", server(made_from=want.made_from))})
    assert not (isinstance(same, tuple) and same[0].part == "server")


OUT_OF_BAND = [
    ("SHUTOFF", Stop, Reason.STOPPED), ("PAUSED", Stop, Reason.STOPPED), ("SUSPENDED", Stop, Reason.STOPPED),
    ("SHELVED_OFFLOADED", Stop, Reason.STOPPED), ("RESCUE", Stop, Reason.STOPPED),
    ("SOFT_DELETED", Stop, Reason.EXTERNAL_DELETED), ("DELETING", Wait, Reason.DELETING), ("BUILD", Wait, Reason.BUILDING),
    ("REBOOT", Wait, Reason.UPDATING), ("MIGRATING", Wait, Reason.UPDATING), ("RESIZE", Wait, Reason.UPDATING),
]  # fmt: skip


@pytest.mark.parametrize(("state", "kind", "reason"), OUT_OF_BAND, ids=[row[0] for row in OUT_OF_BAND])
def test_every_state_has_a_reason_and_none_leads_to_a_call(state, kind, reason):
    """What people and the cloud do to a server is said, and left alone."""
    answer = plan(wish(), {"server": Present("s", server(state=state))})
    assert isinstance(answer, kind)
    assert answer.reason is reason


def test_a_server_in_error_is_replaced_a_few_times_then_left():
    """With growing pauses, and in the end with the cloud's own words."""
    seen = {"server": Present("s", server(state="ERROR", fault="No valid host was found."))}
    (step,) = plan(wish(), seen)
    assert (step.verb, step.remedies) == ("delete", True)
    assert isinstance(plan(wish(past=Past(1, timedelta(seconds=5))), seen), Wait)
    stop = plan(wish(past=Past(3, timedelta(hours=1))), seen)
    assert isinstance(stop, Stop)
    assert "No valid host was found." in stop.message


def test_a_server_that_is_never_built_counts_as_failed():
    """After nodeStartupTimeoutSeconds, if a person gave them."""
    seen = {"server": Present("s", server(state="BUILD", created="2025-12-31T23:00:00Z"))}
    assert isinstance(plan(wish(), seen), Wait)
    (step,) = plan(wish(remediation=Remediation(nodeStartupTimeoutSeconds=600)), seen)
    assert (step.verb, step.remedies) == ("delete", True)


def test_a_detached_port_is_plugged_in_again():
    """The same port, with the same address."""
    want = wish(ports=[NET])
    (step,) = plan(want, {"server": Present("s", server()), "port/0": Present("p", port())})
    assert (step.part, step.change) == ("server", {"attach": "p"})


def test_an_address_is_led_to_the_first_port():
    """Wherever somebody led it."""
    want = wish(ports=[NET], floatingIP={"network": {"id": "ext"}})
    seen = {"server": Present("s", server()), "port/0": Present("p", port(server="s"))}
    (step,) = plan(want, seen | {"address": Present("a", replace(ADDRESS, port="elsewhere"))})
    assert step.change == {"port_id": "p"}
    assert isinstance(plan(want, seen | {"address": Present("a", replace(ADDRESS, port="p"))}), Done)


def test_no_server_is_made_before_its_volumes_are_there():
    """A volume that is being made is waited for; what one in error held is for a person to give up."""
    want = wish(rootVolume={"sizeGiB": 9})
    volume = Volume("v", "n", "creating", 9, "", CREATED)
    assert isinstance(plan(want, {"server": Absent(), "volume/root": Present("v", volume)}), Wait)
    assert isinstance(plan(want, {"server": Absent(), "volume/root": Present("v", replace(volume, state="error"))}), Stop)


def test_a_rule_too_many_is_taken_away():
    """And the missing one is added, in one call each."""
    want = wish(securityGroups=[{"rules": RULES}])
    rules = ((("ingress", "IPv4", "tcp", 1, 65535, ""), "r1"),)
    steps = plan(want, {"server": Present("s", server()), "group/0": Present("g", Group("g", "n", rules, CREATED))})
    assert [sorted(step.change) for step in steps] == [["add"], ["remove"]]


def test_teardown_takes_the_server_first_and_what_is_in_use_last():
    """Server, address, ports, groups, volumes, key."""
    cloud = TinyCloud()
    want = wish(
        ports=[NET], securityGroups=[{"rules": RULES}], floatingIP={"network": {"id": "ext"}}, sshPublicKey="k",
        additionalBlockDevices=[{"name": "d", "sizeGiB": 1}],
    )  # fmt: skip
    converge(want, cloud)
    steps = teardown(cloud.seen(want))
    assert [step.part for step in steps] == ["server", "address", "port/0", "group/0", "volume/data-d", "key"]


def test_teardown_purges_what_the_cloud_still_keeps():
    """SOFT_DELETED would hold its ports for days."""
    (step,) = teardown({"server": Present("s", server(state="SOFT_DELETED"))})
    assert step.change == {"forceDelete": None}


@pytest.mark.parametrize(
    "observation",
    [
        Unknown(CredentialsInvalid("no")),
        Foreign("s", "it does not carry our tag", server()),
        Duplicate(Present("s", server()), ("x",)),
    ],
    ids=["unknown", "foreign", "duplicate"],
)
def test_nothing_is_made_beside_what_is_there_or_in_doubt(observation):
    """The kind stops at what is unknown or foreign; of two, the extra one goes."""
    from reconciler.kinds.servers import blind

    seen = {"server": observation}
    if isinstance(observation, Duplicate):
        (step,) = plan(wish(), seen)
        assert (step.verb, step.ref) == ("delete", "x")
    else:
        assert blind(seen) is not None


def test_a_server_of_nova_is_read_whole():
    """As Nova writes it at 2.79, tags of ours told from tags of others."""
    row = {
        "id": "1", "name": "n", "status": "ACTIVE", "OS-EXT-STS:task_state": "deleting", "OS-EXT-STS:power_state": 1,
        "flavor": {"original_name": "m1"}, "image": {"id": "i"}, "metadata": {}, "created": CREATED,
        "tags": ["b", "anneal-owner=u", "a", "anneal-made-from=d"], "os-extended-volumes:volumes_attached": [{"id": "v"}],
        "addresses": {
            "n": [{"addr": "10.0.0.1", "OS-EXT-IPS:type": "fixed"}, {"addr": "203.0.113.1", "OS-EXT-IPS:type": "floating"}]
        },
    }  # fmt: skip
    live = Server.parse(row)
    assert (live.state, live.power, live.tags, live.made_from) == ("DELETING", "RUNNING", ("a", "b"), "d")
    assert (live.addresses, live.floating, live.volumes) == (("10.0.0.1",), ("203.0.113.1",), ("v",))


def test_another_image_is_another_root_volume_too():
    """Server, then its volume, then both anew: the old image does not come back."""
    cloud = TinyCloud()
    converge(wish(rootVolume={"sizeGiB": 9}), cloud)
    before = cloud.things["volume/root"].id
    want = wish(rootVolume={"sizeGiB": 9}, image={"id": "image-2"})
    assert isinstance(converge(want, cloud), Done)
    assert cloud.things["volume/root"].id != before


def test_a_server_whose_root_volume_is_gone_is_replaced():
    """It runs from nothing, and a new volume would be used by nobody: counted as a failure, and not for ever."""
    cloud, want = TinyCloud(), wish(rootVolume={"sizeGiB": 9})
    converge(want, cloud)
    first = cloud.things["server"].id
    del cloud.things["volume/root"]
    (step,) = plan(want, cloud.seen(want))
    assert (step.verb, step.part, step.remedies, step.why) == ("delete", "server", True, "its root volume is gone from the cloud")
    assert isinstance(converge(want, cloud), Done)
    assert cloud.things["server"].id != first
    assert cloud.things.keys() == want.parts
    del cloud.things["volume/root"]
    assert isinstance(plan(wish(rootVolume={"sizeGiB": 9}, past=Past(5, timedelta(0))), cloud.seen(want)), Stop)


@pytest.mark.parametrize(
    ("given", "live"),
    [("10.1.2.3/8", "10.0.0.0/8"), ("0.0.0.0/0", None), ("192.0.2.7", "192.0.2.7/32"), ("2001:DB8::/32", "2001:db8::/32")],
)
def test_two_ways_to_write_a_range_are_one(given, live):
    """Neutron writes it its own way: that is no difference, or rules would be made and removed for ever."""
    want = wish(securityGroups=[{"rules": [{"remoteIPPrefix": given}]}])
    row = {"direction": "ingress", "ethertype": "IPv4", "protocol": None, "remote_ip_prefix": live}
    rules = [(rule_of(body), f"r{number}") for number, body in enumerate([*EGRESS, row])]
    seen = {"server": Present("s", server()), "group/0": Present("g", Group("g", "n", tuple(rules), CREATED))}
    assert isinstance(plan(want, seen), Done)


DATA = [{"name": "d", "sizeGiB": 5, "type": "fast"}]


def disk(**fields):
    """A live volume that nothing uses, as DATA wants it."""
    return Volume(
        **({"id": "v", "name": "n", "state": "available", "size": 5, "server": "", "created": CREATED, "type": "fast"} | fields)
    )


def with_disk(volume, **live):
    """What there is: a server that runs, and a volume."""
    want = wish(additionalBlockDevices=DATA)
    return want, {"server": Present("s", server(made_from=want.made_from, **live)), "volume/data-d": Present("v", volume)}


def test_a_volume_grows_in_place():
    """Plugged in or not, with one call, and the server stays."""
    cloud = TinyCloud()
    converge(wish(additionalBlockDevices=DATA), cloud)
    before, want = cloud.things["server"].id, wish(additionalBlockDevices=[{**DATA[0], "sizeGiB": 8}])
    (step,) = plan(want, cloud.seen(want))
    assert (step.part, step.change, step.interrupts) == ("volume/data-d", {"size": 8}, None)
    assert isinstance(converge(want, cloud), Done)
    assert (cloud.things["server"].id, cloud.things["volume/data-d"].size) == (before, 8)


@pytest.mark.parametrize(
    ("fields", "kind", "word"),
    [
        ({"size": 9, "state": "in-use", "server": "s"}, Stop, "cannot shrink"),
        ({"type": "slow", "state": "in-use", "server": "s"}, Stop, "of type slow"),
        ({"state": "in-use", "server": "other"}, Wait, "on server other"),
        ({"state": "error_extending"}, Stop, "error_extending"),
        *(({"state": state, "server": "s"}, Wait, state) for state in ("reserved", "attaching", "detaching", "extending")),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
def test_a_volume_that_is_at_work_or_elsewhere_gets_no_call(fields, kind, word):
    """It is said, and waited for; nothing that it holds is thrown away."""
    want, seen = with_disk(disk(**fields))
    answer = plan(want, seen)
    assert isinstance(answer, kind)
    assert word in answer.message
    if isinstance(answer, Wait):
        assert not isinstance(plan(wish(), seen), tuple), "nor while it is no longer wanted"


def test_what_is_taken_off_the_spec_is_unplugged_and_then_deleted():
    """Two calls, and `anneal plan` says what each costs."""
    _, seen = with_disk(disk(state="in-use", server="s"))
    (off,) = plan(wish(), seen)
    assert (off.change, off.interrupts) == ({"detachVolume": "v"}, "what uses that volume")
    (gone,) = plan(wish(), seen | {"volume/data-d": Present("v", disk())})
    assert (gone.verb, gone.part, gone.destroys) == ("delete", "volume/data-d", "all that is on it")


@pytest.mark.parametrize("state", ["in-use", "detaching", "error_deleting", "deleting"])
def test_teardown_sends_no_delete_that_cinder_would_refuse(state):
    """A volume that somebody put elsewhere, or that the cloud cannot delete, is waited for and said."""
    assert isinstance(teardown({"volume/data-d": Present("v", disk(state=state, server="other"))}), Wait)
    (step,) = teardown({"volume/data-d": Present("v", disk(state="error"))})
    assert step.verb == "delete"

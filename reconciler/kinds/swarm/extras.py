"""What anneal puts onto a Swarm beside models: overlay networks, and a registry for who has none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Absent, Done, Plan, Present, Seen, Step, Unknown, Wait
from drivers.swarm.live import Swarm
from drivers.swarm.served import Service, differs
from specs.meta import Reason
from specs.swarm_cluster import Registry, SwarmCluster, SwarmClusterSpec

REGISTRY = "registry"
CONFIG = """\
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}
http: {addr: ":%d"}
"""
START = (
    'printf %s "$CONFIG" >/tmp/registry.yml && '
    'exec "$(command -v registry || command -v docker-registry)" serve /tmp/registry.yml'
)
"""The official image and Debian's call the program by two names."""
POLL_SECONDS = 1.0


def wanted(spec: SwarmClusterSpec) -> set[str]:
    """The parts that are wanted."""
    return {f"network/{one.name}" for one in spec.networks} | ({REGISTRY} if spec.registry else set())


def on_record(obj: SwarmCluster) -> set[str]:
    """The parts that were made, or about to be."""
    if obj.status is None:
        return set()
    names = {row.name for row in obj.status.parts} | {row.part for row in obj.status.intents}
    return {name for name in names if name == REGISTRY or name.startswith("network/")}


def resolve(obj: SwarmCluster) -> Mapping[str, Any] | None:
    """What is chosen once: nothing can be chosen before the Swarm was seen."""
    return {"managers": obj.spec.wanted_managers} if obj.spec.nodes else ({} if wanted(obj.spec) else None)


def plan(obj: SwarmCluster, seen: Seen) -> Plan | None:
    """The next steps; None if all is as it should be."""
    wants = wanted(obj.spec)
    for part in sorted(wants | {part for part in seen if part == REGISTRY or part.startswith("network/")}):
        match seen.get(part):
            case None:  # looked at from the next pass on
                return Wait(Reason.PENDING, f"{part} is to be made", 0.05)
            case Unknown(error=error):
                return Wait(error.reason, str(error), error.retry_after or POLL_SECONDS)
            case Absent() if part in wants:
                spec = {"spec": registry(obj, seen)} if part == REGISTRY else {}
                return (Step("create", part, "the spec asks for it", spec),)
            case Present(ref=ref) if part not in wants:
                return (Step("delete", part, "it is not in the spec any more", ref=ref, destroys=_loss(part)),)
            case Present(ref=ref, live=Service() as live):
                if differs(want := registry(obj, seen), live.spec):
                    why = "it is not as the spec says"
                    return (Step("update", part, why, {"spec": want, "version": live.version}, ref, interrupts="the registry"),)
                if not live.running:
                    return Wait(Reason.STARTING, f"the registry starts{_trouble(live)}", POLL_SECONDS)
    return None


def teardown(seen: Seen) -> Plan:
    """The registry, then the networks."""
    for part, observation in sorted(seen.items(), reverse=True):
        if isinstance(observation, Present) and (part == REGISTRY or part.startswith("network/")):
            return (Step("delete", part, "the SwarmCluster is being deleted", ref=observation.ref, destroys=_loss(part)),)
    return Done()


def status(obj: SwarmCluster, swarm: Swarm, seen: Seen) -> dict[str, Any]:
    """Where the registry is."""
    match seen.get(REGISTRY):
        case Present(live=Service() as live) if obj.spec.registry is not None and live.running:
            node = swarm.node(live.running[0].node)
            return {"registry": f"{node.address}:{obj.spec.registry.port}" if node else None}
    return {"registry": None}


def registry(obj: SwarmCluster, seen: Seen) -> dict[str, Any]:
    """The service. It stays on its node: that is where its images are."""
    want = obj.spec.registry
    assert want is not None
    volume = {"Type": "volume", "Source": "anneal-registry", "Target": "/var/lib/registry"}
    container = {
        "Image": want.image, "Command": ["sh", "-c", START], "Env": [f"CONFIG={CONFIG % want.port}"], "Mounts": [volume],
        "StopGracePeriod": 10 * 10**9,
    }  # fmt: skip
    return {
        "TaskTemplate": {
            "ContainerSpec": container, "RestartPolicy": {"Condition": "any", "Delay": 10**9},
            "Placement": {"Constraints": [f"node.hostname == {_home(want, seen)}"]},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "pause"},
        "EndpointSpec": {
            "Mode": "dnsrr",
            "Ports": [{"Protocol": "tcp", "TargetPort": want.port, "PublishedPort": want.port, "PublishMode": "host"}],
        },
    }  # fmt: skip


def _home(want: Registry, seen: Seen) -> str:
    """The node that it is on already; the one that the spec names; else the first manager by name."""
    match seen.get(REGISTRY):
        case Present(live=Service() as live) if want.node is None:
            for rule in live.spec["TaskTemplate"].get("Placement", {}).get("Constraints", ()):
                if rule.startswith("node.hostname == "):
                    return str(rule.removeprefix("node.hostname == "))
    match seen.get("swarm"):
        case Present(live=Swarm() as swarm) if want.node is None:
            return min((node.hostname for node in swarm.managers if node.up), default="")
    return want.node or ""


def _trouble(live: Service) -> str:
    return f": {live.broken[-1].message or live.last_words}" if live.broken else ""


def _loss(part: str) -> str | None:
    return "nothing; its images stay in the volume anneal-registry of its node" if part == REGISTRY else None

"""Services in the Engine API's own JSON: the pieces that all of a deployment's services are put together from. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specs.meta import parse_quantity
from specs.model_deployment_swarm import Amounts, LogDriver, TaskResources

Json = dict[str, Any]
NANO = 1_000_000_000
SECOND = NANO
USER = "10001"
"""Who the serving image's processes are."""
SECRETS = "/run/secrets"
PASSWORD = f"{SECRETS}/password"


@dataclass(frozen=True, slots=True)
class File:
    """A config or a secret as a file of a container."""

    id: str
    name: str
    """What the Swarm calls it."""
    path: str
    mode: int = 0o444

    def config(self) -> Json:
        """As a ConfigReference."""
        return {"ConfigID": self.id, "ConfigName": self.name, "File": self._file()}

    def secret(self, user: str = "0") -> Json:
        """As a SecretReference."""
        return {"SecretID": self.id, "SecretName": self.name, "File": self._file() | {"UID": user, "GID": user}}

    def _file(self) -> Json:
        return {"Name": self.path, "UID": "0", "GID": "0", "Mode": self.mode}


@dataclass(frozen=True, slots=True)
class Health:
    """A shell command that says whether a container answers."""

    command: str
    seconds: int
    """How often it is asked. A task is said to run once it was answered for the first time."""
    start_seconds: int = 60
    """So long it may fail at the start."""
    retries: int = 5
    """So often in a row it fails before the container is ended."""

    def json(self) -> Json:
        """As a HealthConfig."""
        return {
            "Test": ["CMD-SHELL", self.command],
            "Interval": self.seconds * SECOND, "Timeout": 20 * SECOND, "StartPeriod": self.start_seconds * SECOND,
            "Retries": self.retries,
        }  # fmt: skip


def container(
    image: str, command: Sequence[str], *, configs: Sequence[File] = (), secrets: Sequence[File] = (), user: str = "",
    health: Health | None = None, grace: float = 10.0, mounts: Sequence[Json] = (), env: Mapping[str, str] | None = None,
    hostname: str = "",
) -> Json:  # fmt: skip
    """A ContainerSpec."""
    out: Json = {
        "Image": image,
        "Command": list(command),
        "StopGracePeriod": round(grace * SECOND),
        "Healthcheck": health.json() if health else {"Test": ["NONE"]},
        "Env": sorted(f"{name}={value}" for name, value in (env or {}).items()),
        # Docker keeps them in this order
        "Configs": [file.config() for file in sorted(configs, key=lambda file: file.name)],
        "Secrets": [file.secret(user or "0") for file in sorted(secrets, key=lambda file: file.name)],
        "Mounts": list(mounts),
    }
    return out | ({"User": user} if user else {}) | ({"Hostname": hostname} if hostname else {})


def task(
    box: Json, network: str, alias: str, *, resources: TaskResources, log: LogDriver, constraints: Sequence[str] = (),
    restart: str = "any",
) -> Json:  # fmt: skip
    """A TaskTemplate."""
    return {
        "ContainerSpec": box,
        "Networks": [{"Target": network, "Aliases": [alias]}],
        "Resources": {"Limits": _amounts(resources.limits), "Reservations": _amounts(resources.requests)},
        "RestartPolicy": {"Condition": restart, "Delay": SECOND, "MaxAttempts": 0},
        "Placement": {"Constraints": list(constraints)},
        "LogDriver": {"Name": log.name, "Options": dict(log.options)},
    }


def replicated(template: Json, replicas: int, *, start_first: bool = True, labels: Mapping[str, str] | None = None) -> Json:
    """A service of so many tasks. What keeps data is stopped before its successor starts; all else starts first.

    An update that fails is paused: it is we who say what comes next, and the tasks of before go on meanwhile.
    """
    change = {
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * SECOND, "MaxFailureRatio": 0,
        "Order": "start-first" if start_first else "stop-first",
    }  # fmt: skip
    if not start_first:  # the one before would find the same data; there is nothing to go back to
        change["FailureAction"] = "continue"
    return {
        "Labels": dict(labels or {}),
        "TaskTemplate": template,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": change,
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def published(template: Json, port: int, mode: str, labels: Mapping[str, str] | None = None) -> Json:
    """A service that the nodes' port leads to: on every node of its own ("host"), or from any node to one of two ("ingress")."""
    out = replicated(template, 2, labels=labels)
    ports = [{"Protocol": "tcp", "TargetPort": port, "PublishedPort": port, "PublishMode": mode}]
    if mode == "host":  # two cannot have the port of one node: the old one goes first, one node at a time
        change = {"Order": "stop-first", "Parallelism": 1}
        out |= {"Mode": {"Global": {}}, "UpdateConfig": out["UpdateConfig"] | change}
        return out | {"EndpointSpec": {"Mode": "dnsrr", "Ports": ports}}
    return out | {"EndpointSpec": {"Mode": "vip", "Ports": ports}}


def job(template: Json, labels: Mapping[str, str] | None = None) -> Json:
    """A task that runs once.

    Not a ReplicatedJob: before Docker 24 one that was begun twice, as happens, is begun anew for ever.
    """
    template = {**template, "RestartPolicy": {"Condition": "none"}}
    mode = {"Replicated": {"Replicas": 1}}
    return {"Labels": dict(labels or {}), "TaskTemplate": template, "Mode": mode, "EndpointSpec": {"Mode": "dnsrr"}}


def volume(name: str, path: str, labels: Mapping[str, str]) -> Json:
    """A volume of the node."""
    return {"Type": "volume", "Source": name, "Target": path, "VolumeOptions": {"Labels": dict(labels)}}


def content_hash(value: Any) -> str:
    """Names a config by what is in it."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _amounts(amounts: Amounts) -> Json:
    """Both are always said: a limit that is taken away must go."""
    return {
        "NanoCPUs": round(parse_quantity(amounts.cpu) * NANO) if amounts.cpu else 0,
        "MemoryBytes": round(parse_quantity(amounts.memory)) if amounts.memory else 0,
    }

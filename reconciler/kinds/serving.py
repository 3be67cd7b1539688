"""The processes of a ModelDeployment on this machine: its folder, web app, workers, and the jobs that try a model out. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from drivers.contract import Plan, Present, Seen
from drivers.local.folders import Folder
from drivers.local.unit import Unit, UnitSpec
from reconciler.kinds import common, ports, processes
from reconciler.kinds.local import Local, python
from reconciler.kinds.request_limits import request_limits
from specs.model_deployment import ModelDeployment

FIRST_PORT = 8437
BROKER_SECRET = "{secret.broker}"  # noqa: S105  a place, not a secret


def folder_of(seen: Seen) -> Folder | None:
    """The deployment's folder, if it is there."""
    match seen.get("folder"):
        case Present(live=Folder() as folder):
            return folder
    return None


def folder_name(obj: ModelDeployment) -> str:
    """Short: the sockets of the web app lie in it."""
    uid = str(obj.metadata.uid or "").replace("-", "")[:8]  # none in a plan for what does not exist yet
    return f"{str(obj.metadata.name)[:24]}-{uid}".rstrip("-")


def config(local: Local, obj: ModelDeployment, port: int | str) -> dict[str, Any]:
    """What every process of the deployment is told."""
    spec = obj.spec
    return {
        "name": obj.metadata.name,
        "namespace": common.namespace(obj),
        "broker": BROKER_SECRET if spec.broker else "filesystem",
        "results": "filesystem",
        "store": local.store_url,
        "host": spec.local.host if spec.local else "127.0.0.1",
        "port": port,
        "limits": request_limits(spec),
        "web": spec.web.model_dump(mode="json"),
    }


def make_folder(local: Local, obj: ModelDeployment) -> dict[str, Any]:
    """How the folder is made: its configuration, a port for life."""
    chosen = {"port": obj.spec.local.port} if obj.spec.local and obj.spec.local.port else {"firstPort": FIRST_PORT}
    documents = {"config.json": config(local, obj, "{port.http}"), "routes.json": {"revisions": []}}
    name = folder_name(obj)
    return {"name": name, "documents": documents, "ports": {"http": 1}, "folders": ["state"], **chosen}


def other_port(obj: ModelDeployment, folder: Folder, web: Unit | None) -> Plan | None:
    """What is to be done where a stranger has the port: another one, or a person's word if the spec names it."""
    if obj.spec.local and obj.spec.local.port:
        return ports.wanted_by_name(folder, web, "spec.local.port")
    return ports.moved(folder, web, {"ports": {"http": 1}, "firstPort": FIRST_PORT})


def port_of(obj: ModelDeployment, folder: Folder) -> int:
    """The port: as the spec says, else the folder's own."""
    return (obj.spec.local.port if obj.spec.local else None) or folder.ports["http"]


def url(obj: ModelDeployment, folder: Folder) -> str:
    """Where the web app answers."""
    host = obj.spec.local.host if obj.spec.local else "127.0.0.1"
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  shown, not bound
    return f"http://{shown}:{port_of(obj, folder)}"


def stale(local: Local, obj: ModelDeployment, folder: Folder) -> dict[str, Any] | None:
    """The configuration as it should be, where it is another; None where it is right."""
    want, have = config(local, obj, port_of(obj, folder)), folder.documents.get("config.json") or {}
    if want["broker"] == BROKER_SECRET:
        have = have | {"broker": BROKER_SECRET if have.get("broker") != "filesystem" else "filesystem"}
    return None if have == want else want


def web(local: Local, obj: ModelDeployment, folder: Folder) -> UnitSpec:
    """The web app."""
    return UnitSpec(
        command=python("serving.web", "--config", f"{folder.path}/config.json"),
        env=local.environment,
        label=_hash(config(local, obj, port_of(obj, folder))),
        grace_seconds=obj.spec.predictor.timeout + 10.0,
    )


def worker(local: Local, obj: ModelDeployment, folder: Folder, revision: Mapping[str, Any], index: int) -> UnitSpec:
    """One worker of a revision."""
    number, digest = str(revision["revision"]), str(revision["digest"])
    where = f"{folder.path}/config.json"
    return UnitSpec(
        command=python("serving.worker", "--config", where, "--revision", number, "--digest", digest, "--index", str(index)),
        env=local.environment,
        label=_hash(config(local, obj, port_of(obj, folder))),
        grace_seconds=obj.spec.predictor.timeout + 10.0,
    )


def preflight_label(revision: Mapping[str, Any]) -> str:
    """Tells one preflight from another."""
    return f"{revision['revision']} {revision['digest']}"


def preflight(local: Local, folder: Folder, revision: Mapping[str, Any]) -> UnitSpec:
    """Load the model where it would serve, predict its golden rows, measure."""
    where, digest = f"{folder.path}/config.json", str(revision["digest"])
    return UnitSpec(
        command=python("serving.preflight", "--config", where, "--digest", digest, "--out", "{folder}/result.json"),
        mode="job",
        env=local.environment,
        outputs=("result.json",),
        clears=("result.json",),
        label=preflight_label(revision),
    )


def score(local: Local, experiment: Mapping[str, Any], digests: tuple[str, str]) -> UnitSpec:
    """Score challenger and incumbent on the same held-out rows of the newest table."""
    status, spec = experiment.get("status") or {}, experiment.get("spec") or {}
    request = {
        "digests": list(digests),
        "dataset": (status.get("resolved") or {}).get("dataset"),
        "experiment": spec,
        "store": local.store_url,
    }
    return UnitSpec(
        command=python("training.score", "--request", "{folder}/request.json", "--out", "{folder}/result.json"),
        mode="job",
        env=local.environment,
        files={"request.json": json.dumps(request)},
        outputs=("result.json",),
        clears=("result.json",),
        label=" ".join((*digests, str(status.get("datasetDigest")))),
    )


def worker_part(revision: int, index: int) -> str:
    """The part that is this worker."""
    return f"worker/{revision}-{index}"


def revision_of(part: str) -> int | None:
    """The revision whose worker a part is; None if it is no worker."""
    head, _, tail = part.partition("/")
    return int(tail.partition("-")[0]) if head == "worker" else None


def answers(folder: Folder, unit: Unit | None, name: str) -> bool:
    """Whether this very process says that it is ready."""
    said = folder.documents.get(f"state/{name}.json") or {}
    return unit is not None and unit.state == "Running" and said.get("ready") is True and said.get("pid") == unit.pid


def web_ready(folder: Folder | None, seen: Seen) -> bool:
    """Whether the web app answers."""
    return folder is not None and answers(folder, processes.unit_of(seen, "web"), "web")


def workers_ready(folder: Folder, seen: Seen, revision: int, replicas: int) -> int:
    """How many workers of a revision answer."""
    units = ((index, processes.unit_of(seen, worker_part(revision, index))) for index in range(replicas))
    return sum(answers(folder, unit, f"worker-r{revision}-{index}") for index, unit in units)


def said_by(folder: Folder, revision: int, index: int) -> str:
    """What a worker says of itself."""
    return str((folder.documents.get(f"state/worker-r{revision}-{index}.json") or {}).get("message") or "")


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

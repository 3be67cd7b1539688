"""The services of a ModelDeployment on a Swarm: web, workers, preflight, routes; RabbitMQ, Redis, HAProxy. Pure.

All of them share one overlay network of the deployment's own, in which they call each other `web`, `broker` and `store`. What
they are told travels as Swarm configs named by their content, so that a changed text is another config and a service's update.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.contract import Present, Seen
from drivers.swarm.given import HEAD
from drivers.swarm.served import Item, Service
from reconciler.kinds import common
from reconciler.kinds.request_limits import request_limits
from reconciler.kinds.swarm import data
from reconciler.kinds.swarm.specs import (
    PASSWORD,
    SECRETS,
    USER,
    File,
    Health,
    Json,
    container,
    content_hash,
    job,
    published,
    replicated,
    volume,
)
from reconciler.kinds.swarm.specs import task as template
from specs.model_deployment import ModelDeployment
from specs.model_deployment_swarm import SwarmServing, TaskResources

FOLDER = "/tmp/anneal"  # noqa: S108  of a container of its own
CONFIG = "/etc/anneal/config.json"
MODELS = "/models"
WEB_PORT = 8000
FIXED = ("service/web", "service/entry", "service/routes")
"""The services that every deployment has, beside its workers and what keeps its data."""
TABLE = "anneal.dev/table"
"""The label in which the service `routes` carries the routing table."""
GIVEN = ("broker", "store", "models")
"""What may be others': then a secret is given that says where it is, or who may read it."""
BUCKET = f"{SECRETS}/models"
"""Who reads the bucket of models, as the AWS tools are told."""
READY = f"grep -qs '\"ready\":true' {FOLDER}/state/*.json && test -n \"$(find {FOLDER}/state -name '*.json' -mmin -2)\""
"""The process of a container says of itself that it is ready, and has said so lately. Two commands of the shell: every container
is asked this every few seconds."""
WELL = f"n=0; until {READY}; do n=$((n+1)); test $n -lt 12 || exit 1; sleep 0.25; done"
"""The same, waiting for three seconds if it is not so yet: who starts is found ready when it is, not a round later."""

HAPROXY = """\
global
    log stdout format raw local0 warning
    maxconn 8192
defaults
    mode http
    log global
    option dontlognull
    option redispatch 1
    option forwardfor
    retries 5
    retry-on conn-failure empty-response
    http-reuse safe
    timeout connect 2s
    timeout check 5s
    timeout client 75s
    timeout server {patience}s
    timeout queue 10s
    timeout http-request 30s
resolvers swarm
    nameserver dns 127.0.0.11:53
    accepted_payload_size 8192
    resolve_retries 3
    timeout resolve 500ms
    timeout retry 500ms
    hold valid 500ms
    hold obsolete 1s
frontend entry
    bind :{port}
    default_backend web
backend web
    balance leastconn
    option httpchk GET /healthz
    http-check send hdr Host localhost
    default-server check inter 1s fastinter 250ms fall 3 rise 1 resolvers swarm init-addr none resolve-prefer ipv4
    server-template web- {slots} web:{web}
"""


def swarm_of(obj: ModelDeployment) -> SwarmServing:
    """The provider's block."""
    assert obj.spec.swarm is not None
    return obj.spec.swarm


# --- what the processes are told -----------------------------------------------------------------------------------------


def app_config(obj: ModelDeployment) -> Json:
    """What web app, workers, preflight and routes are told."""
    spec, swarm = obj.spec, swarm_of(obj)
    password = f"{{file:{PASSWORD}}}"
    return {
        "name": obj.metadata.name,
        "namespace": common.namespace(obj),
        "broker": f"file:{SECRETS}/broker" if swarm.broker.credentials_ref else f"amqp://anneal:{password}@broker:5672//",
        "results": f"file:{SECRETS}/store" if swarm.store.credentials_ref else f"redis://:{password}@store:6379/0",
        "store": f"archives:{MODELS}",
        "host": "0.0.0.0",  # noqa: S104  of a container: the entry alone is reached from outside
        "port": WEB_PORT,
        "folder": FOLDER,
        "supervised": True,
        "limits": request_limits(spec),
        "web": spec.web.model_dump(mode="json"),
    }


def texts(obj: ModelDeployment) -> dict[str, str]:
    """Every config's text, by the name of its part."""
    swarm, timeout = swarm_of(obj), obj.spec.predictor.timeout
    slots = 2 * swarm.web.replicas + 2  # an update starts the new ones first
    found = {
        "app": json.dumps(app_config(obj), sort_keys=True),
        **data.texts(obj),
        "entry": HAPROXY.format(port=swarm.entry.port, web=WEB_PORT, slots=slots, patience=timeout + 20),
    }
    return {f"config/{name}-{content_hash(text)}": text for name, text in found.items()}


def model_part(obj: ModelDeployment, digest: str) -> str:
    """The config that a model travels in; another one where the spec has it fetched in another way."""
    return _ways(digest)[1 if swarm_of(obj).models.credentials_ref else 0]


def _ways(digest: str) -> tuple[str, str]:
    plain = f"config/model-{digest.removeprefix('sha256:')[:16]}"
    return plain, f"{plain}-bucket"


def model_item(obj: ModelDeployment, seen: Seen, digest: str) -> Item | None:
    """The config of a model: the wanted one, else the one that a revision of before still uses."""
    return item_of(seen, model_part(obj, digest)) or next(filter(None, (item_of(seen, part) for part in _ways(digest))), None)


def parcel(obj: ModelDeployment, seen: Seen, digest: str) -> Mapping[str, Any]:
    """How a model is sent: as a config; one that is too large for that, through this registry, or from the bucket of models."""
    cluster, models = common.live_object(seen, "cluster"), swarm_of(obj).models
    if models.credentials_ref is not None:
        return {"model": digest, "bucket": True}
    running = cluster.status.get("registry") if cluster else None
    where = models.registry or (f"http://{running}" if running else "")
    return {"model": digest, "registry": where, "expected": bool(cluster and cluster.spec.get("registry"))}


def given(seen: Seen) -> dict[str, str]:
    """The secrets that tell of what is others', by name."""
    items = {name: item_of(seen, f"{HEAD}{name}") for name in GIVEN}
    return {name: f"secret/{name}-{item.id}" for name, item in items.items() if item is not None}


# --- what is seen --------------------------------------------------------------------------------------------------------


def service_of(seen: Seen, part: str) -> Service | None:
    """The service of a part, if there is one."""
    match seen.get(part):
        case Present(live=Service() as service):
            return service
    return None


def item_of(seen: Seen, part: str) -> Item | None:
    """The network, secret or config of a part, if there is one."""
    match seen.get(part):
        case Present(live=Item() as item):
            return item
    return None


def table_of(seen: Seen) -> Mapping[str, Any]:
    """The routing table as the service `routes` is told to keep it in Redis."""
    service = service_of(seen, "service/routes")
    found: Mapping[str, Any] = json.loads(service.labels.get(TABLE, "{}")) if service else {}
    return found


def workers_part(revision: int) -> str:
    """The service of a revision's workers."""
    return f"service/workers-{revision}"


def preflight_part(revision: int) -> str:
    """The service that tries a revision out."""
    return f"service/preflight-{revision}"


def revision_of(part: str) -> int | None:
    """The revision whose workers, or whose preflight, a part is."""
    for head in ("service/workers-", "service/preflight-"):
        if part.startswith(head):
            return int(part.removeprefix(head))
    return None


# --- the services --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes the specifications, once network, secret and configs are there."""

    obj: ModelDeployment
    seen: Seen
    mode: str
    """How ports are published: "host" or "ingress"."""

    @property
    def swarm(self) -> SwarmServing:
        """The provider's block."""
        return swarm_of(self.obj)

    def web(self, image: str) -> Json:
        """The web app, in the image of what is served."""
        box = container(
            image, ["python", "-m", "serving.web", "--config", CONFIG], configs=[self._app()], secrets=self._secrets(),
            user=USER, health=Health(WELL, 3), grace=self.obj.spec.predictor.timeout + 10.0,
        )  # fmt: skip
        return replicated(self._task(box, "web", self.swarm.web.resources), self.swarm.web.replicas)

    def workers(self, row: Mapping[str, Any]) -> Json:
        """The workers of a revision."""
        number, digest = str(row["revision"]), str(row["digest"])
        command = ["python", "-m", "serving.worker", "--config", CONFIG, "--revision", number, "--digest", digest, "--index", "0"]
        box = container(
            row["image"], command, configs=[self._app(), self._model(digest)], secrets=self._secrets("models"), user=USER,
            health=Health(WELL, 2), grace=self.obj.spec.predictor.timeout + 10.0, env=self._environment(OMP_NUM_THREADS="1"),
        )  # fmt: skip
        made = self._task(box, f"workers-{number}", self.swarm.workers.resources)
        return replicated(made, self.obj.spec.predictor.min_replicas)

    def preflight(self, row: Mapping[str, Any]) -> Json:
        """Try a model out where it would serve: in this very image, on this very Swarm."""
        digest = str(row["digest"])
        command = ["python", "-m", "serving.preflight", "--config", CONFIG, "--digest", digest, "--out", "-"]
        box = container(
            row["image"], command, configs=[self._app(), self._model(digest)], secrets=self._secrets("models"), user=USER,
            env=self._environment(OMP_NUM_THREADS="1"),
        )  # fmt: skip
        made = self._task(box, "preflight", self.swarm.workers.resources)
        return job(made | {"LogDriver": {"Name": "json-file", "Options": {}}})  # its result is read from there

    def letters(self, image: str, verb: str, ids: Sequence[str], request: str) -> Json:
        """Read or replay the dead letters, once, however often this is begun anew."""
        words = ["--request", request, *(word for ident in ids for word in ("--id", ident))]
        box = container(
            image, ["python", "-m", "serving.dlq", "--config", CONFIG, verb, *words], configs=[self._app()],
            secrets=self._secrets(), user=USER,
        )  # fmt: skip
        return job(self._task(box, "letters", TaskResources()) | {"LogDriver": {"Name": "json-file", "Options": {}}})

    def routes(self, table: Mapping[str, Any], image: str) -> Json:
        """What keeps the routing table in Redis, and the cards of the models that stand in it."""
        text = json.dumps(table, sort_keys=True)
        digests = sorted({route["digest"] for route in table["revisions"]})
        box = container(
            image, ["python", "-m", "serving.keeper", "--config", CONFIG, "--table", text],
            configs=[self._app(), *map(self._model, digests)], secrets=self._secrets("models"), user=USER,
            health=Health(WELL, 1), grace=2.0, env=self._environment(),
        )  # fmt: skip
        return replicated(self._task(box, "routes", TaskResources()), 1, labels={TABLE: text})

    def keeper(self, name: str, node: str) -> Json:
        """Redis, or a member of RabbitMQ, on the node that has its data."""
        how = data.keeper(self.swarm, name)
        uid = str(self.obj.metadata.uid or "").replace("-", "")[:8]
        stem = f"anneal-{common.namespace(self.obj)}-{self.obj.metadata.name}-{uid}"
        box = container(
            how.image, ["sh", "-c", how.script], configs=[self._config(how.config, how.path)], user=how.user,
            secrets=[self._file(f"secret/{each}", each, 0o400) for each in how.secrets], health=how.health, grace=how.grace,
            mounts=[volume(f"{stem}-{name}", how.folder, {"anneal.dev/owner": uid})], hostname=name,
        )  # fmt: skip
        made = self._task(box | {"Env": list(how.env)}, name, how.resources, node)
        made["Networks"][0]["Aliases"] = list(how.aliases)
        return replicated(made, 1, start_first=False)

    def entry(self) -> Json:
        """HAProxy, on every node; behind the Swarm's own balancer where there is one."""
        port = self.swarm.entry.port
        alive = f"grep -qi ':{port:04x} [0-9a-f]*:0000 0a' /proc/net/tcp /proc/net/tcp6"
        box = container(
            self.swarm.entry.image, ["haproxy", "-W", "-db", "-f", "/etc/anneal/haproxy.cfg"],
            configs=[self._config("entry", "/etc/anneal/haproxy.cfg")], health=Health(alive, 5), grace=10.0,
        )  # fmt: skip
        return published(self._task(box, "entry", self.swarm.entry.resources), port, self.mode)

    def _task(self, box: Json, alias: str, resources: TaskResources, node: str = "") -> Json:
        network = item_of(self.seen, "network")
        assert network is not None
        pinned = [f"node.id=={node}"] if node else []
        return template(
            box, network.id, alias, resources=resources, log=self.swarm.log_driver,
            constraints=[*self.swarm.constraints, *pinned],
        )  # fmt: skip

    def _app(self) -> File:
        return self._config("app", CONFIG)

    def _config(self, name: str, path: str) -> File:
        part = next(part for part in texts(self.obj) if part.startswith(f"config/{name}-"))
        return self._file(part, path)

    def _model(self, digest: str) -> File:
        item = model_item(self.obj, self.seen, digest)
        assert item is not None, digest
        return File(item.id, item.name, f"{MODELS}/{digest.removeprefix('sha256:')}.tar")

    def _secrets(self, *more: str) -> list[File]:
        """What a process of the app needs to reach broker and store, and what else it may know."""
        own = {"password": "secret/password"} if data.keepers(self.swarm) else {}
        known = own | {name: part for name, part in given(self.seen).items() if name in ("broker", "store", *more)}
        return [self._file(part, name, 0o400) for name, part in known.items()]

    def _environment(self, **more: str) -> dict[str, str]:
        """What who fetches models is told in its environment."""
        fetches = {"AWS_SHARED_CREDENTIALS_FILE": BUCKET, "AWS_CONFIG_FILE": BUCKET} if "models" in given(self.seen) else {}
        return more | fetches

    def _file(self, part: str, path: str, mode: int = 0o444) -> File:
        item = item_of(self.seen, part)
        assert item is not None, part
        return File(item.id, item.name, path, mode)

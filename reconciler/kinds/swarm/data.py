"""What keeps a deployment's data on a Swarm: RabbitMQ, one or a cluster of three, and Redis. Pure.

Each is a service of one task, pinned to the node that has its volume. A broker of three is three such services: each member has
a name and a home of its own, which is what RabbitMQ knows its members by.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.contract import Present, Seen
from drivers.swarm.served import Service
from reconciler.kinds.request_limits import task_seconds
from reconciler.kinds.swarm.specs import PASSWORD, Health
from specs.model_deployment import ModelDeployment
from specs.model_deployment_swarm import SwarmServing, TaskResources

COOKIE = "/run/secrets/cookie"
REDIS = """\
port 6379
bind 0.0.0.0
dir /data
save ""
appendonly yes
appendfsync always
maxmemory-policy noeviction
"""
RABBITMQ = """\
listeners.tcp.default = 5672
default_user = anneal
default_vhost = /
log.console = true
log.console.level = warning
log.file = false
consumer_timeout = {patience}
"""
CLUSTERED = """\
cluster_name = {name}
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.discovery_retry_limit = 60
cluster_formation.discovery_retry_interval = 1000
"""
"""Beside the above, where there are three. Which of them are there is found out when a member starts for the first time."""

START_REDIS = (
    f'umask 077; {{ cat /etc/anneal/redis.conf; printf "requirepass %s\\n" "$(cat {PASSWORD})"; }} > /tmp/redis.conf;'
    " exec redis-server /tmp/redis.conf"
)
START_RABBITMQ = (
    f'umask 077; {{ cat /etc/anneal/rabbitmq.conf; printf "default_pass = %s\\n" "$(cat {PASSWORD})"; }} > /tmp/rabbitmq.conf;'
    ' export RABBITMQ_CONFIG_FILE=/tmp/rabbitmq.conf PATH="/usr/lib/rabbitmq/bin:$PATH"; '
)
ERLANG = "+sbwt none +sbwtdcpu none +sbwtdio none"
"""A scheduler of Erlang that has nothing to do sleeps, and does not keep a core from those who have."""
GIVE_UP = "-kernel net_ticktime 15"
"""A member without power is given up after so many seconds."""
RUN_RABBITMQ = "exec rabbitmq-server"
JOINED = "/var/lib/rabbitmq/joined"
JOIN = (
    f"rm -f $HOME/.erlang.cookie; cat {COOKIE} > $HOME/.erlang.cookie; chmod 400 $HOME/.erlang.cookie; number=0;"
    " for peer in %s; do"
    '   if [ "$peer" = "$HOSTNAME" ] || getent hosts $peer >/dev/null 2>&1 || nslookup $peer >/dev/null 2>&1; then'
    '     number=$((number + 1)); echo "cluster_formation.classic_config.nodes.$number = rabbit@$peer" >> /tmp/rabbitmq.conf;'
    f'     if [ "$peer" != "$HOSTNAME" ] && [ ! -e {JOINED} ]'
    '       && rabbitmqctl -q -n "rabbit@$peer" forget_cluster_node "$RABBITMQ_NODENAME" >/dev/null 2>&1;'
    "     then rm -rf $HOME/mnesia; fi;"
    "   fi; done;"
    " for try in $(seq 100); do sleep 5; rabbitmqctl -q -n $RABBITMQ_NODENAME await_startup --timeout 600"
    " && rabbitmq-queues -q -n $RABBITMQ_NODENAME grow $RABBITMQ_NODENAME all && break; done >/dev/null 2>&1 & "
)
"""Members that the Swarm knows are joined; who finds none is the first. Whoever has been a member remembers the others itself.
One that others remember, and that knows nothing of it, has lost its volume: they forget it, and it joins as a new one. In the end
it gets a copy of each queue that has none with it."""

PING = f'REDISCLI_AUTH="$(cat {PASSWORD})" redis-cli ping | grep -q PONG'
LISTENS = "grep -qi ':{port:04x} [0-9a-f]*:0000 0a' /proc/net/tcp /proc/net/tcp6"
"""A port in the state LISTEN."""
ANSWERS = LISTENS.format(port=5672)
HEARS = LISTENS.format(port=25672)
MEMBER = f"{{ {ANSWERS} && touch {JOINED}; }} || {{ test -e {JOINED} && {HEARS}; }}"
"""A member is well once it has joined and takes clients; from then on it is as soon as other members can speak to it. For only
who is well has a name on a Swarm, and after a power cut of all of them each waits for the others before it takes clients."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """One service that keeps data."""

    name: str
    aliases: tuple[str, ...]
    """What others call it in the deployment's network."""
    image: str
    user: str
    script: str
    folder: str
    """Where its volume is."""
    config: str
    """The config that it is told, without the hash."""
    path: str
    """Where that is."""
    health: Health
    grace: float
    env: tuple[str, ...]
    resources: TaskResources
    secrets: tuple[str, ...] = ("password",)


def keepers(swarm: SwarmServing) -> tuple[str, ...]:
    """The names of the services that keep data, in the order in which they are made; none where others keep it."""
    store = () if swarm.store.credentials_ref else ("store",)
    return (*store, *brokers(swarm))


def brokers(swarm: SwarmServing) -> tuple[str, ...]:
    """The names of RabbitMQ's services."""
    if swarm.broker.credentials_ref:
        return ()
    return ("broker",) if swarm.broker.replicas == 1 else tuple(f"broker-{n + 1}" for n in range(swarm.broker.replicas))


def secrets(swarm: SwarmServing) -> dict[str, int]:
    """Secrets of our own making and how many random bytes each has: one password for broker and store, Erlang's cookie."""
    found = {"secret/password": 32} if keepers(swarm) else {}
    return found | ({"secret/cookie": 32} if len(brokers(swarm)) > 1 else {})


def runs(seen: Seen, name: str) -> bool:
    """Whether one of them does."""
    match seen.get(f"service/{name}"):
        case Present(live=Service() as service):
            return bool(service.running)
    return False


def gathered(swarm: SwarmServing, seen: Seen) -> bool:
    """Whether all members of a cluster are there; true where there is none."""
    return len(brokers(swarm)) < 2 or all(runs(seen, name) for name in brokers(swarm))


def keeping(swarm: SwarmServing, seen: Seen) -> bool:
    """Whether data is kept: the store runs, and of the broker's members more than half."""
    members = brokers(swarm)
    up = sum(runs(seen, name) for name in members)
    return up > len(members) // 2 - (not members) and all(runs(seen, name) for name in keepers(swarm) if name not in members)


def texts(obj: ModelDeployment) -> dict[str, str]:
    """What they are told, by the name of the config."""
    assert obj.spec.swarm is not None
    swarm, members = obj.spec.swarm, brokers(obj.spec.swarm)
    rabbit = RABBITMQ.format(patience=max(1800, task_seconds(obj.spec) + 300) * 1000)
    if len(members) > 1:
        rabbit += CLUSTERED.format(name=obj.metadata.name)
    found = {"store": REDIS} if "store" in keepers(swarm) else {}
    return found | ({"broker": rabbit} if members else {})


def keeper(swarm: SwarmServing, name: str) -> Keeper:
    """How one of them is made."""
    if name == "store":
        return Keeper(
            name, ("store",), swarm.store.image, str(swarm.store.user), START_REDIS, "/data", "store", "/etc/anneal/redis.conf",
            Health(PING, 5), 10.0, (), swarm.store.resources,
        )  # fmt: skip
    members, home, own = brokers(swarm), "/var/lib/rabbitmq", swarm.broker
    alone = len(members) == 1
    env = [
        f"HOME={home}", "RABBITMQ_LOGS=-", f"RABBITMQ_NODENAME=rabbit@{'localhost' if alone else name}",
        f"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={ERLANG if alone else f'{ERLANG} {GIVE_UP}'}",
    ]  # fmt: skip
    return Keeper(
        name, ("broker",) if alone else ("broker", name), own.image, str(own.user),
        START_RABBITMQ + ("" if alone else JOIN % " ".join(members)) + RUN_RABBITMQ, home, "broker",
        "/etc/anneal/rabbitmq.conf", Health(ANSWERS if alone else MEMBER, 5, start_seconds=180), 30.0, tuple(sorted(env)),
        own.resources, ("password",) if alone else ("cookie", "password"),
    )  # fmt: skip

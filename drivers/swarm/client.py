"""Docker Engines over their API: time limits, TLS, the fence, and every failure as one of the contract's errors.

The only file that imports the SDK. Calls are made in threads: the SDK blocks. A change is never sent twice, and gets a connection
of its own: a kept one may be dead already, and then nobody could tell whether the request had arrived.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, TLSParameterError
from docker.tls import TLSConfig

from drivers.contract import Ambiguous, CredentialsInvalid, DriverError, Fence, Unreachable
from drivers.swarm.errors import classify, tidy, unsent
from drivers.swarm.tunnel import Tunnel, TunnelFailed

T = TypeVar("T")
AT_ONCE = 16
"""So many calls are under way at a time; more wait."""
CONNECT_SECONDS = 3.0
_POOL = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="docker")


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of this machine: the CA that the engine's certificate is checked against, and our own certificate with its key."""

    ca_file: str
    cert_file: str
    key_file: str


class Api(docker.APIClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's low-level client, and bodies as the Engine API writes them: the SDK's builders drop what they do not know."""

    def create_service_raw(self, spec: dict[str, Any]) -> str:
        """Create a service from a ServiceSpec; its id."""
        return str(self._result(self._post_json(self._url("/services/create"), data=spec), True)["ID"])

    def update_service_raw(self, service: str, version: int, spec: dict[str, Any]) -> None:
        """Replace a service's whole ServiceSpec."""
        url = self._url("/services/{0}/update", service)
        self._raise_for_status(self._post_json(url, data=spec, params={"version": version}))

    def update_node_raw(self, node: str, version: int, spec: dict[str, Any]) -> None:
        """Replace a node's whole NodeSpec."""
        url = self._url("/nodes/{0}/update", node)
        self._raise_for_status(self._post_json(url, data=spec, params={"version": version}))

    def update_swarm_raw(self, version: int, spec: dict[str, Any], *, rotate: bool = False) -> None:
        """Replace the Swarm's whole spec; `rotate` makes new join tokens in the same call."""
        params = {"version": version, "rotateWorkerToken": rotate, "rotateManagerToken": rotate}
        self._raise_for_status(self._post_json(self._url("/swarm/update"), data=spec, params=params))

    def init_swarm_raw(self, body: dict[str, Any]) -> str:
        """Make a Swarm with this engine as its only manager; the node's id."""
        return str(self._result(self._post_json(self._url("/swarm/init"), data=body), True))

    def pull_if_there(self, name: str, tag: str) -> bool:
        """Pull an image; False if the registry does not have it, or is not to be had."""
        try:
            return not any("error" in line for line in self.pull(name, tag=tag, stream=True, decode=True))
        except APIError:
            return False

    def join_swarm_raw(self, body: dict[str, Any]) -> None:
        """Join a Swarm."""
        self._raise_for_status(self._post_json(self._url("/swarm/join"), data=body))


class Engine:
    """One endpoint: unix://, tcp:// (with TLS, but on loopback), ssh://."""

    def __init__(self, url: str, tls: Tls | None, call_seconds: float) -> None:
        self.url, self._tls, self._seconds = url, tls, call_seconds
        self._tunnel = Tunnel(url) if url.startswith("ssh://") else None
        self._version = ""
        self._readers = threading.local()

    def reader(self) -> Api:
        """A client for looks: one for each thread, its connections kept."""
        where = self._where()
        kept: tuple[str, Api] | None = getattr(self._readers, "kept", None)
        if kept is None or kept[0] != where:
            kept = self._readers.kept = (where, self._make(where))
        return kept[1]

    def writer(self) -> Api:
        """A client for one change."""
        return self._make(self._where())

    def close(self) -> None:
        """End the tunnel, if there is one; it is made again when it is needed."""
        if self._tunnel is not None:
            self._tunnel.close()

    def _where(self) -> str:
        return self.url if self._tunnel is None else self._tunnel.open(self._seconds)

    def _make(self, where: str) -> Api:
        tls: Any = False
        if self._tls is not None:
            own = (self._tls.cert_file, self._tls.key_file)
            tls = TLSConfig(client_cert=own, ca_cert=self._tls.ca_file, verify=True)
        # a host without power answers nobody: to find out must not take as long as an answer may
        timeout: Any = (min(CONNECT_SECONDS, self._seconds), self._seconds) if where.startswith("tcp://") else self._seconds
        api = Api(where, version=self._version or "1.41", timeout=timeout, tls=tls)
        api.trust_env = False  # the daemon's proxy settings are not for engines
        if not self._version:
            self._version = api._version = str(api.version(api_version=False)["ApiVersion"])
        return api


class Docker:
    """One Swarm, or one engine: the endpoint that answered last is asked first, the others when it does not answer."""

    def __init__(self, endpoints: Sequence[str], tls: Tls | None, fence: Fence, call_seconds: float) -> None:
        self.name = ",".join(endpoints)
        self._engines = [Engine(url, tls, call_seconds) for url in endpoints]
        self._fence = fence

    def fence(self) -> None:
        """Raise LeaseLost if this daemon may not change anything now: what belongs to a Swarm is not all on its engines."""
        self._fence()

    async def read(self, doing: str, call: Callable[[Api], T]) -> T:
        """Make one look. Raises DriverError."""
        return await _in_thread(lambda: self._ask(doing, call, mutating=False))

    async def look(self, doing: str, call: Callable[[Api], T]) -> T | None:
        """Make one look; None for a healthy "there is none"."""
        return await _in_thread(lambda: _or_none(lambda: self._ask(doing, call, mutating=False, plain_404=True)))

    async def write(self, doing: str, call: Callable[[Api], T]) -> T:
        """Make one change: exactly one mutating call. Ambiguous if the answer was lost; never sent twice."""
        return await _in_thread(lambda: self._ask(doing, call, mutating=True))

    async def remove(self, doing: str, call: Callable[[Api], object]) -> None:
        """Make one removal; what is gone is gone."""
        await _in_thread(lambda: _or_none(lambda: self._ask(doing, call, mutating=True, plain_404=True)))

    async def close(self) -> None:
        """Let go of tunnels; may be called twice, and used again."""
        for engine in self._engines:
            await _in_thread(engine.close)

    def _ask(self, doing: str, call: Callable[[Api], T], *, mutating: bool, plain_404: bool = False) -> T:
        errors: list[Unreachable] = []
        for engine in list(self._engines):
            try:
                answer = self._once(engine, doing, call, mutating=mutating, plain_404=plain_404)
            except Unreachable as error:  # nothing was done there: another manager may know better
                errors.append(error)
                continue
            if engine is not self._engines[0]:
                self._engines.sort(key=lambda one: one is not engine)
            return answer
        raise errors[0]

    def _once(self, engine: Engine, doing: str, call: Callable[[Api], T], *, mutating: bool, plain_404: bool) -> T:
        sent = False
        try:
            api = engine.writer() if mutating else engine.reader()
            if mutating:
                self._fence()
            sent = mutating
            return call(api)
        except APIError as error:
            words = str(error.explanation or error)
            if plain_404 and error.status_code == 404:
                raise Missing from error
            raise classify(doing, int(error.status_code or 500), words, mutating=sent) from error
        except (TLSParameterError, TunnelFailed) as error:
            raise _failed(doing, engine, error, sent=False) from error
        except (requests.exceptions.RequestException, DockerException, OSError, ValueError, KeyError) as error:
            raise _failed(doing, engine, error, sent=sent and not unsent(error)) from error


class Missing(Exception):
    """A healthy 404."""


def connect(
    endpoints: Sequence[str], tls: Tls | None = None, *, fence: Fence = lambda: None, call_seconds: float = 30.0
) -> Docker:
    """A client of these managers (or this engine); nothing is sent yet."""
    return Docker(endpoints, tls, fence, call_seconds)


def _failed(doing: str, engine: Engine, error: Exception, *, sent: bool) -> DriverError:
    text = tidy(str(error) or type(error).__name__)
    if sent:
        return Ambiguous(f"cannot {doing}: the answer was lost ({text}); whether it took place is unknown, looking again")
    if isinstance(error, TLSParameterError) or "certificate required" in text or "bad certificate" in text:
        return CredentialsInvalid(f"cannot {doing}: {engine.url} does not take our certificate ({text}); check spec …tls")
    return Unreachable(f"cannot {doing}: {engine.url} does not answer ({text}); asking again")


def _or_none(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except Missing:
        return None


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_POOL, call)

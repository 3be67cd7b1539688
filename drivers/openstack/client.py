"""One account of one OpenStack cloud. The only file that imports openstacksdk; every failure is one of the contract's errors.

What keystoneauth does by itself and must not: it sends a POST again after a read that timed out if `connect_retries` is above 0,
and after a 503 if `status_code_retries` is; a clouds.yaml can set both. Here both are 0 in each call, and redirects are off.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from drivers.contract import Ambiguous, CredentialsInvalid, DriverError, Fence, InvalidConfiguration, Unreachable
from drivers.openstack.errors import REFUSED, classify, refused, unanswered

Found = TypeVar("Found")
THREADS = 16
CONNECT_SECONDS = 5.0
STALE_SECONDS = 300.0
"""A connection that is older than this is made anew after an error."""
SERVICES = {"compute": "compute", "network": "network", "image": "image", "volume": "block_storage"}
"""What a driver calls a service → what openstacksdk calls it."""
MICROVERSIONS = {"compute": "2.79", "volume": "3.42"}
"""2.79 (Train): tags at create since 2.52, the flavor's name in the server since 2.47, cells that are down since 2.69.
3.42 (Pike): a volume grows while a server uses it."""
SECRETS = ("password", "application_credential_secret", "token", "client_secret", "passcode")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was understood. `status` is 2xx, or 404 for a question or a removal."""

    status: int
    body: Any


@dataclass(slots=True)
class _Call:
    """One request, on its way through a thread."""

    doing: str
    service: str
    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = None
    given_up: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for the answer any more: what was not sent yet is not sent."""
    entered: bool = False
    """Whether Keystone let us in."""
    sent: bool = False

    @property
    def mutating(self) -> bool:
        return self.method != "GET"


class CloudClient:
    """Calls to the services of one cloud, each in a thread of a small pool. `close` when done; it opens again when used.

    `config` is asked before each call: another entry than before is another connection, so what was rotated needs no restart.
    """

    def __init__(self, name: str, config: Callable[[], Mapping[str, Any]], fence: Fence, call_seconds: float = 30.0) -> None:
        self.name = name
        self._config, self._fence, self.call_seconds = config, fence, call_seconds
        self._lines: dict[bool, _Line] = {}
        self._known: Mapping[str, Any] | None = None
        self._project: tuple[Mapping[str, Any], str] = ({}, "")
        """An entry of clouds.yaml and the project that it leads to."""
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    async def read(self, doing: str, service: str, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        """GET. A 404 is an answer; every other failure raises."""
        return await self._run(_Call(doing, service, "GET", path, query))

    async def write(self, doing: str, service: str, method: str, path: str, body: Any = None) -> Answer:
        """Make one mutating call. A 404 raises, but for DELETE. Ambiguous if the answer was lost. Never sent twice."""
        return await self._run(_Call(doing, service, method, path, None, body))

    async def project(self) -> str:
        """The id of the project that the credentials lead to. Asks Keystone when they are new; raises as `read` does."""
        entry, project = self._project
        call = _Call("log in", "identity", "GET", "")
        if project and entry == self._entry(call):
            return project
        return await self._in_thread(self._log_in, call)

    async def rows(
        self, doing: str, service: str, path: str, table: str, query: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """All rows of a list, however many pages the cloud makes of it."""
        rows: list[dict[str, Any]] = []
        page = dict(query or {})
        while True:
            answer = await self.read(doing, service, path, page)
            if answer.status == 404 or not isinstance(answer.body, dict) or not isinstance(answer.body.get(table), list):
                raise Unreachable(f"cannot {doing}: the answer holds no {table}; asking again")
            found = answer.body[table]
            rows += found
            more = any(link.get("rel") == "next" for link in answer.body.get(f"{table}_links") or ()) or answer.body.get("next")
            if not more or not found:
                return rows
            page["marker"] = _marker(doing, found[-1])

    async def close(self) -> None:
        """Close connections and threads. May be called twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        self._forget()

    async def _run(self, call: _Call) -> Answer:
        try:
            return await self._in_thread(self._call, call)
        finally:
            call.given_up.set()

    async def _in_thread(self, work: Callable[[_Call], Found], call: _Call) -> Found:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"openstack-{self.name}")
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, call)

    def _log_in(self, call: _Call) -> str:
        """In a thread: get a token, and read in it for which project it is."""
        secrets: tuple[str, ...] = ()
        try:
            entry = self._entry(call)
            line, secrets = self._line(call)
            project = str(line.session.get_project_id() or "")
        except DriverError:
            raise
        except Exception as error:
            raise self._failed(call, error, secrets) from None
        with self._lock:
            self._project = (entry, project)
        return project

    def _call(self, call: _Call) -> Answer:
        """In a thread: send, at most once; once more after a 401, which means that nothing was done."""
        secrets: tuple[str, ...] = ()
        try:
            line, secrets = self._line(call)
            response = line.send(call, self._fence, self.call_seconds)
            if response.status_code == 401:
                line.session.invalidate()
                call.entered = call.sent = False
                response = line.send(call, self._fence, self.call_seconds)
        except DriverError:
            raise
        except Exception as error:
            raise self._failed(call, error, secrets) from None  # what keystoneauth chains may hold the request, token and all
        found = response.status_code == 404 and call.method in ("GET", "DELETE")
        if response.status_code // 100 != 2 and not found:
            headers = response.headers
            raise classify(call.doing, response.status_code, response.content, headers, mutating=call.mutating, secrets=secrets)
        return Answer(response.status_code, _parse(call, response.content if response.status_code != 404 else b""))

    def _line(self, call: _Call) -> tuple[_Line, tuple[str, ...]]:
        """The connection for reading or for changing, made anew when the configuration is another."""
        config = self._entry(call)
        secrets = tuple(str(value) for key, value in (config.get("auth") or {}).items() if key in SECRETS)
        with self._lock:
            if config != self._known:
                self._lines, self._known = {}, config
            if call.mutating not in self._lines:
                self._lines[call.mutating] = _Line(config, keep_alive=not call.mutating)
            return self._lines[call.mutating], secrets

    def _entry(self, call: _Call) -> Mapping[str, Any]:
        """What clouds.yaml says now."""
        try:
            return self._config()
        except DriverError:
            raise
        except Exception as error:
            raise CredentialsInvalid(f"cannot {call.doing}: clouds.yaml cannot be read: {type(error).__name__}") from None

    def _failed(self, call: _Call, error: Exception, secrets: tuple[str, ...]) -> DriverError:
        """The contract's error for what was raised instead of an answer."""
        if isinstance(error, ModuleNotFoundError):
            advice = "install it: pip install 'anneal[openstack]'"
            return InvalidConfiguration(f"cannot {call.doing}: {error.name} is not installed; {advice}")
        self._doubt(call.mutating)
        return _failure(call, error, secrets)

    def _doubt(self, mutating: bool) -> None:
        """openstacksdk remembers for ever that a service is missing: after a while of errors the catalogue is read anew."""
        with self._lock:
            line = self._lines.get(mutating)
            if line is not None and time.monotonic() - line.born > STALE_SECONDS:
                del self._lines[mutating]

    def _forget(self) -> None:
        with self._lock:
            lines, self._lines, self._known = self._lines, {}, None
        for line in lines.values():
            line.close()


class _Line:
    """One openstacksdk connection. Changes get one whose sockets are used once: a kept-alive one may be dead already, and then
    nobody can tell whether the request had arrived."""

    def __init__(self, config: Mapping[str, Any], *, keep_alive: bool) -> None:
        import openstack.connection
        from keystoneauth1.session import TCPKeepAliveAdapter
        from openstack.config import OpenStackConfig

        region = OpenStackConfig(load_yaml_config=False, load_envvars=False).get_one(**config)
        self._sdk = openstack.connection.Connection(config=region)
        self.session = self._sdk.session
        self._headers = {} if keep_alive else {"Connection": "close"}
        self._lock = threading.Lock()
        self._proxies: dict[str, Any] = {}
        self.born = time.monotonic()
        for scheme in ("http://", "https://"):
            self.session.session.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=THREADS))

    def send(self, call: _Call, fence: Fence, seconds: float) -> Any:
        """Send it: the token and the endpoint first, then the fence, then the request itself."""
        self.session.get_token()
        call.entered = True
        proxy = self._proxy(call.service)
        if call.mutating:
            if call.given_up.is_set():
                raise Unreachable(f"cannot {call.doing}: nobody waits for it any more; nothing was sent")
            fence()
        call.sent = True
        return proxy.request(
            call.path,
            call.method,
            params=call.query,
            json=call.body,
            headers=self._headers,
            microversion=MICROVERSIONS.get(call.service),
            timeout=(min(CONNECT_SECONDS, seconds), seconds),
            raise_exc=False,
            redirect=False,
            allow_reauth=False,
            connect_retries=0,
            status_code_retries=0,
        )

    def _proxy(self, service: str) -> Any:
        with self._lock:
            if service not in self._proxies:
                proxy = getattr(self._sdk, SERVICES[service])
                proxy.get_endpoint()  # finds its versions now, so that no change waits for that
                self._proxies[service] = proxy
            return self._proxies[service]

    def close(self) -> None:
        self._sdk.close()


def _marker(doing: str, row: Mapping[str, Any]) -> str:
    """Where the next page begins: after this id; after this name for key pairs, which Nova wraps each."""
    last = row if "id" in row else next(iter(row.values()), None)
    found = last.get("id" if "id" in row else "name") if isinstance(last, Mapping) else None
    if not found:
        raise Unreachable(f"cannot {doing}: a page of the answer ends without an id; asking again")
    return str(found)


def _failure(call: _Call, error: Exception, secrets: tuple[str, ...]) -> DriverError:
    """The contract's error for what openstacksdk or keystoneauth raised."""
    mutating = call.mutating and call.sent
    status, response = getattr(error, "http_status", None), getattr(error, "response", None)
    if isinstance(status, int) and status >= 400:
        raw = getattr(response, "content", None) or str(error).encode()
        headers = getattr(response, "headers", None) or {}
        if not call.entered and status in REFUSED:
            return refused(call.doing, raw, secrets)
        return classify(call.doing, status, raw, headers, mutating=mutating, secrets=secrets)
    return unanswered(call.doing, error, mutating=mutating, secrets=secrets)


def _parse(call: _Call, raw: bytes) -> Any:
    """The JSON of an answer, None if it has no body. A 2xx that cannot be read is a lost answer."""
    if not raw.strip():
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        kind = Ambiguous if call.mutating else Unreachable
        raise kind(f"cannot {call.doing}: the cloud's answer makes no sense: {error}; looking again") from error

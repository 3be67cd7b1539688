"""HTTP to the simulated cloud: time limits, the token, the fence, and every failure as one of the contract's errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from drivers.contract import Ambiguous, CredentialsInvalid, DriverError, Fence, Unreachable
from drivers.simulated.errors import classify

Token = Callable[[], str]


CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was understood. `status` is 2xx or 404."""

    status: int
    body: Any


class AnswerLost(aiohttp.ClientError):
    """The connection broke after the request was sent."""


async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a DELETE again by itself, as it does when a connection breaks."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise AnswerLost(str(error)) from error


class CloudClient:
    """One account of one cloud. Use within one event loop; `close` when done.

    `token` is called again when the cloud refuses what it said before: a rotated token needs no restart.
    """

    def __init__(self, endpoint: str, *, token: Token | None, fence: Fence, call_seconds: float = 30.0) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._token, self._fence = token, fence
        self._timeout = aiohttp.ClientTimeout(total=call_seconds, sock_connect=min(CONNECT_SECONDS, call_seconds))
        self._secret = ""
        self._project: str | None = None
        self._readers: aiohttp.ClientSession | None = None
        self._writers: aiohttp.ClientSession | None = None

    async def read(self, doing: str, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET. A 404 is an answer; every other failure raises. The view is checked to be our project's."""
        project = await self._identity()
        return await self._ask(doing, "GET", path, query=query, project=project)

    async def write(self, doing: str, method: str, path: str, body: Any = None) -> Answer:
        """Make one mutating call. A 404 raises, but for DELETE. Ambiguous if the answer was lost. Never sent twice."""
        return await self._ask(doing, method, path, body=body)

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        for session in (self._readers, self._writers):
            if session is not None:
                await session.close()
        self._readers = self._writers = None

    async def _identity(self) -> str:
        """The project that our token is for, asked once per token."""
        if self._project is None:
            answer = await self._ask("identify with the cloud", "GET", "/identity")
            if not isinstance(answer.body, dict) or not answer.body.get("project"):
                raise Unreachable(f"cannot identify with the cloud: {self.endpoint} is not one; check the endpoint")
            self._project = str(answer.body["project"])
        return self._project

    async def _ask(self, doing: str, method: str, path: str, **more: Any) -> Answer:
        """Ask; on 401 read the token anew, and ask once more if it has changed. A 401 means that nothing was done."""
        used = self._secret or self._read_token(doing)
        try:
            return await self._once(doing, method, path, used, **more)
        except CredentialsInvalid:
            fresh = self._read_token(doing)
            if fresh == used:
                raise
            return await self._once(doing, method, path, fresh, **more)

    async def _once(
        self,
        doing: str,
        method: str,
        path: str,
        secret: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        project: str | None = None,
    ) -> Answer:
        mutating = method != "GET"
        headers = {"X-Auth-Token": secret, "Content-Type": "application/json"}
        try:
            session = self._session(mutating)
            async with session.request(
                method,
                self.endpoint + path,
                params=query,
                data=None if body is None else orjson.dumps(body),
                headers=headers,
                allow_redirects=False,
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise failure(doing, error, mutating=mutating) from error
        if response.status // 100 != 2 and not (response.status == 404 and method in ("GET", "DELETE")):
            raise classify(doing, response.status, raw, response.headers, mutating=mutating, secret=secret)
        if project is not None and (seen := response.headers.get("X-Project-Id")) != project:
            raise Unreachable(
                f"cannot {doing}: the cloud shows project {seen!r}, the token is for {project!r}; nothing is concluded from it",
                request_id=response.headers.get("X-Request-Id"),
            )
        return Answer(response.status, parse(doing, raw, response, mutating=mutating))

    def _read_token(self, doing: str) -> str:
        try:
            token = self._token() if self._token else ""
        except CredentialsInvalid:
            raise
        except Exception as error:
            raise CredentialsInvalid(f"cannot {doing}: the token cannot be read: {error}; check credentialsRef") from error
        if not (token.isascii() and token.isprintable()):
            raise CredentialsInvalid(f"cannot {doing}: the token is more than one line of plain text; check credentialsRef")
        self._secret = token
        return token

    def _session(self, mutating: bool) -> aiohttp.ClientSession:
        common: dict[str, Any] = {"timeout": self._timeout, "cookie_jar": aiohttp.DummyCookieJar()}
        if self._readers is None or self._writers is None:
            self._readers = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32), **common)
            # A change gets a connection of its own: a kept-alive one may be dead already, and then nobody can tell whether the
            # request had arrived.
            alone = aiohttp.TCPConnector(limit=32, force_close=True)
            self._writers = aiohttp.ClientSession(
                connector=alone, request_class=fenced(self._fence), middlewares=[once], **common
            )
        return self._writers if mutating else self._readers


def fenced(fence: Fence) -> type[aiohttp.ClientRequest]:
    """Requests that ask the fence when the connection stands, right before the first byte is written."""

    class FencedRequest(aiohttp.ClientRequest):
        async def send(self, conn: Any) -> aiohttp.ClientResponse:
            fence()
            return await super().send(conn)

    return FencedRequest


def failure(doing: str, error: Exception, *, mutating: bool) -> DriverError:
    """The contract's error for a call that got no answer. Pure."""
    text = str(error) or type(error).__name__
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)):
        return Unreachable(f"cannot {doing}: {text}; nothing was sent, trying again")
    if mutating:
        return Ambiguous(f"cannot {doing}: the answer was lost ({text}); whether it took place is unknown, looking again")
    return Unreachable(f"cannot {doing}: no answer ({text}); asking again")


def parse(doing: str, raw: bytes, response: aiohttp.ClientResponse, *, mutating: bool) -> Any:
    """The JSON of an answer. A 2xx that cannot be read is a lost answer."""
    if response.status in (204, 404):
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        kind = Ambiguous if mutating else Unreachable
        raise kind(f"cannot {doing}: the cloud's answer makes no sense: {error}; looking again") from error

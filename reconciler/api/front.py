"""The door of this home: one HTTPS socket behind the gate, that finds its port again after a restart.

Behind it stand the embedded API, where there is one, and the daemon's own answers under /anneal/v1/, in every mode.
"""

from __future__ import annotations

import asyncio
import errno
import json
import random
import socket
from collections.abc import Awaitable, Callable, Iterable

import orjson
import structlog
from aiohttp import web
from aiohttp.web_urldispatcher import UrlDispatcher

from reconciler.api import errors
from reconciler.api.auth import Gate, own_names
from reconciler.api.pki import Pki, check_secret, write_secret
from reconciler.client import ApiError
from reconciler.home import Home
from reconciler.metrics import CONTENT_TYPE, METRICS

log = structlog.get_logger()

STOP_SECONDS = 2.0
PORTS = range(20_000, 32_768)
"""Below the range of Linux's outgoing connections: there, any of them could take our port while we are down."""
BODY_BYTES = 3 * 1024 * 1024
IDLE_SECONDS = 75.0
"""A connection on which no request is complete for this long is closed, however slowly one trickles in."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """Serves /healthz, /livez, /readyz, /metrics and what is mounted; everything else goes to `handler`, if there is one."""

    def __init__(
        self,
        home: Home,
        host: str = "127.0.0.1",
        port: int | None = None,
        body_bytes: int = BODY_BYTES,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.home = home
        self.host = host
        self.port = port
        """None: the port of the last time, or one that the system chooses; known after `listen`."""
        self.pki = Pki(home.pki)
        self.not_ready: Callable[[], list[str]] = list
        """What /readyz asks: the reasons why the daemon is not ready."""
        self.handler: Handler | None = None
        self._body_bytes = body_bytes
        self._idle_seconds = idle_seconds
        self._mounted = UrlDispatcher()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it answers; https always."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"

    @property
    def token(self) -> str:
        """The bearer token."""
        return self.pki.token.read_text().strip()

    def mount(self, routes: Iterable[web.RouteDef]) -> None:
        """Serve these as well, behind the same gate, from now on. Their paths begin with /anneal/v1/."""
        for route in routes:
            if not route.path.startswith("/anneal/v1/"):
                raise ValueError(f"cannot mount {route.path}: extra routes live under /anneal/v1/")
            route.register(self._mounted)

    def prepare(self) -> None:
        """Make what is missing of certificates and token. UnsafeFile if a secret file can be read by others."""
        self.home.prepare()
        for path in (self.home.kubeconfig, *self.pki.secret_files()):
            check_secret(path)
        self.pki.ensure(own_names(self.host))

    async def listen(self) -> None:
        """Open the socket and answer; OSError says what to do."""
        self._gate = Gate(self.token, own_names(self.host))
        app = web.Application(middlewares=[self._guard], client_max_size=self._body_bytes)
        for path in ("/healthz", "/livez", "/readyz", "/metrics"):
            app.router.add_get(path, self._own)
        app.router.add_route("*", "/anneal/v1/{tail:.*}", self._extra)
        if self.handler is not None:
            app.router.add_route("*", "/{tail:.*}", self.handler)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_SECONDS, keepalive_timeout=self._idle_seconds
        )
        await self._runner.setup()
        listener = self._bind()
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, ssl_context=self.pki.context()).start()
        write_secret(self.home.server_record, json.dumps({"host": self.host, "port": self.port}).encode())

    async def close(self) -> None:
        """Close the socket and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _bind(self) -> socket.socket:
        """The port that was asked for; else the one of the last time; else any."""
        if self.port is not None:
            return _socket(self.host, self.port)
        recorded = self._recorded_port()
        for port in (*((recorded,) if recorded else ()), *random.sample(PORTS, 50), 0):
            try:
                return _socket(self.host, port)
            except OSError as e:
                if e.errno not in (errno.EADDRINUSE, errno.EACCES) or port == 0:
                    raise
            if port == recorded:
                log.warning("api.port_taken", port=port)
        raise AssertionError("port 0 was bound or raised")

    def _recorded_port(self) -> int:
        try:
            return int(json.loads(self.home.server_record.read_text())["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    # --- handlers -----------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The gate before everything; every refusal and every fault as a metav1.Status."""
        if refused := self._gate.refuse(request.method, request.path, request.headers):
            return _failure(refused)
        try:
            return await handler(request)
        except ApiError as e:
            return _failure(e)
        except web.HTTPMethodNotAllowed:
            return _failure(errors.not_allowed())
        except web.HTTPNotFound:
            return _failure(errors.no_such_path())
        except web.HTTPException:
            raise
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("api.failed", method=request.method, path=request.path)
            return _failure(errors.internal())

    async def _own(self, request: web.Request) -> web.Response:
        match request.path:
            case "/metrics":
                return web.Response(body=METRICS.render(), headers={"Content-Type": CONTENT_TYPE})
            case "/readyz":
                reasons = self.not_ready()
                return web.Response(text="\n".join(reasons) or "ok", status=503 if reasons else 200)
        return web.Response(text="ok")

    async def _extra(self, request: web.Request) -> web.StreamResponse:
        match = await self._mounted.resolve(request)
        if match.http_exception is not None:
            raise match.http_exception
        match.add_app(request.app)
        inner = request.clone()  # the outer one has its match cached
        inner._match_info = match
        return await match.handler(inner)


def _failure(error: ApiError) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    if seconds := (error.status.get("details") or {}).get("retryAfterSeconds"):
        headers["Retry-After"] = str(seconds)
    if error.code == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="anneal"'
    status = error.status or errors.status_error(error.code, error.reason, error.message).status  # another server's, unanswered
    return web.Response(body=orjson.dumps(status), status=error.code, headers=headers)


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
        listener.setblocking(False)
    except OSError as e:
        listener.close()
        text = f"cannot listen on {host}:{port}: {e.strerror}; choose another address or port"
        raise OSError(e.errno, text) from e
    return listener

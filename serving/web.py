"""The web app: `python -m serving.web --config FILE`. gunicorn with threads; SIGTERM lets those that wait be answered.

Threads, because they wait: for the client, for the reply. What costs CPU is one process's, so more processes use more cores.
"""

from __future__ import annotations

import argparse
import gc
import os
import select
import socket
import sys
import time
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from serving import metrics
from serving.app.guard import WATCH
from serving.coalesce import TURN
from serving.config import SPARE, Config
from serving.loads import Loads
from serving.starting import start
from serving.state import State

BACKLOG = 1024
LEAVE_SECONDS = 0.001
"""So long a connection is left to a process that has fewer of them."""
STAY_SECONDS = 0.02
"""So long a thread waits for its connection's next request before it gives the connection back."""
GRACE_SECONDS = 5
COLLECT = 20_000, 20, 50
"""Garbage in circles is looked for after so many new objects; what a request leaves behind is freed without."""


class Response(wsgi.Response):
    """gunicorn's, but its head leaves with the first of its body: one packet and one system call, not two."""

    sock: Any
    head = b""

    def write(self, arg: bytes) -> None:
        """Part of the body."""
        if not (self.headers_sent or self.chunked):
            sock, self.sock = self.sock, Sheet()
            self.send_headers()
            self.head, self.sock = self.sock.text, sock
        super().write(arg)

    def default_headers(self) -> list[str]:
        """The first lines. The date is put into words once a second."""
        date = _date(int(time.time()))
        connection = "close" if self.should_close() else "keep-alive"
        version = ".".join(map(str, self.req.version))
        lines = [f"HTTP/{version} {self.status}", f"Server: {self.version}", f"Date: {date}", f"Connection: {connection}"]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        return [f"{line}\r\n" for line in lines]

    def _emit_body(self, data: bytes) -> None:
        head, self.head = self.head, b""
        super()._emit_body(head + data)

    def close(self) -> None:
        """The end of it: a head that had no body leaves now."""
        if self.head:
            self.sock.sendall(self.head)
            self.head = b""
        super().close()


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


class Sheet:
    """A socket's place, to write a head on."""

    text = b""

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self.text += data


class Worker(ThreadWorker):
    """gunicorn's threaded worker, which does not wait for ever for a request to be sent, nor to be packed into packets.

    A busy connection keeps its thread: handing it back to the main thread and out again costs more than the request.
    """

    seconds = 10.0
    loads = Loads()
    left = 0.0
    """When a connection was left to another process; 0: one was taken since."""

    def notify(self) -> None:
        """Once in each round of the main thread."""
        super().notify()
        self.loads.say(self.age, self.nr_conns)

    def accept(self, listener: Any) -> None:
        """Take a connection, unless another process has fewer: that is left a moment to take it."""
        now = time.monotonic()
        if self.nr_conns > self.loads.least() and now - self.left > 2 * LEAVE_SECONDS:
            self.left = now
            time.sleep(LEAVE_SECONDS)
            return
        self.left = 0.0
        super().accept(listener)
        self.loads.say(self.age, self.nr_conns)

    def handle(self, conn: Any) -> Any:
        """The requests of a connection, as long as they come close together and nobody waits for the thread."""
        conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        TURN.passes = True
        while True:
            WATCH.begin(conn.sock, self.seconds)
            try:
                kept = super().handle(conn)
            finally:
                WATCH.end(conn.sock)
                TURN.over()
            if kept is not True or not self.alive or not self._stays(conn):
                return kept

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Whether the connection takes another request. Where the body was read whole, nothing is left to be drained:
        that would be three system calls, each of which lets another thread have the interpreter."""
        body = conn.parser.mesg and conn.parser.mesg.body
        if keepalive and body and not body.failed and not getattr(body.reader, "length", 1) and not body.buf.tell():
            conn.parser.mesg = None
            return True
        return bool(super()._keepalive_after(conn, keepalive))

    def _stays(self, conn: Any) -> bool:
        """Whether the next request is here already, or comes in a moment."""
        if self.tpool._work_queue.qsize():  # others wait for a thread
            return False
        if conn.is_http2 or conn.parser.unreader.buf.getvalue():
            return not conn.is_http2
        readable = select.poll()
        readable.register(conn.sock, select.POLLIN)
        return bool(readable.poll(STAY_SECONDS * 1000))


class Server(BaseApplication):
    """gunicorn, told everything here and nothing by files or the environment."""

    def __init__(self, config: Config, state: State) -> None:
        self.config, self.state = config, state
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings."""
        config, limits = self.config, self.config.limits
        Worker.seconds = limits.body_timeout_seconds
        host = f"[{config.host}]" if ":" in config.host else config.host
        settings = {
            "bind": [f"{host}:{config.port}"], "workers": config.web.workers, "threads": config.web.threads + SPARE,
            "worker_class": Worker, "worker_connections": 2 * (config.web.threads + SPARE) + 1000, "backlog": BACKLOG,
            "timeout": 60, "graceful_timeout": round(limits.timeout_seconds) + GRACE_SECONDS, "keepalive": 30,
            "limit_request_line": 8190, "limit_request_fields": 64, "limit_request_field_size": 8190,
            "loglevel": "warning", "proc_name": "anneal-web", "control_socket_disable": True,
            "when_ready": self._when_ready, "post_worker_init": _post_worker_init, "worker_exit": _worker_exit,
            "child_exit": _child_exit,
        }  # fmt: skip
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The application, made in each worker."""
        from serving.app.factory import make_app

        wsgi.Response = Response  # what gunicorn answers with
        return make_app(self.config)

    def _when_ready(self, _server: Any) -> None:
        self.state.say(ready=True)


def _post_worker_init(worker: Any) -> None:
    worker.wsgi.extensions["service"].start()
    settings = worker.cfg.settings.items()
    vars(worker.cfg).update({name: one.get() for name, one in settings})  # each is read some times a request, by a slow way
    gc.freeze()  # what is loaded stays: it need not be looked through again and again
    gc.set_threshold(*COLLECT)


def _worker_exit(_server: Any, worker: Any) -> None:
    if (app := getattr(worker, "wsgi", None)) is not None:
        app.extensions["service"].stop()


def _child_exit(_server: Any, worker: Any) -> None:
    from prometheus_client import multiprocess

    Worker.loads.gone(worker.age)
    multiprocess.mark_process_dead(worker.pid)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM. 2: the configuration cannot be used."""
    parser = argparse.ArgumentParser(prog="serving.web")
    _, config = start(parser, argv)
    metrics.use(config.metrics_folder)
    for gone in config.replies_folder.glob("*"):  # sockets of processes that a kill left behind
        if not _alive(gone.name):
            gone.unlink(missing_ok=True)
    state = State(config.state_folder / "web.json", extra={"host": config.host, "port": config.port})
    state.say(ready=False, message="starting")
    state.beat()
    owner = os.getpid()
    try:
        Server(config, state).run()
    finally:
        if os.getpid() == owner:  # gunicorn's children leave through here, too
            state.stop()
    return 0


def _alive(name: str) -> bool:
    pid = name.partition("-")[0]
    return pid.isdecimal() and os.path.exists(f"/proc/{pid}")


if __name__ == "__main__":
    sys.exit(main())

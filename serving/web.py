"""The web app: `python -m serving.web --config FILE`. gunicorn with threads; SIGTERM lets those that wait be answered.

Threads, because they wait: for the client, for the reply. What costs CPU is one process's, so more processes use more cores.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from serving import metrics
from serving.app.guard import WATCH
from serving.config import SPARE, Config
from serving.starting import start
from serving.state import State

BACKLOG = 1024
STAY_SECONDS = 0.02
"""So long a thread waits for its connection's next request before it gives the connection back."""
GRACE_SECONDS = 5


class Worker(ThreadWorker):
    """gunicorn's threaded worker, which does not wait for ever for a request to be sent, nor to be packed into packets.

    A busy connection keeps its thread: handing it back to the main thread and out again costs more than the request.
    """

    seconds = 10.0

    def handle(self, conn: Any) -> Any:
        """The requests of a connection, as long as they come close together and nobody waits for the thread."""
        conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            WATCH.begin(conn.sock, self.seconds)
            try:
                kept = super().handle(conn)
            finally:
                WATCH.end(conn.sock)
            if kept is not True or not self.alive or not self._stays(conn):
                return kept

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

        return make_app(self.config)

    def _when_ready(self, _server: Any) -> None:
        self.state.say(ready=True)


def _post_worker_init(worker: Any) -> None:
    worker.wsgi.extensions["service"].start()


def _worker_exit(_server: Any, worker: Any) -> None:
    if (app := getattr(worker, "wsgi", None)) is not None:
        app.extensions["service"].stop()


def _child_exit(_server: Any, worker: Any) -> None:
    from prometheus_client import multiprocess

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

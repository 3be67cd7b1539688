"""What fetches meet: a web server that counts who reached it, names that resolve as told, a bucket that speaks S3."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiohttp.abc import AbstractResolver


class Server:
    """An HTTP server on loopback that counts who reached it."""

    def __init__(self, pages: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        self.pages = pages
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                status, headers, body = outer.pages[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        class Counting(ThreadingHTTPServer):
            def get_request(self) -> Any:
                outer.connections += 1
                return super().get_request()

        self._server = Counting(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(**pages: tuple[int, dict[str, str], bytes]) -> Iterator[Server]:
    with Server({f"/{name.replace('__', '.')}": page for name, page in pages.items()}) as server:
        yield server


class Names(AbstractResolver):
    """A resolver that answers what it is told, another answer each time if there are several."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers, self.asked = {name.replace("_", "."): list(rows) for name, rows in answers.items()}, 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[Any]:
        self.asked += 1
        rows = self.answers[host]
        address = rows.pop(0) if len(rows) > 1 else rows[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [{"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": socket.AI_NUMERICHOST}]

    async def close(self) -> None: ...


class Bucket:
    """Objects by key, for those who sign with the right access key; as much of S3's protocol as reading and writing take."""

    def __init__(self, access_key: str, **objects: bytes) -> None:
        self.objects = {key.replace("__", "."): body for key, body in objects.items()}
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if f"Credential={access_key}/" not in self.headers.get("Authorization", ""):
                    outer.refused += 1
                    return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                body = outer.objects.get(self.path.partition("?")[0].split("/", 2)[-1])
                if body is None or "list-type" in self.path:
                    return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                    start, end = int(part[1]), min(int(part[2] or len(body)), len(body) - 1)
                    spread = {"Content-Range": f"bytes {start}-{end}/{len(body)}"}
                    return self.answer(206, body[start : end + 1], **spread)
                self.answer(200, body)

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                etag = f'"{hashlib.md5(body).hexdigest()}"'
                known = {"Content-Length": str(len(body)), "ETag": etag, "Last-Modified": formatdate(0, usegmt=True)}
                for name, value in {**known, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Bucket:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

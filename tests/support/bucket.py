"""A bucket that speaks S3, as much of it as s3fs takes to read, write, list and remove; for those who know its access key."""

from __future__ import annotations

import hashlib
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

REGION = "us-east-1"
WHEN = formatdate(0, usegmt=True)


class Bucket:
    """Objects by key. `url` is the endpoint; every bucket's name leads to the same objects."""

    def __init__(self, access_key: str, host: str = "127.0.0.1", /, **objects: bytes) -> None:
        self.objects = {key.replace("__", "."): body for key, body in objects.items()}
        self.access_keys = {access_key}
        """Whose requests are answered."""
        self.refused = 0
        """How many requests were signed by somebody else, or by nobody."""
        self.read = 0
        """How many objects were sent."""
        self._server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"bucket": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://{host}:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {"AWS_ENDPOINT_URL_S3": self.url, "AWS_DEFAULT_REGION": REGION}

    def profile(self, access_key: str) -> str:
        """What a process needs to find and to read it with this key, as a file of the AWS tools."""
        key = f"aws_access_key_id = {access_key}\naws_secret_access_key = secret-of-{access_key}\n"
        return f"[default]\n{key}region = {REGION}\nendpoint_url = {self.url}\n"

    def __enter__(self) -> Bucket:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def do_GET(self) -> None:
        if (key := self.allowed()) is None:
            return
        if "list-type" in self.query:
            return self.answer(200, self.listing())
        body = self.bucket.objects.get(key)
        if body is None:
            return self.error(404, "NoSuchKey")
        self.bucket.read += self.command == "GET"
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(part[1]), min(int(part[2] or len(body)), len(body) - 1)
            return self.answer(206, body[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(body)}"})
        self.answer(200, body)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if (key := self.allowed()) is not None:
            self.bucket.objects[key] = body
            self.answer(200)

    def do_DELETE(self) -> None:
        if (key := self.allowed()) is not None:
            self.bucket.objects.pop(key, None)
            self.answer(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.allowed() is None:
            return
        if "delete" not in self.query:
            return self.error(501, "NotImplemented")
        for key in re.findall(r"<Key>(.*?)</Key>", body):
            self.bucket.objects.pop(key, None)
        self.answer(200, b"<DeleteResult/>")

    def allowed(self) -> str | None:
        """The key that is asked for; None: refused, and answered so."""
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        who = re.search(r"Credential=([^/]*)/", self.headers.get("Authorization", ""))
        if who and who[1] in self.bucket.access_keys:
            return unquote(parts.path).lstrip("/").partition("/")[2]
        self.bucket.refused += 1
        self.error(403, "AccessDenied")
        return None

    def listing(self) -> bytes:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        rows, folders = [], set()
        for key, body in sorted(self.bucket.objects.items()):
            rest = key.removeprefix(prefix)
            if not key.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            tag = hashlib.md5(body).hexdigest()
            about = f"<Size>{len(body)}</Size><ETag>{tag}</ETag><LastModified>1970-01-01T00:00:00Z</LastModified>"
            rows.append(f"<Contents><Key>{escape(key)}</Key>{about}</Contents>")
        shared = "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders))
        count = f"<KeyCount>{len(rows) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{count}{''.join(rows)}{shared}</ListBucketResult>".encode()

    def error(self, status: int, code: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        about = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Last-Modified": WHEN, "Content-Length": str(len(body))}
        for name, value in {**about, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...

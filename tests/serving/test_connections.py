"""One connection takes one request after the other, whatever they are and however much of them was read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil

from tests.support.asking import row
from tests.support.serving import Deployment, Model, deployed

JSON = {"Content-Type": "application/json"}


def test_a_connection_is_kept_over_answers_of_every_kind(up: Deployment, species: Model) -> None:
    """With a body and without, a file, an error, and a body that nobody read: the next one is answered as if it came first."""
    client = HTTPConnection("127.0.0.1", up.port, timeout=30)
    client.connect()
    client.auto_open = False  # a connection that was closed is an error
    body = json.dumps(row(species))

    def ask(verb: str, path: str, sent: str | None = None) -> tuple[int, bytes, int]:
        client.request(verb, path, sent, JSON if sent else {})
        answer = client.getresponse()
        return answer.status, answer.read(), int(answer.headers["Content-Length"])

    for verb, path, sent, code in (
        ("POST", "/predict", body, 200),
        ("HEAD", "/", None, 200),
        ("GET", "/static/anneal.css", None, 200),
        ("POST", "/nowhere", "x" * 1000, 404),
        ("POST", "/predict", "no JSON", 400),
        ("GET", "/readyz", None, 200),
        ("POST", "/predict", body, 200),
    ):
        status, text, length = ask(verb, path, sent)
        assert (status, len(text)) == (code, 0 if verb == "HEAD" else length), (verb, path)
    assert json.loads(text)["predictions"]


def test_an_answer_leaves_in_one_piece(up: Deployment, species: Model) -> None:
    """Head and body: who reads once has all of it, and is woken once."""
    body = json.dumps(row(species)).encode()
    lines = "POST /predict HTTP/1.1", f"Host: 127.0.0.1:{up.port}", *(f"{name}: {value}" for name, value in JSON.items())
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    with socket.create_connection(("127.0.0.1", up.port), timeout=30) as client:
        for _ in range(20):
            client.sendall(head.encode() + body)
            top, _, answer = client.recv(65536).partition(b"\r\n\r\n")
            assert top.startswith(b"HTTP/1.1 200")
            assert json.loads(answer)["predictions"]


def test_processes_share_the_connections(tmp_path: Path, store: Path, species: Model) -> None:
    """They share one listening socket: each gets about as many, also after one of them was killed and made anew."""
    with deployed(tmp_path, store, species, workers=0, web={"workers": 2}) as up:
        for _ in range(2):
            _until_two(up)
            with _opened(up, 16):
                counts = _connections(up)
            assert sum(counts.values()) == 16
            assert min(counts.values()) >= 5, counts
            os.kill(max(counts), signal.SIGKILL)


@contextlib.contextmanager
def _opened(up: Deployment, number: int) -> Iterator[None]:
    """So many connections, each of which was answered once and is kept."""
    with contextlib.ExitStack() as opened:
        for _ in range(number):
            client = opened.enter_context(contextlib.closing(HTTPConnection("127.0.0.1", up.port, timeout=30)))
            client.request("GET", "/healthz")
            assert client.getresponse().read()
        yield


def _connections(up: Deployment) -> Counter[int]:
    """Of each process that answers."""
    found: Counter[int] = Counter()
    for child in psutil.Process(up.processes["web"].pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            taken = [one for one in child.net_connections("tcp") if one.status == "ESTABLISHED" and one.laddr.port == up.port]
            found.update({child.pid: len(taken)} if taken else {})
    return found


def _until_two(up: Deployment) -> None:
    """Both processes take connections, and have none."""
    end = time.monotonic() + 60
    taking = 0
    while taking < 2 or _connections(up):
        assert time.monotonic() < end, "there are no two processes"
        with _opened(up, 4 if taking < 2 else 0):
            taking = max(taking, len(_connections(up)))
        time.sleep(0.05)

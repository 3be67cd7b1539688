"""Fault 34: whatever is sent, the answer is a 4xx that names the field, soon, without a trace; others do not suffer."""

from __future__ import annotations

import gzip
import json
import socket
import statistics
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.asking import row, tensors
from tests.support.serving import Deployment, Model, deployed

JSON = {"Content-Type": "application/json"}
INFER = "/v2/models/penguins/infer"


def said(answer: requests.Response) -> dict[str, str]:
    """Path → message of a refusal; no trace and no path of this machine in it."""
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    return {one["path"]: one["message"] for one in answer.json().get("errors", [])}


ROWS: dict[str, tuple[Any, str, str]] = {
    "a text for a number": ({"bill_length_mm": "long"}, "bill_length_mm", "expected a number, got a text"),
    "a truth for a number": ({"bill_length_mm": True}, "bill_length_mm", "expected a number, got true or false"),
    "a list for a number": ({"bill_length_mm": [1]}, "bill_length_mm", "expected a number, got a list"),
    "a number for a text": ({"island": 3}, "island", "expected a text, got a number"),
    "an object for a text": ({"island": {}}, "island", "expected a text, got an object"),
    "a very long text": ({"island": "x" * 10_001}, "island", "the text is longer than 10000 characters"),
    "an unknown column": (
        {"bill_lenght_mm": 1},
        "bill_lenght_mm",
        'the model has no input "bill_lenght_mm": did you mean "bill_length_mm"?',
    ),
}


@pytest.mark.parametrize(("change", "path", "message"), ROWS.values(), ids=ROWS)
def test_a_wrong_value_is_422_with_its_path(
    up: Deployment, species: Model, change: dict[str, Any], path: str, message: str
) -> None:
    """In one row, and in many, where the path says which."""
    one = requests.post(f"{up.url}/predict", json={**row(species), **change}, timeout=30)
    assert (one.status_code, said(one)[path]) == (422, message)
    many = requests.post(f"{up.url}/predict", json={"rows": [row(species), {**row(species), **change}]}, timeout=30)
    assert (many.status_code, said(many)[f"rows[1].{path}"]) == (422, message)


def test_a_missing_column_is_named(up: Deployment, species: Model) -> None:
    """Absent is not the same as null."""
    values = row(species)
    del values["island"]
    answer = requests.post(f"{up.url}/predict", json=values, timeout=30)
    assert answer.status_code == 422
    assert "missing" in said(answer)["island"]


def _tensor(i: int, **change: Any) -> Any:
    def apply(asked: dict[str, Any]) -> dict[str, Any]:
        asked["inputs"][i] = {**asked["inputs"][i], **change}
        return asked

    return apply


TENSORS: dict[str, tuple[Any, str]] = {
    "shape and data differ": (_tensor(1, shape=[2], data=[1.0]), "inputs[1].shape"),
    "two columns in one": (_tensor(0, shape=[1, 2]), "inputs[0].shape"),
    "no rows": (_tensor(0, shape=[0], data=[]), "inputs[0].shape"),
    "a negative shape": (_tensor(0, shape=[-1]), "inputs[0].shape"),
    "a shape of text": (_tensor(0, shape="1"), "inputs[0].shape"),
    "another datatype": (_tensor(1, datatype="BYTES", data=["a"]), "inputs[1].datatype"),
    "a datatype that is none": (_tensor(1, datatype="FP65"), "inputs[1].datatype"),
    "no data": (_tensor(1, data=None), "inputs[1].data"),
    "too few data": (_tensor(1, data=[]), "inputs[1].data"),
    "a text among numbers": (_tensor(1, data=["x"]), "inputs[1].data[0]"),
    "a name twice": (_tensor(1, name="island"), "inputs[1].name"),
    "a name that is none": (_tensor(1, name=None), "inputs[1]"),
    "an input that is none": (_tensor(1, name="beak"), "inputs[1].name"),
    "a wrong binary size": (_tensor(1, parameters={"binary_data_size": 8}), "inputs[1].parameters.binary_data_size"),
    "no inputs": (lambda asked: {**asked, "inputs": []}, "inputs"),
    "inputs of text": (lambda asked: {**asked, "inputs": "all"}, "inputs"),
    "an output that is none": (lambda asked: {**asked, "outputs": [{"name": "weight"}]}, "outputs[0].name"),
    "an id that is none": (lambda asked: {**asked, "id": 7}, "id"),
}


@pytest.mark.parametrize(("change", "path"), TENSORS.values(), ids=TENSORS)
def test_a_wrong_tensor_is_422_with_its_path(up: Deployment, species: Model, change: Any, path: str) -> None:
    """Names, shapes, datatypes, data."""
    answer = requests.post(f"{up.url}{INFER}", json=change(tensors(species)), timeout=30)
    assert answer.status_code == 422, answer.text
    assert path in said(answer)


BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "no JSON": (b"{", JSON, 400),
    "nothing": (b"", JSON, 400),
    "deep JSON": (b"[" * 100_000, JSON, 400),
    "infinity": (b'{"island": Infinity}', JSON, 400),
    "not UTF-8": (b'{"island": "\xff"}', JSON, 400),
    "a list": (b"[]", JSON, 422),
    "no rows": (b'{"rows": []}', JSON, 422),
    "rows of numbers": (b'{"rows": [1]}', JSON, 422),
    "a form": (b"island=Dream", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "no type": (b"{}", {}, 415),
    "an unknown packing": (b"{}", {**JSON, "Content-Encoding": "zstd"}, 415),
    "not packed as it says": (b"{}", {**JSON, "Content-Encoding": "gzip"}, 400),
    "packed and cut short": (gzip.compress(b"{}" * 1000)[:-10], {**JSON, "Content-Encoding": "gzip"}, 400),
    "a gzip bomb": (gzip.compress(b"[" * (200 * 1024 * 1024), 9), {**JSON, "Content-Encoding": "gzip"}, 413),
    "a deflate bomb": (zlib.compress(b" " * (200 * 1024 * 1024), 9), {**JSON, "Content-Encoding": "deflate"}, 413),
    "too many rows": (b'{"rows": [' + b"{}," * 10_000 + b"{}]}", JSON, 422),
    "a table without a header": (b"1,2,3\r\n", {"Content-Type": "text/csv"}, 422),
    "a table that is none": (b'"', {"Content-Type": "text/csv"}, 422),
}


@pytest.mark.parametrize(("body", "headers", "code"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_request(up: Deployment, body: bytes, headers: dict[str, str], code: int) -> None:
    """Each has its status, and its answer holds no trace."""
    answer = requests.post(f"{up.url}/predict", data=body, headers=headers, timeout=30)
    assert answer.status_code == code, answer.text
    said(answer)


def test_packed_requests_are_taken(up: Deployment, species: Model) -> None:
    """gzip and deflate."""
    body = json.dumps(row(species)).encode()
    for name, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        assert (
            requests.post(f"{up.url}/predict", data=packed, headers={**JSON, "Content-Encoding": name}, timeout=30).status_code
            == 200
        )


def test_a_hundred_megabytes_are_refused_before_they_are_sent(up: Deployment) -> None:
    """413 at the head of the request; the connection is closed."""
    with socket.create_connection(("127.0.0.1", up.port), timeout=10) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n{"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_without_a_length_is_counted(up: Deployment) -> None:
    """Chunks without an end get 413 at the limit."""

    def endless() -> Any:
        for _ in range(400):
            yield b" " * 65536

    try:
        answered = requests.post(f"{up.url}/predict", data=endless(), headers=JSON, timeout=30).status_code
    except requests.ConnectionError:  # cut off while it was still sending: the answer was never read
        answered = 413
    assert answered == 413


def test_who_sends_slowly_is_cut_off(tmp_path: Path, store: Path, species: Model) -> None:
    """A byte now and then: 408 for a body, the end for a head, both at the limit; meanwhile others are served."""
    with deployed(tmp_path, store, species, web={"workers": 1, "threads": 4}, limits={"bodyTimeoutSeconds": 1.0}) as up:
        heads = [
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
            b"GET / HTT",
        ]
        clients = [socket.create_connection(("127.0.0.1", up.port), timeout=10) for _ in range(20)]
        over = threading.Event()

        def trickle() -> None:
            for i, client in enumerate(clients):
                client.sendall(heads[i % 2])
            while not over.wait(0.1):
                for client in clients:
                    try:
                        client.sendall(b" ")
                    except OSError:
                        continue

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            up.until(lambda: requests.post(f"{up.url}/predict", json=row(species), timeout=10).ok, 10)
            answers = []
            for client in clients:
                try:
                    answers.append(client.recv(4096)[:12])
                except ConnectionError:
                    answers.append(b"")
        finally:
            over.set()
            thread.join()
            for client in clients:
                client.close()
        assert set(answers[::2]) <= {b"HTTP/1.1 408", b""}
        assert b"HTTP/1.1 408" in answers


def test_another_sites_page_cannot_post(up: Deployment, species: Model) -> None:
    """By where the browser says that it comes from; a name of its own for our address does not help either."""
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}):
        assert requests.post(f"{up.url}/predict", json=row(species), headers=headers, timeout=30).status_code == 403
        assert requests.post(up.url, data={"island": "Dream"}, headers=headers, timeout=30).status_code == 403
    assert requests.post(f"{up.url}/predict", json=row(species), headers={"Host": "evil.example"}, timeout=30).status_code == 400
    assert requests.get(up.url, headers={"Host": "evil.example"}, timeout=30).status_code == 400
    own = {"Origin": up.url, "Sec-Fetch-Site": "same-origin"}
    assert requests.post(f"{up.url}/predict", json=row(species), headers=own, timeout=30).status_code == 200


def test_what_is_not_there(up: Deployment) -> None:
    """404 and 405, as JSON for programs and as a page for browsers."""
    assert requests.get(f"{up.url}/nothing", timeout=30).json()["error"]
    page = requests.get(f"{up.url}/nothing", headers={"Accept": "text/html"}, timeout=30)
    assert (page.status_code, "<h1>" in page.text) == (404, True)
    wrong = requests.get(f"{up.url}/predict", timeout=30)
    assert (wrong.status_code, "POST" in wrong.headers["Allow"]) == (405, True)
    assert requests.get(f"{up.url}/static/../config.json", timeout=30).status_code == 404
    assert requests.get(f"{up.url}/static/%2e%2e/%2e%2e/config.py", timeout=30).status_code == 404


def test_more_than_can_wait_is_429_at_once(tmp_path: Path, store: Path, species: Model) -> None:
    """Requests beyond web.threads do not queue up: they hear of it, and when to come again; health checks still answer."""
    with deployed(tmp_path, store, species, workers=0, web={"workers": 1, "threads": 4}, limits={"timeoutSeconds": 4}) as up:
        codes: list[int] = []

        def ask() -> None:
            codes.append(requests.post(f"{up.url}/predict", json=row(species), timeout=30).status_code)

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        up.until(lambda: codes.count(429) == 6, 3)
        assert requests.get(f"{up.url}/healthz", timeout=2).ok
        for thread in threads:
            thread.join()
        assert codes.count(503) == 4


def test_the_pace_of_one_address_is_limited(tmp_path: Path, store: Path, species: Model) -> None:
    """Beyond requestsPerSecond it is 429 with Retry-After."""
    with (
        deployed(tmp_path, store, species, web={"workers": 1}, limits={"requestsPerSecond": 5}) as up,
        requests.Session() as session,
    ):
        answers = [session.post(f"{up.url}/predict", json=row(species), timeout=30) for _ in range(15)]
        codes = [one.status_code for one in answers]
        assert codes[:5] == [200] * 5
        assert 429 in codes
        assert all(one.headers["Retry-After"] for one in answers if one.status_code == 429)


@pytest.mark.slow
def test_others_do_not_suffer_from_who_sends_too_much(tmp_path: Path, store: Path, species: Model) -> None:
    """Clients that send the largest requests, bombs and rubbish without a pause: each of another's requests is answered, well
    within a second at the median and within the deployment's time limit at the worst, and none of theirs is an error of ours."""
    bodies = [
        (json.dumps({"rows": [row(species)] * 10_000}).encode(), JSON),
        (gzip.compress(b"[" * (100 * 1024 * 1024), 9), {**JSON, "Content-Encoding": "gzip"}),
        (b"{" * 1_000_000, JSON),
        (json.dumps({"rows": [{"island": 1}] * 10_000}).encode(), JSON),
    ]
    codes: set[int] = set()
    over = threading.Event()

    def greedy(body: bytes, headers: dict[str, str]) -> None:
        with requests.Session() as session:
            while not over.is_set():
                codes.add(session.post(f"{up.url}/predict", data=body, headers=headers, timeout=60).status_code)

    with deployed(tmp_path, store, species, workers=2, limits={"timeoutSeconds": 5}) as up, requests.Session() as session:
        threads = [threading.Thread(target=greedy, args=body) for body in bodies]
        for thread in threads:
            thread.start()
        try:
            up.until(lambda: len(codes) >= 3)
            seconds = [_seconds(session, up, species) for _ in range(100)]
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert codes <= {200, 400, 413, 422, 429, 503}
    assert statistics.median(seconds) < 1, seconds


def _seconds(session: requests.Session, up: Deployment, model: Model) -> float:
    start = time.perf_counter()
    assert session.post(f"{up.url}/predict", json=row(model), timeout=30).status_code == 200
    return time.perf_counter() - start


@pytest.mark.slow
def test_a_burst_is_answered_or_told_to_come_again(tmp_path: Path, store: Path, species: Model) -> None:
    """A thousand requests at once, from 200 connections: each gets its prediction, or 429 and when to come again."""
    answers: list[tuple[int, str | None]] = []

    def some() -> None:
        with requests.Session() as session:
            for _ in range(5):
                answer = session.post(f"{up.url}/predict", json=row(species), timeout=60)
                answers.append((answer.status_code, answer.headers.get("Retry-After")))

    with deployed(tmp_path, store, species) as up:
        threads = [threading.Thread(target=some) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 1000
        assert {code for code, _ in answers} <= {200, 429}
        assert all(again for code, again in answers if code == 429)
        assert requests.post(f"{up.url}/predict", json=row(species), timeout=30).status_code == 200

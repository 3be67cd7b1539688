"""Answers off the wire, in every way that HTTP/1.1 frames them."""

from __future__ import annotations

import io
from urllib.parse import quote as reference

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.wire import Answer, WireError, quote


def answer(raw: bytes) -> Answer:
    return Answer(io.BufferedReader(io.BytesIO(raw)))  # type: ignore[arg-type]


def chunked(*pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_chunks_come_back_as_they_were_sent(pieces: list[bytes]) -> None:
    """However a body is cut into chunks, it is read whole, and its lines are its lines."""
    body = b"".join(pieces)
    assert answer(chunked(*pieces)).read() == body
    assert b"\n".join(answer(chunked(*pieces)).lines()) == body.removesuffix(b"\n")


@pytest.mark.parametrize("head", [b"Content-Length: 5\r\n", b""], ids=["length", "until-close"])
def test_a_body_is_read_to_its_end(head: bytes) -> None:
    """By its length, or until the peer hangs up; only the first leaves the connection usable."""
    found = answer(b"HTTP/1.1 404 Not Found\r\n" + head + b"\r\nhello")
    assert (found.status, found.read(), found.keeps_alive) == (404, b"hello", bool(head))


@pytest.mark.parametrize(
    "raw",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", chunked(b"abc")[:-9],
     b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000],
    ids=["nothing", "ssh", "short", "short-chunk", "endless-header"],
)  # fmt: skip
def test_half_an_answer_is_an_error(raw: bytes) -> None:
    """An answer that ends too early is never taken for a whole one."""
    with pytest.raises(WireError):
        answer(raw).read()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quoting_agrees_with_the_library(text: str) -> None:
    """As urllib quotes, with slashes and colons kept."""
    assert quote(text) == reference(text, safe="/:~")

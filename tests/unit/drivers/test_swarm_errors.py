"""What a Docker Engine answers, and what it means for us: a table, its words taken from real engines."""

from __future__ import annotations

import pytest
import requests

from drivers.contract import (
    Ambiguous,
    Conflict,
    CredentialsInvalid,
    DriverError,
    Forbidden,
    InvalidConfiguration,
    Unreachable,
)
from drivers.swarm.errors import classify, tidy, unsent

NOT_A_MANAGER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
TABLE: list[tuple[int, str, bool, type[DriverError]]] = [
    (500, "rpc error: code = Unknown desc = update out of sequence", True, Conflict),
    (400, "rpc error: code = InvalidArgument desc = config 'a' is in use by the following service: b", True, Conflict),
    (503, "This node is already part of a swarm. Use leave to leave this swarm and join another one.", True, Conflict),
    (409, "rpc error: code = AlreadyExists desc = name conflicts with an existing object", True, Conflict),
    (503, NOT_A_MANAGER, True, Unreachable),
    (503, NOT_A_MANAGER, False, Unreachable),
    (404, "service a not found", True, Conflict),
    (400, "rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided", True, InvalidConfiguration),
    (500, "rpc error: code = Unknown desc = The swarm does not have a leader.", True, Ambiguous),
    (500, "rpc error: code = Unknown desc = The swarm does not have a leader.", False, Unreachable),
    (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", True, Ambiguous),
    (
        500,
        "Timeout was reached before node joined. The attempt to join the swarm will continue in the background.",
        True,
        Ambiguous,
    ),
    (401, "unauthorized", False, CredentialsInvalid),
    (403, "denied by a plugin", True, Forbidden),
    (400, "bad parameter", True, InvalidConfiguration),
]


@pytest.mark.parametrize(("status", "words", "mutating", "expected"), TABLE, ids=[f"{row[0]} {row[1][:40]}" for row in TABLE])
def test_every_answer_has_a_class(status: int, words: str, mutating: bool, expected: type[DriverError]) -> None:
    """The class says what happens next; the text keeps Docker's words and says what we do."""
    error = classify("do it", status, words, mutating=mutating)
    assert type(error) is expected
    assert str(error).startswith("cannot do it: Docker says: ")


def test_no_token_and_no_password_is_repeated() -> None:
    """Whoever has a join token can join."""
    text = tidy("invalid join token SWMTKN-1-49nj1cmql0jkz5s954yi3oex-8vxv8rssmk743ojnwacrr2e7c for tcp://me:secret@host")
    assert "49nj1" not in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("error", "before"),
    [
        (ConnectionRefusedError(111, "refused"), True),
        (requests.exceptions.ConnectionError("Connection aborted.", FileNotFoundError(2, "no such file")), True),
        (requests.exceptions.ConnectTimeout("timed out"), True),
        (requests.exceptions.ReadTimeout("timed out"), False),
        (requests.exceptions.ConnectionError("Connection aborted.", ConnectionResetError(104, "reset")), False),
    ],
    ids=["refused", "no socket", "no connection", "no answer", "reset"],
)
def test_what_was_never_sent_is_known(error: Exception, before: bool) -> None:
    """Where nobody listened nothing took place; where the answer was lost nobody can tell."""
    assert unsent(error) is before

"""From what a Docker Engine answered to what the engine of ours does next. Pure.

A Swarm's manager answers many refusals with 500 and gRPC's words, so the words decide where the number does not.
"""

from __future__ import annotations

import re

from drivers.contract import (
    Ambiguous,
    Conflict,
    CredentialsInvalid,
    DriverError,
    Forbidden,
    InvalidConfiguration,
    RateLimited,
    Unreachable,
)
from drivers.httperrors import LONGEST, chain

JOIN_TOKEN = re.compile(r"SWMTKN-[-0-9a-zA-Z]+")
URL_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")

# what the words say, whatever the number: the first that is found counts
WORDS: tuple[tuple[re.Pattern[str], type[DriverError], str], ...] = (
    (re.compile(r"out of sequence"), Conflict, "somebody changed it meanwhile, looking again"),
    (re.compile(r"is in use by|has active endpoints|in use by (the following|task)|still in use"), Conflict, "it is in use"),
    (re.compile(r"already part of a swarm|already exists|name conflicts|code = AlreadyExists"), Conflict, "looking again"),
    (re.compile(r"not part of a swarm|not a swarm manager|isn't a swarm manager"), Unreachable, "asking another manager"),
    (re.compile(r"code = NotFound|not found|No such"), Conflict, "it is gone, looking again"),
    (re.compile(r"is not down and can't be removed|demoted, but is still a manager|must be demoted|is a cluster manager"),
     Conflict, "not yet possible, looking again"),
    (re.compile(r"loss of quorum|would result in a loss|last manager"), Conflict, "it would cost the quorum"),
    (re.compile(r"code = (InvalidArgument|FailedPrecondition|Unimplemented)"), InvalidConfiguration, "change the spec"),
)  # fmt: skip


def classify(doing: str, status: int, words: str, *, mutating: bool) -> DriverError:
    """The error for an answer that is not 2xx. `words` are the Docker Engine's own; no join token is ever repeated."""
    kind, advice = _class(status, words, mutating=mutating)
    return kind(f'cannot {doing}: Docker says: "{tidy(words)}" ({status}); {advice}')


def _class(status: int, words: str, *, mutating: bool) -> tuple[type[DriverError], str]:
    for pattern, kind, advice in WORDS:
        if pattern.search(words):
            return kind, advice
    if status >= 500:
        lost = "whether it took place is unknown, looking again"
        return (Ambiguous, lost) if mutating else (Unreachable, "asking again")
    match status:
        case 401:
            return CredentialsInvalid, "check the credentials of the endpoint"
        case 403:
            return Forbidden, "allow anneal to do this"
        case 404 | 409 | 412 if mutating or status != 404:
            return Conflict, "looking again"
        case 429:
            return RateLimited, "going on more slowly"
    return InvalidConfiguration, "change the spec"


def tidy(words: str) -> str:
    """One line of it, cut, without secrets."""
    text = URL_PASSWORD.sub("***@", JOIN_TOKEN.sub("***", " ".join(words.split()))) or "(nothing)"
    return text.removeprefix("rpc error: ")[:LONGEST]


def unsent(error: BaseException | None) -> bool:
    """Whether this failure of a connection happened before the request was sent: nobody listens there, or not to us."""
    before = (ConnectionRefusedError, FileNotFoundError, PermissionError, NotADirectoryError)
    names = {"NewConnectionError", "ConnectTimeoutError", "ConnectTimeout", "NameResolutionError", "SSLCertVerificationError"}
    return any(isinstance(link, before) or type(link).__name__ in names for link in chain(error))

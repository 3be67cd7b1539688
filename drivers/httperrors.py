"""What the services of a cloud mean by the status of an answer that is not 2xx, and what lies below an error. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from drivers.contract import (
    Ambiguous,
    Conflict,
    CredentialsInvalid,
    DriverError,
    Forbidden,
    InvalidConfiguration,
    QuotaExceeded,
    RateLimited,
    Unreachable,
)

LONGEST = 500
"""Characters of a cloud's words that are repeated."""


class Advice(NamedTuple):
    """What a driver tells people to do where clouds differ."""

    credentials: str
    gone: str = "it is gone, looking again"


def refusal(
    doing: str,
    status: int,
    words: str,
    headers: Mapping[str, str],
    advice: Advice,
    *,
    mutating: bool,
    quota: bool,
    request_id: str | None,
) -> DriverError:
    """The error for a status. `doing` is "create server \"w-1\"", `words` the cloud's own, `quota` whether those speak of one.

    Quota and policy are both 403 on real clouds: only the words tell them apart.
    """  # fmt: skip
    after = retry_after(headers)
    kind, todo = _class(status, advice, quota=quota, after=after, mutating=mutating)
    return kind(f'cannot {doing}: the cloud says: "{words}" ({status}); {todo}', retry_after=after, request_id=request_id)


def _class(status: int, advice: Advice, *, quota: bool, after: float | None, mutating: bool) -> tuple[type[DriverError], str]:
    if status >= 500:
        lost = "whether it took place is unknown, looking again"
        return (Ambiguous, lost) if mutating else (Unreachable, "asking again")
    match status:
        case 401:
            return CredentialsInvalid, advice.credentials
        case 403 | 409 | 413 if quota:
            return QuotaExceeded, "raise the quota, or ask for less"
        case 403:
            return Forbidden, "give the account a role that may do this"
        case 429 | 413:
            return RateLimited, f"going on after {after:g} s" if after else "going on more slowly"
        case 409 | 412:
            return Conflict, "looking again"
        case 404 | 410 if mutating:
            return Conflict, advice.gone
    return InvalidConfiguration, "change the spec"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header; None without one that makes sense."""
    try:
        seconds = float(headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return max(0.0, min(seconds, 3600.0)) if math.isfinite(seconds) else None


def chain(error: BaseException | None) -> list[BaseException]:
    """The error and all that it was made from: causes, contexts, and what requests and urllib3 keep in `args` and `reason`."""
    found: list[BaseException] = []
    todo: list[Any] = [error]
    while todo and len(found) < 20:
        link = todo.pop(0)
        if not isinstance(link, BaseException) or link in found:
            continue
        found.append(link)
        todo += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return found

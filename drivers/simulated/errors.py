"""From what the cloud answered to what the engine does next. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import orjson

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
QUOTA = re.compile(r"quota exceeded|exceeded\b.*\bquota|over ?quota", re.IGNORECASE)


def classify(
    doing: str, status: int, body: bytes, headers: Mapping[str, str], *, mutating: bool, secret: str = ""
) -> DriverError:
    """The error for an answer that is not 2xx. `doing` is "create server \"w-1\""; `secret` is never repeated.

    Quota and policy are both 403 on real clouds: the text tells them apart.
    """
    words = said(body, secret)
    quota = QUOTA.search(words) is not None
    after = retry_after(headers)
    kind, advice = _class(status, quota=quota, after=after, mutating=mutating)
    return kind(
        f'cannot {doing}: the cloud says: "{words}" ({status}); {advice}',
        retry_after=after,
        request_id=headers.get("X-Request-Id"),
    )


def _class(status: int, *, quota: bool, after: float | None, mutating: bool) -> tuple[type[DriverError], str]:
    if status >= 500:
        lost = "whether it took place is unknown, looking again"
        return (Ambiguous, lost) if mutating else (Unreachable, "asking again")
    match status:
        case 401:
            return CredentialsInvalid, "check the token that credentialsRef names"
        case 403 | 409 | 413 if quota:
            return QuotaExceeded, "raise the quota, or ask for less"
        case 403:
            return Forbidden, "give the account a role that may do this"
        case 429 | 413 | 503:
            return RateLimited, f"going on after {after:g} s" if after else "going on more slowly"
        case 409 | 412:
            return Conflict, "looking again"
        case 404 | 410 if mutating:
            return Conflict, "it is gone, looking again"
    return InvalidConfiguration, "change the spec"


def said(body: bytes, secret: str = "") -> str:
    """The cloud's own sentence out of the body of an error, cut, and without the secret."""
    try:
        text = str(orjson.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace")
    text = " ".join(text.split()) or "(nothing)"
    return (text.replace(secret, "***") if secret else text)[:LONGEST]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header; None without one that makes sense."""
    try:
        seconds = float(headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return max(0.0, min(seconds, 3600.0)) if math.isfinite(seconds) else None

"""From what the simulated cloud answered to what the engine does next. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import orjson

from drivers.contract import DriverError
from drivers.httperrors import LONGEST, Advice, refusal

QUOTA: Final = re.compile(r"quota exceeded|exceeded\b.*\bquota|over ?quota", re.IGNORECASE)
ADVICE: Final = Advice(credentials="check the token that credentialsRef names")


def classify(
    doing: str, status: int, body: bytes, headers: Mapping[str, str], *, mutating: bool, secret: str = ""
) -> DriverError:
    """The error for an answer that is not 2xx. `doing` is "create server \"w-1\""; `secret` is never repeated."""
    words = said(body, secret)
    quota, request = QUOTA.search(words) is not None, headers.get("X-Request-Id")
    return refusal(doing, status, words, headers, ADVICE, mutating=mutating, quota=quota, request_id=request)


def said(body: bytes, secret: str = "") -> str:
    """The cloud's own sentence out of the body of an error, cut, and without the secret."""
    try:
        text = str(orjson.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace")
    text = " ".join(text.split()) or "(nothing)"
    return (text.replace(secret, "***") if secret else text)[:LONGEST]

"""Keeps secrets out of what is written: values that were registered as secret, and whatever stands under a telling name."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

HIDDEN = "[redacted]"
SHORTEST = 4
"""Shorter values are not searched for: they stand in every other word."""

_KEY = re.compile(r"(?i)(token|passwords?|passwd|passphrase|secrets?|authorization|api[-_]?key|private[-_]?key|credentials)$")
_TEXT = re.compile(
    r"(?i)(\b(?:bearer|basic)\s+)[-\w.~+/=]{8,}|((?:password|passwd|token|authorization)\"?'?\s*[=:]\s*\"?'?)[^\s\"',;&]+"
)
_URL = re.compile(r"(\w+://)[^/@\s]+@")


class Redactor:
    """Replaces secrets in text and in nested values. Threads may register and redact at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def register(self, value: str) -> None:
        """Remember a secret, also as it looks in base64 and in a URL. Values under four characters are not remembered."""
        value = value.strip()
        if len(value) < SHORTEST:
            return
        forms = {value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")}
        with self._lock:
            if forms <= self._values:
                return
            self._values |= forms
            longest_first: Iterable[str] = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Return the text without any secret that can be recognised."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        text = _TEXT.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
        return _URL.sub(rf"\1{HIDDEN}@", text)

    def value(self, value: Any, key: str = "") -> Any:
        """Return the value (text, numbers, lists, mappings, anything printable) without secrets; the original stays as it is."""
        if key and _KEY.search(key) and value not in (None, "", True, False):
            return HIDDEN
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(k): self.value(v, str(k)) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        return self.text(str(value))


REDACTOR = Redactor()
"""The process' own: the logs ask it."""


def register_secret(value: str) -> None:
    """Never write this value into a log from now on."""
    REDACTOR.register(value)

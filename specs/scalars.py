"""What a plain YAML scalar means: YAML 1.2's core schema, and nothing that surprises.

`true` and `false` are booleans; `yes`, `on`, `y` and dates are text. Kubernetes reads YAML 1.1: where 1.1 sees another *number*
than 1.2 does (`0777`), the scalar is refused rather than guessed at. NaN, infinities and integers beyond 64 bits are refused too:
JSON cannot carry them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """A scalar that has no safe meaning, and why."""

    message: str


def resolve(text: str) -> Any:
    """Return what a plain scalar means: None, a bool, a 64-bit int, a finite float, the text itself; or Refused."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    if _INT.fullmatch(text):
        if len(digits := text.lstrip("+-")) > 1 and digits[0] == "0":
            return Refused("a leading zero makes a number octal for some readers, decimal for others; quote it or drop the zero")
        return _int64(int(text)) if len(text) <= 20 else _int64(None)
    if _OCTAL.fullmatch(text):
        return _int64(int(text[2:], 8)) if len(text) <= 24 else _int64(None)
    if _HEX.fullmatch(text):
        return _int64(int(text[2:], 16)) if len(text) <= 18 else _int64(None)
    if _NOT_FINITE.fullmatch(text):
        return Refused("infinity and NaN are no values here; give a number, or quote it")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            return Refused("the number is too large; quote it if it is text")
        return number
    return text


def _int64(number: int | None) -> int | Refused:
    if number is None or not -(2**63) <= number < 2**63:
        return Refused("the number does not fit into 64 bits; quote it if it is text")
    return number


def cut(text: str, limit: int = 60) -> str:
    """Return `text` safe to print in an error: control characters escaped, cut where it is long, no password of a URL."""
    scheme, colon, rest = text.partition("://")
    text = f"{scheme}{colon}…{rest[rest.rindex('@') :]}" if "@" in rest else text
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown)

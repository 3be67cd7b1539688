"""What the terminal can do, and what may be written to it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import TextIO

from reconciler.cli.errors import UsageError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "bold": "1", "dim": "2"}

Paint = Callable[[str, str], str]
"""(text, colour) -> text, coloured if the terminal wants it."""


def is_terminal(stream: TextIO | None = None) -> bool:
    """True if a person reads along."""
    return (stream or sys.stdout).isatty()


def coloured(stream: TextIO | None = None) -> bool:
    """True if colours are welcome: a terminal, not TERM=dumb, and NO_COLOR is not set (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal; None where output is not cut (a pipe, a file)."""
    if not is_terminal(stream):
        return None
    if (columns := os.environ.get("COLUMNS", "")).isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or None
    except OSError:
        return None


def paint(text: str, colour: str, *, on: bool | None = None, stream: TextIO | None = None) -> str:
    """Colour `text` (red, green, yellow, blue, cyan, bold, dim), or leave it as it is where colours are not welcome."""
    if not (coloured(stream) if on is None else on) or not text:
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def truth(status: str) -> str:
    """The colour of a condition's status: True is green, False red, Unknown yellow."""
    return {"True": "green", "False": "red"}.get(status, "yellow")


def clean(text: object) -> str:
    """Take out control characters: what a cloud says must not steer the terminal. Tabs and newlines become spaces."""
    text = str(text)
    return text if text.isprintable() else _CONTROL.sub("", text.replace("\n", " ").replace("\t", " "))


def clean_lines(text: object) -> list[str]:
    """As `clean`, line by line."""
    return [clean(line) for line in str(text).splitlines()]


def unicode_ok() -> bool:
    """True if stdout can carry box-drawing characters."""
    stdout = sys.stdout if getattr(sys.stdout, "encoding", None) else sys.__stdout__  # rich's stand-in does not say
    return "utf" in (getattr(stdout, "encoding", None) or "").lower()


def complain(message: str) -> None:
    """Write an error to stderr."""
    sys.stdout.flush()
    label = paint("error:", "red", stream=sys.stderr)
    sys.stderr.write(f"{label} {message}\n")


def note(message: str) -> None:
    """Write a remark to stderr, so that stdout stays what scripts read."""
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def agreed(question: str) -> bool:
    """Ask, and take no for an answer to anything but y or yes. UsageError where nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError("cannot ask: this is no terminal; see what it would do, then run it again with --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

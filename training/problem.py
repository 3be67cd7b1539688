"""What is wrong with a table, in words that name the place."""

from __future__ import annotations

from dataclasses import dataclass

MAX_NAMED = 20
"""Rows that a problem names."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the table: which column (None: the table), which rows (the first row of data is 1), and what."""

    column: str | None
    rows: list[int]
    message: str

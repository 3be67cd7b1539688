"""Tables of cases of which some run always and the others with the slow ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest


def cases(table: Mapping[str, Any], *, quick: Collection[str]) -> list[Any]:
    """One parameter for each row, with its name as id; a row that is a tuple gives several values."""
    assert set(quick) <= set(table), "a quick case that is not in the table"
    rows = []
    for name, row in table.items():
        values = row if isinstance(row, tuple) else (row,)
        rows.append(pytest.param(*values, id=name, marks=() if name in quick else pytest.mark.slow))
    return rows

"""Which rows no training ever sees: decided by a hash of what the row holds, so that it stays so when the table grows.

The target is not in the hash: a label that is corrected does not move its row from one side to the other. Rows that are alike
in all inputs lie on the same side, so that nothing is both learned and asked.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def held_out(table: pa.Table, *, target: str, share: float) -> NDArray[np.bool_]:
    """For each row of a table (columns of training.table's types) whether it is held out. `share`: of all rows, about."""
    limit = int(share * 2**64)
    return np.array([int.from_bytes(key, "big") < limit for key in row_keys(table, without=target)], dtype=np.bool_)


def row_keys(table: pa.Table, *, without: str) -> list[bytes]:
    """A hash of 8 bytes per row; the order of columns does not matter, nor whether a number was read as whole."""
    names = sorted(name for name in table.column_names if name != without)
    columns = [[_text(value) for value in table.column(name).to_pylist()] for name in names]
    head = "\x1e".join(names)
    rows = zip(*columns, strict=True) if columns else [()] * table.num_rows
    return [hashlib.blake2b("\x1f".join((head, *row)).encode(), digest_size=8).digest() for row in rows]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return repr(float(value)) if abs(value) < 2**53 else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) else repr(value)

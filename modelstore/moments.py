"""What a moment says to a model: how late it is, and where in the year, the week and the day. Arithmetic that ONNX can do too."""

from __future__ import annotations

from typing import Final

import numpy as np

from modelstore.columns import Floats

DAY: Final = 86400.0
PERIODS: Final = {"year": 365.2425 * DAY, "week": 7 * DAY, "day": DAY}
"""Circles, in seconds."""
PARTS: Final = ("days", *(f"{wave} of {period}" for period in PERIODS for wave in ("sine", "cosine")))
"""Names of the features of one moment, in order."""

FREQUENCIES: Final = np.array([2 * np.pi / seconds for seconds in PERIODS.values() for _ in range(2)])
"""Radians a second, per sine and cosine."""
PHASES: Final = np.array([shift for _ in PERIODS for shift in (0.0, np.pi / 2)])
"""A cosine is a sine a quarter turn earlier: one operator does both."""


def features(seconds: Floats) -> Floats:
    """Seconds since 1970, rows × columns, to rows × (columns × len(PARTS))."""
    rows, columns = seconds.shape
    one = seconds[:, :, None]
    every = np.concatenate([one / DAY, np.sin(one * FREQUENCIES + PHASES)], axis=2)
    return every.reshape(rows, columns * len(PARTS))

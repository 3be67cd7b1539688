"""Did you mean: the nearest of the names that would have been right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MAX_WORD = 64


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `word` was most likely meant to be, or None. Case does not count."""
    if len(word) > MAX_WORD:  # difflib is quadratic, and nobody mistypes a name of this length
        return None
    by_lower = {name.lower(): name for name in candidates}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return `: did you mean "flavor"?` to append to a sentence, or nothing."""
    found = closest(word, candidates)
    return f': did you mean "{found}"?' if found else ""

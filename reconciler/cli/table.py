"""Rows into aligned columns, as kubectl prints them; on a terminal with colours and cut to its width."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cli.terminal import clean, paint, truth

GAP = "   "
_TRUTH = {"READY", "STATUS"}
_CUT = ("MESSAGE", "NOTE")
_LEAST = 12


def render(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    width: int | None = None,
    colour: bool = False,
    with_headers: bool = True,
    widths: Sequence[int] | None = None,
) -> list[str]:
    """Lay out a table. With `width`, a last MESSAGE column is cut to fit. `widths` are the least widths of the columns."""
    heads = [header.upper() for header in headers]
    cells = [[clean(cell) for cell in row] for row in rows]
    sizes = measure(heads if with_headers else [""] * len(heads), cells, widths)
    room = _room(heads, sizes, width)
    out = []
    if with_headers:
        out.append(_line(heads, heads, sizes, room, colour=False))
    out += [_line(row, heads, sizes, room, colour=colour) for row in cells]
    return out


def measure(heads: Sequence[str], cells: Sequence[Sequence[str]], least: Sequence[int] | None = None) -> list[int]:
    """The width that each column needs."""
    sizes = [len(head) for head in heads]
    if least:
        sizes = [max(size, floor) for size, floor in zip(sizes, least, strict=True)]
    for row in cells:
        for i, cell in enumerate(row):
            if (size := columns(cell)) > sizes[i]:
                sizes[i] = size
    return sizes


def columns(text: str) -> int:
    """How many columns of the terminal a text takes: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, size: int) -> str:
    """Shorten to `size` columns; an ellipsis shows that something is missing."""
    if columns(text) <= size:
        return text
    kept = ""
    for char in text:
        if columns(kept + char) > size - 1:
            break
        kept += char
    return kept.rstrip() + "…"


def _room(heads: Sequence[str], sizes: Sequence[int], width: int | None) -> int | None:
    """Columns that are left for the last column; None if it needs no cut."""
    if width is None or not heads or heads[-1] not in _CUT:
        return None
    return max(_LEAST, width - sum(sizes[:-1]) - len(GAP) * (len(sizes) - 1))


def _line(row: Sequence[str], heads: Sequence[str], sizes: Sequence[int], room: int | None, *, colour: bool) -> str:
    cells = []
    for i, cell in enumerate(row):
        last = i == len(row) - 1
        text = cut(cell, room) if last and room is not None else cell
        padding = "" if last else " " * (sizes[i] - columns(text))
        if colour and heads[i] in _TRUTH and text in ("True", "False", "Unknown"):
            text = paint(text, truth(text), on=True)
        cells.append(text + padding)
    return GAP.join(cells).rstrip()

"""The table on the terminal, and the same as JSON in bench/results/."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.figure import Figure

RESULTS = Path(__file__).with_name("results")
COLUMNS = ("name", "what", "value", "unit", "target", "baseline", "baseline value", "ratio", "")
RIGHT = {"value", "target", "baseline value", "ratio"}


def table(figures: Iterable[Figure]) -> Table:
    """One line per figure."""
    found = Table(*[], box=None, pad_edge=False)
    for column in COLUMNS:
        found.add_column(column, justify="right" if column in RIGHT else "left", no_wrap=column in RIGHT | {"name"})
    for figure in figures:
        verdict = {"ok": "[green]ok[/green]", "miss": "[red]miss[/red]", "": ""}[figure.verdict]
        limit = f"{'≥' if figure.more else '≤'} {number(figure.limit)}" if figure.limit is not None else "–"
        found.add_row(
            figure.name, figure.what, number(figure.value), figure.unit, limit, figure.baseline or "–",
            number(figure.baseline_value), number(figure.ratio), verdict,
        )  # fmt: skip
    return found


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "–"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def write(name: str, machine: dict[str, Any], figures: Iterable[Figure], *, quick: bool) -> Path:
    """Write bench/results/NAME.json; returns its path."""
    RESULTS.mkdir(exist_ok=True)
    rows = [asdict(figure) | {"limit": figure.limit, "ratio": figure.ratio, "verdict": figure.verdict} for figure in figures]
    content = {"name": name, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "quick": quick, "machine": machine, "figures": rows}
    path = RESULTS / f"{name}.json"
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return path


def show(figures: Iterable[Figure], console: Console) -> None:
    """Print the table."""
    console.print(table(figures))

"""`python -m bench.peers [NAME…] [--quick]`: each peer beside ours, on the same models and load; told, not promised."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench import report
from bench.classifiers import NAMES, Classifier, make
from bench.figure import Figure, medians
from bench.meter import machine, warning
from bench.peers.servers import PEERS, Say
from bench.sides import Side, ours
from bench.wrk import Load

CONNECTIONS = (16, 64)
SECONDS, ROUNDS = 5.0, 3


def main(argv: list[str] | None = None) -> int:
    """One peer after the other, each in turn with ours."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(PEERS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="one short round: to try it, not to trust it")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - PEERS.keys():
        parser.error(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    width = None if sys.stdout.isatty() else 200
    console, errors = Console(width=width), Console(stderr=True, width=width)
    seen, begun = machine(), time.monotonic()
    if text := warning(seen):
        errors.print(f"[yellow]{text}[/yellow]")

    def say(text: str) -> None:
        errors.print(f"[dim]peers: {time.monotonic() - begun:5.1f} s: {text}[/dim]", highlight=False)

    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="anneal-bench-peers-", ignore_cleanup_errors=True) as folder:
        for name in NAMES:
            model = make(name, Path(folder), Path(folder) / "store")
            with ours(Path(folder) / f"ours-{name}", Path(folder) / "store", model) as (we, _):
                we.check(model)
                for peer in args.names or PEERS:
                    figures += _beside(Path(folder) / f"{peer}-{name}", model, we, peer, args.quick, say)
    report.write("peers", seen, figures, quick=args.quick)
    report.show(figures, console)
    return 0


def _beside(folder: Path, model: Classifier, we: Side, peer: str, quick: bool, say: Say) -> list[Figure]:
    """The peer's figures for one model; none, and why, if it cannot be had here."""
    try:
        with PEERS[peer](folder, model, say) as they:
            they.check(model)
            return [*_figures(model, we, they, quick, say)]
    except RuntimeError as error:
        say(f"{peer}: {error}")
        return []


def _figures(model: Classifier, we: Side, they: Side, quick: bool, say: Say) -> list[Figure]:
    found = []
    for connections in CONNECTIONS:
        loads: tuple[list[Load], list[Load]] = ([], [])
        for turn in range(2 if quick else 1 + ROUNDS):  # the first warms up, and does not count
            for side, kept in zip((we, they), loads, strict=True):
                load = side.load(model, connections, SECONDS if turn and not quick else 2.0)
                say(
                    f"{model.name}, {connections} at a time: {side.name} {load.per_second:,.0f}/s, p50 {load.p50:.1f} ms, "
                    f"p99 {load.p99:.1f} ms, {load.cpu:.2f} ms of CPU each, {load.failed} failed"
                )
                if turn:
                    kept.append(load)
        name, what = f"peers-{model.name}-{connections}", f"single rows, {connections} at a time, {model.name}"
        mine, theirs = ([load.per_second for load in side] for side in loads)
        found.append(replace(medians(name, what, "1/s", mine, they.name, theirs), more=True))
        mine, theirs = ([load.cpu for load in side] for side in loads)
        found.append(medians(f"{name}-cpu", f"{what}: CPU for each", "ms", mine, they.name, theirs))
    found.append(Figure(f"peers-{model.name}-memory", "memory (PSS)", we.memory(), "MB", None, they.name, they.memory()))
    started = Figure(
        f"peers-{model.name}-start", "start → first answer", we.start_seconds, "s", None, they.name, they.start_seconds
    )
    return [*found, started]


if __name__ == "__main__":
    sys.exit(main())

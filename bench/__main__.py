"""`python -m bench [NAME…] [--quick]`: measure, print one table, exit 1 if a promise is not kept."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench import (
    bulk,
    edit,
    firstprediction,
    get,
    help,
    idle,
    openstack,
    post,
    predictions,
    report,
    resync,
    rollout,
    search,
    serving,
)
from bench.figure import Benchmark, Figure, Options
from bench.meter import machine, warning

BENCHMARKS: dict[str, Benchmark] = {
    "help": help.run,
    "edit": edit.run,
    "post": post.run,
    "get": get.run,
    "bulk": bulk.run,
    "idle": idle.run,
    "resync": resync.run,
    "search": search.run,
    "serving": serving.run,
    "first-prediction": firstprediction.run,
    "openstack-create": openstack.create,
    "openstack-resync": openstack.resync,
    "swarm-predictions": predictions.run,
    "swarm-rollout": rollout.run,
}
APART = ("openstack-create", "openstack-resync", "swarm-rollout")
"""Run only when named: they bring up a cloud, or a Swarm, on this machine, as root."""


def main(argv: list[str] | None = None) -> int:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of objects and repeats: to try it, not to trust it")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    width = None if sys.stdout.isatty() else 200
    console, errors = Console(width=width), Console(stderr=True, width=width)
    seen = machine()
    console.print(f"{seen['cpu']}, {seen['cores']} cores, {seen['memory_gb']} GB, Python {seen['python']}, load {seen['load']}")
    if text := warning(seen):
        errors.print(f"[yellow]{text}[/yellow]")
    figures: list[Figure] = []
    broken = 0
    for name in args.names or [name for name in BENCHMARKS if name not in APART]:
        try:
            found = asyncio.run(_one(name, args.quick, errors))
        except Exception as error:  # the others are still worth measuring
            errors.print("\n".join([f"{name}: {type(error).__name__}: {error}", *getattr(error, "__notes__", [])]), markup=False)
            broken += 1
            continue
        report.write(name, seen, found, quick=args.quick)
        figures += found
    report.show(figures, console)
    missed = [figure.name for figure in figures if figure.verdict == "miss"]
    if missed:
        errors.print(f"not kept: {', '.join(missed)}")
    return 1 if missed or broken else 0


async def _one(name: str, quick: bool, errors: Console) -> list[Figure]:
    begun = time.monotonic()

    def say(text: str) -> None:
        errors.print(f"[dim]{name}: {time.monotonic() - begun:5.1f} s: {text}[/dim]", highlight=False)

    say("begins")
    with tempfile.TemporaryDirectory(prefix=f"anneal-bench-{name}-", ignore_cleanup_errors=True) as folder:
        return await BENCHMARKS[name](Options(Path(folder), quick, say))


if __name__ == "__main__":
    sys.exit(main())

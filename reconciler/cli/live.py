"""The live table of `anneal up`: every object, ready or not and why, how far its training is, and in the end what to try."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from reconciler.cli import progress, served
from reconciler.cli.api import Api
from reconciler.cli.conditions import SUMMARY, summary
from reconciler.cli.connect import ask_daemon
from reconciler.cli.errors import CliError
from reconciler.cli.kinds import Kind, ours
from reconciler.cli.kubeconfig import load, load_daemon
from reconciler.cli.table import render
from reconciler.cli.terminal import clean, coloured
from reconciler.cli.verbs.status import problem
from reconciler.cli.watch import Follower, World
from reconciler.home import Home

Object = dict[str, Any]
REFRESH_SECONDS = 1.0
STATUS_SECONDS = 2.0
MOST_TRAINING = 4


def show(home: Home, alive: Callable[[], bool], hint: str) -> None:
    """Draw until `alive` says no, or Ctrl-C; what that does is the hint."""
    api = Api(load(home=str(home.root)))
    daemon = Api(load_daemon(home=str(home.root)))
    kinds = ours(api)
    follower, world = Follower(api, kinds, None), World()
    names = {kind.plural: kind for kind in kinds}
    status, asked = _status(daemon), time.monotonic()
    with follower.interrupts(), Live(auto_refresh=False, console=Console(highlight=False)) as view:
        try:
            while alive():
                change = follower.next(REFRESH_SECONDS)
                while change is not None:  # all that is there, then one drawing
                    world.take(change)
                    change = follower.next(0.02)
                if time.monotonic() - asked > STATUS_SECONDS:
                    status, asked = _status(daemon), time.monotonic()
                view.update(draw(world, names, {**status, "hint": hint}, *view.console.size), refresh=True)
        finally:  # what stays on the screen is how it was, without the hints of a daemon that goes on
            view.update(draw(world, names, None, *view.console.size), refresh=True)


def _status(daemon: Api) -> Object:
    try:
        found: Object = ask_daemon(daemon, "GET", "/status", seconds=5)
        return found
    except CliError as error:
        return {"trouble": str(error)}


def draw(world: World, kinds: dict[str, Kind], status: Object | None, width: int, height: int) -> Group:
    """The whole picture, never higher than the terminal: what is not ready stands first where there is too much.

    status: what the daemon says of itself, and the hint; None when it is over.
    """
    rank = {plural: place for place, plural in enumerate(kinds)}  # as they need each other
    found = sorted(world.objects.items(), key=lambda each: (rank[each[0][0]], each[0]))
    rows = [(obj, summary(obj, name(kinds, key))) for key, obj in found]
    training = [progress.lines(obj, name(kinds, key), width) for key, obj in found if progress.is_training(obj)][:MOST_TRAINING]
    footer = [line for lines in training for line in (*lines, Text(""))] + served.lines(world, width)
    if status is not None:
        footer += _footer(status, len(rows), sum(row[1] == "True" for _, row in rows))
    room = max(3, height - len(footer) - 3)
    if len(rows) > room:
        rows.sort(key=lambda each: each[1][1] == "True")
        footer.insert(0, Text(f"… and {len(rows) - room} more; `anneal get anneal` lists them", style="dim"))
    lines = render(SUMMARY, [row for _, row in rows[:room]], width=width, colour=coloured())
    table = Text.from_ansi("\n".join(lines), no_wrap=True)
    empty = Text("No objects yet: put YAML into the folder; `anneal explain machine` shows what it looks like.", style="dim")
    return Group(table if rows else empty, Text(""), *footer)


def name(kinds: dict[str, Kind], key: tuple[str, str, str]) -> str:
    """`machine/worker-1`, with its namespace unless that is `default`."""
    shown = f"{kinds[key[0]].singular}/{key[2]}"
    return shown if key[1] == "default" else f"{shown} ({key[1]})"


def _footer(status: Object, total: int, ready: int) -> list[Text]:
    if "trouble" in status:
        return [Text(status["trouble"], style="red")]
    lines: list[Text] = []
    for source in status["sources"]:
        if source["state"] != "Synced":
            lines.append(Text(f"{source['state']}: {source['path']}", style="red"))
        for error in source["errors"][:3]:
            lines += [Text(line) for line in problem(error)]
        if source.get("pendingRemovals"):
            lines.append(Text(f"{len(source['pendingRemovals'])} removals wait for `anneal confirm`", style="yellow"))
    lines += [
        Text(f"breaker {each['driver']} is open: {clean(each['message'])}", style="red")
        for each in status["breakers"]
        if each["open"]
    ]
    lines += [Text(clean(reason), style="yellow") for reason in status["notReady"]]
    return [
        *lines,
        Text(f"{ready} of {total} ready   {status['apiserver']}   {status['hint']}", style="dim"),
    ]

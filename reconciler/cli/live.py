"""The live table of `anneal up`: every object, ready or not and why, as it changes."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from reconciler.cli.api import Api
from reconciler.cli.conditions import SUMMARY, condition, summary
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


def show(home: Home, alive: Callable[[], bool]) -> None:
    """Draw until `alive` says no, or Ctrl-C."""
    api = Api(load(home=str(home.root)))
    daemon = Api(load_daemon(home=str(home.root)))
    kinds = ours(api)
    follower, world = Follower(api, kinds, None), World()
    names = {kind.plural: kind for kind in kinds}
    status, asked = _status(daemon), time.monotonic()
    with Live(auto_refresh=False, console=Console(highlight=False), transient=True) as view:
        while alive():
            change = follower.next(REFRESH_SECONDS)
            while change is not None:  # all that is there, then one drawing
                world.take(change)
                change = follower.next(0.02)
            if time.monotonic() - asked > STATUS_SECONDS:
                status, asked = _status(daemon), time.monotonic()
            view.update(draw(world, names, status, *view.console.size), refresh=True)


def _status(daemon: Api) -> Object:
    try:
        found: Object = ask_daemon(daemon, "GET", "/status", seconds=5)
        return found
    except CliError as error:
        return {"trouble": str(error)}


def draw(world: World, kinds: dict[str, Kind], status: Object, width: int, height: int) -> Group:
    """The whole picture, never higher than the terminal: what is not ready stands first where there is too much."""
    rows = [(obj, summary(obj, name(kinds, key))) for key, obj in sorted(world.objects.items())]
    footer = [*served(world), *_footer(status, len(rows), sum(row[1] == "True" for _, row in rows))]
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


def served(world: World) -> list[Text]:
    """What there is to try: the address of every app that answers, and a line that asks it for a prediction."""
    lines: list[Text] = []
    for (plural, namespace, _), obj in sorted(world.objects.items()):
        there = obj.get("status") or {}
        if plural != "modeldeployments" or condition(obj, "Ready").get("status") != "True" or not there.get("url"):
            continue
        lines.append(Text.assemble("Open ", (clean(there["url"]), "bold green"), " in a browser, or ask it here:"))
        model = world.objects.get(("modelversions", namespace, there.get("modelVersion") or ""), {})
        if row := (model.get("status") or {}).get("example"):
            ask = f"curl -s {clean(there['url'])}/predict -H 'Content-Type: application/json' -d {shlex.quote(curl_body(row))}"
            lines.append(Text(f"  {ask}", style="cyan"))
    return [*lines, Text("")] if lines else []


def curl_body(example: str) -> str:
    """The body of a request for one row."""
    return '{"rows": [' + clean(example) + "]}"


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
        Text(f"{ready} of {total} ready   {status['apiserver']}   Ctrl-C stops the daemon, what it made stays", style="dim"),
    ]

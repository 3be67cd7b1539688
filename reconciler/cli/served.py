"""What there is to try: the address of every web app that answers, and a command that asks it for a prediction. Pure."""

from __future__ import annotations

import json
import shlex
from typing import Any

from rich.text import Text

from reconciler.cli.conditions import condition
from reconciler.cli.terminal import clean
from reconciler.cli.watch import World

Object = dict[str, Any]
INDENT = "  "


def lines(world: World, width: int) -> list[Text]:
    """For each deployment that is Ready: a line with its address, and the command."""
    found: list[Text] = []
    for (plural, namespace, name), obj in sorted(world.objects.items()):
        there = obj.get("status") or {}
        if plural != "modeldeployments" or condition(obj).get("status") != "True" or not there.get("url"):
            continue
        url = clean(there["url"])
        found.append(Text.assemble(clean(name), " is served: open ", (url, "bold green"), " in a browser, or ask it here:"))
        model = world.objects.get(("modelversions", namespace, there.get("modelVersion") or ""), {})
        if example := (model.get("status") or {}).get("example"):
            found += [Text(line, style="cyan", no_wrap=True) for line in command(url, str(example), width)]
    return [*found, Text("")] if found else []


def command(url: str, example: str, width: int) -> list[str]:
    """A curl command for one row, broken only where a shell does not mind: at a backslash, and between the values of the JSON."""
    try:
        values = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in json.loads(example).items()]
    except (ValueError, AttributeError):
        return [f"{INDENT}curl -s {url}"]
    quoted = [shlex.quote(clean(one))[1:-1] for one in values]  # they hold quotes, so that it always puts its own around them
    rows = [f"{INDENT}curl -s {url}/predict", f"{INDENT}  -H 'Content-Type: application/json'"]
    if len(rows[0]) + len(rows[1].lstrip()) + 3 <= width:
        rows = [f"{rows[0]} {rows[1].lstrip()}"]
    rows = [*(f"{row} \\" for row in rows), f"{INDENT}  -d '{{"]
    for i, text in enumerate(quoted):
        part = text + ("}'" if i == len(quoted) - 1 else ",")
        if len(rows[-1]) + len(part) + 1 <= width or rows[-1].endswith("{"):
            rows[-1] += part if rows[-1].endswith("{") else f" {part}"
        else:
            rows.append(f"{INDENT}  {part}")
    return rows

"""`anneal logs`: what an object's local processes say, or what the daemon did for it, or all that the daemon did."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import DAEMON, open_api, open_daemon
from reconciler.cli.errors import OK, ApiError, UsageError
from reconciler.cli.kinds import GROUP
from reconciler.cli.targets import single

_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}
_PAIR = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')
_SHOWN = ("timestamp", "level", "event", "logger")
_ABOUT = ("plural", "kind", "namespace", "name", "uid")


def parser() -> Parser:
    """The flags of `anneal logs`."""
    made = Parser(
        "logs",
        "[KIND/NAME] [flags]",
        [
            ("anneal logs -f", "all of it, and go on"),
            ("anneal logs machine/worker-1 --tail 20", "the last lines about one object"),
            ("anneal logs experiment/penguins -f", "the job as it goes on"),
            ("anneal logs experiment/penguins --trial 7", "one trial, by its number or name"),
            ("anneal logs mdep/penguins --part worker", "its workers only"),
            ("anneal logs mdep/penguins --part broker -f", "on a Swarm: a service by name, wherever it runs"),
            ("anneal logs mdep/penguins --daemon", "what the daemon did for it"),
            ("anneal logs -o json", "as it was written, one JSON object a line"),
        ],
        more="An object with local processes or with services on a Swarm shows their logs, a Machine on OpenStack its console, "
        "others what the daemon did. "
        "When the daemon does not run: its log is logs/daemon.log in the home, the processes' are units/*/log.",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("-f", "--follow", action="store_true", help="go on with every new line")
    made.add_argument("--tail", type=int, default=100, metavar="N", help="how many lines (default 100)")
    made.add_argument("--trial", metavar="TRIAL", help="of an experiment: only the lines about this trial")
    made.add_argument("--part", metavar="PART", help="only the processes of this part (web, worker, worker/2-0, job, head …)")
    made.add_argument("--daemon", action="store_true", help="what the daemon did, not what the processes say")
    made.add_argument("-o", "--output", default="", choices=("json",), metavar="FORMAT", help="json: raw")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Stream the lines."""
    args = parser().parse(argv)
    if args.tail < 0:
        raise UsageError("cannot use --tail: it is a number of lines, 0 or more")
    query: dict[str, Any] = {"tail": args.tail, "follow": "1" if args.follow else None}
    if args.what:
        api, namespace = open_api(args)
        kind, name = single(api, args.what, "logs")
        if not args.daemon and kind.group == GROUP and _processes(args, query, f"{kind.plural}/{namespace}/{name}"):
            return OK
        query |= {"plural": kind.plural, "namespace": namespace, "name": name}
    elif args.trial or args.part:
        raise UsageError("cannot tell whose: --trial and --part go with KIND/NAME")
    colour = terminal.coloured()
    for line in open_daemon(args).stream(f"{DAEMON}/logs", query):
        text = line.decode("utf-8", "replace").rstrip("\n")
        print(text if args.output else readable(text, colour=colour))
        if args.follow:
            sys.stdout.flush()
    return OK


def _processes(args: argparse.Namespace, query: dict[str, Any], path: str) -> bool:
    """Print the logs of the object's local processes; False if it has none."""
    try:
        for line in open_daemon(args).stream(f"{DAEMON}/logs/{path}", {**query, "trial": args.trial, "part": args.part}):
            print(readable(line.decode("utf-8", "replace").rstrip("\n"), colour=terminal.coloured(), plain=bool(args.output)))
            if args.follow:
                sys.stdout.flush()
    except ApiError as error:
        if error.http != 404 or "no local processes" not in str(error) or args.part or args.trial:
            raise
        return False
    return True


def readable(line: str, *, colour: bool = False, plain: bool = False) -> str:
    """One event, JSON or logfmt, as `time level event  about  key=value …`; what is neither, or `plain`, stays as it is."""
    if plain:
        return terminal.clean(line)
    try:
        event = _logfmt(line) if line.startswith("timestamp=") else json.loads(line)
        parts = [str(event["timestamp"])[11:19], f"{event.get('level', ''):<7}", f"{event['event']}"]
    except (ValueError, LookupError, TypeError):
        return terminal.clean(line)
    parts[1] = terminal.paint(parts[1], _COLOURS.get(str(event.get("level")), "green"), on=colour)
    parts[2] = terminal.paint(terminal.clean(parts[2]), "bold", on=colour)
    if event.get("name"):
        kind = event.get("kind") or event.get("plural") or ""
        parts.append(terminal.paint(terminal.clean(f"{kind}/{event['name']}".lower()), "cyan", on=colour))
    rest = {key: value for key, value in event.items() if key not in (*_SHOWN, *_ABOUT)}
    trace = rest.pop("exception", "")
    parts += [f"{key}={_value(value)}" for key, value in rest.items()]
    text = " ".join(parts)
    return text if not trace else "\n".join([text, *(f"    {part}" for part in terminal.clean_lines(trace))])


def _logfmt(line: str) -> dict[str, str]:
    """The keys and values of a line that structlog wrote."""
    return {key: json.loads(value) if value.startswith('"') else value for key, value in _PAIR.findall(line) if value}


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return terminal.clean(json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text)

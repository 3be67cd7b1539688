"""`anneal why`: from an object down to the deepest condition that fails, in the words of what failed."""

from __future__ import annotations

from typing import Any

from reconciler.cli import terminal
from reconciler.cli.args import Parser
from reconciler.cli.connect import ask_daemon, open_api, open_daemon
from reconciler.cli.errors import FAILURE, OK
from reconciler.cli.targets import read, single

Object = dict[str, Any]


def parser() -> Parser:
    """The flags of `anneal why`."""
    made = Parser(
        "why",
        "KIND/NAME [flags]",
        [("anneal why machine/worker-1", ""), ("anneal why machine/worker-1 -o json", "for scripts")],
        more="Exit code 0 if it is ready, 1 if it is not.",
    )
    made.add_argument("what", nargs="*", metavar="KIND/NAME")
    made.add_argument("-o", "--output", default="", choices=("json",), metavar="FORMAT", help="json")
    return made.with_connection()


def run(argv: list[str]) -> int:
    """Ask the daemon and print the chain."""
    args = parser().parse(argv)
    api, namespace = open_api(args)
    kind, name = single(api, args.what, "why")
    read(api, kind, namespace, name)
    answer = ask_daemon(open_daemon(args), "GET", f"/why/{kind.plural}/{namespace}/{name}")
    if args.output == "json":
        import json

        print(json.dumps(answer, indent=4))
    else:
        print("\n".join(render(answer, colour=terminal.coloured())))
    return OK if answer["nodes"][0]["condition"].get("status") == "True" else FAILURE


def render(answer: Object, *, colour: bool = False) -> list[str]:
    """Lines: one object a line, aligned, each under the one that needs it; then what it says and what comes next."""
    nodes = answer["nodes"]
    corner = "└─ " if terminal.unicode_ok() else "`- "
    names = [f"{'   ' * (node['depth'] - 1)}{corner if node['depth'] else ''}{node['kind']}/{node['name']}" for node in nodes]
    states = [f"{node['condition'].get('type', '')}={node['condition'].get('status', '')}" for node in nodes]
    wide, broad = max(map(len, names)), max(map(len, states))
    lines = []
    for i, node in enumerate(nodes):
        found, last = node["condition"], i == len(nodes) - 1
        state = terminal.paint(states[i], terminal.truth(found.get("status", "")), on=colour) + " " * (broad - len(states[i]))
        said = found.get("reason", "") if last else terminal.clean(found.get("message") or found.get("reason", ""))
        lines.append(f"{names[i]:<{wide}}  {state}  {terminal.clean(said)}".rstrip())
    indent = "   " * max(1, nodes[-1]["depth"])
    lines += [f"{indent}{line}" for line in terminal.clean_lines(nodes[-1]["condition"].get("message") or "")]
    if answer.get("next"):
        lines.append(f"{indent}{terminal.clean(answer['next'])}")
    if answer.get("runbook") and nodes[-1]["condition"].get("status") != "True":
        lines.append(f"{indent}see {answer['runbook']}")
    return lines

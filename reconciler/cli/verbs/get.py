"""`anneal get`: tables made by the server, or objects in a format of your choice. The fast path: nothing heavy is imported."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from reconciler.cli import output, terminal
from reconciler.cli.api import TABLE, Api
from reconciler.cli.args import Parser
from reconciler.cli.conditions import SUMMARY
from reconciler.cli.connect import open_api
from reconciler.cli.errors import OK, ApiError, CliError, UsageError
from reconciler.cli.table import measure, render
from reconciler.cli.targets import Target, list_all, missing, parse, read

Object = dict[str, Any]
CHUNK = 2000


def parser() -> Parser:
    """The flags of `anneal get`."""
    made = Parser(
        "get",
        "KIND[,KIND] [NAME…] | KIND/NAME… [flags]",
        [
            ("anneal get anneal", "everything, one line each"),
            ("anneal get machines -o wide", "all columns"),
            ("anneal get mch/worker-1 -o yaml", "one object, whole"),
            ("anneal get machines -w", "and every change from now on"),
            ("anneal get mch -o jsonpath='{.items[*].status.providerID}'", "one field"),
            ("anneal get mch -l role=worker --sort-by=.metadata.creationTimestamp", ""),
            ("anneal get trials penguins", "the trials of an experiment"),
        ],
        more="KIND is a plural, singular or short name, or a category: `anneal` stands for all kinds of anneal.",
    )
    made.add_argument("what", nargs="*", metavar="KIND [NAME…]")
    made.add_argument("-o", "--output", default="", metavar="FORMAT", help="|".join(output.FORMATS))
    made.add_argument("-w", "--watch", action="store_true", help="go on with every change")
    made.add_argument("--sort-by", metavar="JSONPATH", help="sort by a field, such as .metadata.name")
    made.add_argument("--no-headers", action="store_true", help="no header line")
    made.add_argument("--show-labels", action="store_true", help="the labels as a last column")
    made.add_argument("--show-managed-fields", action="store_true", help="keep metadata.managedFields in -o json|yaml")
    made.add_argument("--ignore-not-found", action="store_true", help="exit 0 without output if a named object does not exist")
    return made.with_selection().with_connection()


def run(argv: list[str]) -> int:
    """List, print, and watch if asked."""
    args = parser().parse(argv)
    output.check(args.output)
    if args.what and args.what[0] in ("trials", "trial"):
        from reconciler.cli.trials import show

        return show(args)
    api, namespace = open_api(args)
    targets = parse(api, args.what)
    scope = None if args.all_namespaces else namespace
    if args.all_namespaces and any(target.names for target in targets):
        raise UsageError("cannot get a name from all namespaces: name one with -n, or leave the name away")
    if args.watch:
        return _watch(api, args, targets, scope)
    if args.output in ("", "wide"):
        return _tables(api, args, targets, scope)
    return _objects(api, args, targets, scope)


def _query(args: argparse.Namespace) -> dict[str, Any]:
    return {"labelSelector": args.selector, "fieldSelector": args.field_selector}


# --- objects ---------------------------------------------------------------------------------------------------------


def _objects(api: Api, args: argparse.Namespace, targets: list[Target], scope: str | None) -> int:
    items: list[Object] = []
    for target in targets:
        for name in target.names:
            found = _named(api, args, target, scope, name, "application/json")
            items += [found] if found else []
        if not target.names:
            items += list_all(api, target.kind, scope, _query(args))[0]
    if args.sort_by:
        items.sort(key=_sort_key(args.sort_by))
    if not args.show_managed_fields:
        items = [output.without_managed_fields(item) for item in items]
    alone = len(targets) == 1 and len(targets[0].names) == 1
    if alone and not items:
        return OK
    output.write(args.output, items[0] if alone else output.as_list(items), items=items, with_headers=not args.no_headers)
    return OK


def _named(api: Api, args: argparse.Namespace, target: Target, scope: str | None, name: str, accept: str) -> Object | None:
    try:
        found: Object = api.get(target.kind.path(scope, name), accept=accept)
    except ApiError as error:
        if error.http != 404:
            raise
        if args.ignore_not_found:
            return None
        raise missing(api, target.kind, scope, name) from error
    return found


def _sort_key(path: str) -> Any:
    from reconciler.cli import jsonpath

    try:
        steps = jsonpath.compile_path(path)
    except jsonpath.JsonPathError as error:
        raise UsageError(f"cannot sort by {path}: {error}") from error

    def key(item: Object) -> tuple[int, float, str]:
        """Absent first, then numbers, then texts, as kubectl sorts."""
        value = next(iter(jsonpath.find(steps, item)), None)
        if value is None:
            return 0, 0.0, ""
        if isinstance(value, int | float):
            return 1, float(value), ""
        return 2, 0.0, jsonpath.show(value)

    return key


# --- tables ----------------------------------------------------------------------------------------------------------


def _tables(api: Api, args: argparse.Namespace, targets: list[Target], scope: str | None) -> int:
    tables: list[tuple[Target, Object]] = []
    for target in targets:
        if target.names:
            pages = [page for name in target.names if (page := _named(api, args, target, scope, name, TABLE))]
        else:
            pages = list(_pages(api, args, target, scope))
        if table := _joined(pages, target):
            tables.append((target, table))
    filled = [(target, table) for target, table in tables if table["rows"]]
    if not filled:
        if not any(target.names for target in targets):
            where = "" if scope is None or not targets[0].kind.namespaced else f" in {scope} namespace"
            terminal.note(f"No resources found{where}.")
        return OK
    if args.sort_by:
        key = _sort_key(args.sort_by)
        for _, table in filled:
            table["rows"].sort(key=lambda row: key(row.get("object") or {}))
    category = not targets[0].kind.answers_to(args.what[0].partition("/")[0])
    many = len(targets) > 1 or category
    if many and args.output != "wide" and not args.show_labels and all(_summarises(table) for _, table in filled):
        rows = [row for target, table in filled for row in _summary_rows(target, table, scope is None)]
        _print((["NAMESPACE"] if scope is None else []) + list(SUMMARY), rows, args)
        return OK
    for i, (target, table) in enumerate(filled):
        if i:
            sys.stdout.write("\n")
        heads, rows = _visible(table, target, args, scope is None, prefix=many)
        _print(heads, rows, args)
    return OK


def _include(args: argparse.Namespace) -> str:
    if args.sort_by:
        return "Object"
    return "Metadata" if args.all_namespaces or args.show_labels or args.watch else "None"


def _pages(api: Api, args: argparse.Namespace, target: Target, scope: str | None) -> Iterator[Object]:
    """The table of one kind, chunk by chunk."""
    query = {**_query(args), "limit": CHUNK, "includeObject": _include(args)}
    while True:
        page = api.get(target.kind.path(scope), query, accept=TABLE)
        yield page
        query["continue"] = (page.get("metadata") or {}).get("continue")
        if not query["continue"]:
            return


def _joined(pages: list[Object], target: Target) -> Object | None:
    """One table out of its chunks."""
    if not pages:
        return None
    for page in pages:
        if page.get("kind") != "Table":
            raise CliError(f"cannot list {target.kind.plural}: the server sent no table; use -o json, and report this")
    first = pages[0]
    rows = [row for page in pages for row in page.get("rows") or ()]
    columns: list[Object] = next((page["columnDefinitions"] for page in pages if page.get("columnDefinitions")), [])
    return {"columnDefinitions": columns, "rows": rows, "metadata": first.get("metadata") or {}}


def _heads(table: Object) -> list[str]:
    return [column["name"].upper() for column in table["columnDefinitions"]]


def _summarises(table: Object) -> bool:
    return set(SUMMARY) <= set(_heads(table))


def _metadata(row: Object) -> Object:
    return (row.get("object") or {}).get("metadata") or {}


def _summary_rows(target: Target, table: Object, with_namespace: bool) -> Iterator[list[object]]:
    heads = _heads(table)
    places = [heads.index(name) for name in SUMMARY]
    for row in table["rows"]:
        cells = [_cell(row["cells"][place]) for place in places]
        cells[0] = f"{target.kind.singular}/{cells[0]}"
        yield [_metadata(row).get("namespace", ""), *cells] if with_namespace else cells


def _cell(value: object) -> object:
    return "<none>" if value is None or value == "" else value


def _visible(
    table: Object, target: Target, args: argparse.Namespace, with_namespace: bool, prefix: bool = False
) -> tuple[list[str], list[list[object]]]:
    """The columns to show, with NAMESPACE and LABELS where wanted."""
    places = [i for i, column in enumerate(table["columnDefinitions"]) if args.output == "wide" or not column.get("priority")]
    heads = [_heads(table)[i] for i in places]
    named = with_namespace and target.kind.namespaced
    qualified = (
        f"{target.kind.singular}/"
        if prefix and target.kind.group in ("", "anneal.dev")
        else f"{target.kind.qualified}/"
        if prefix
        else ""
    )
    rows = []
    for row in table["rows"]:
        cells = [_blank(heads[n], row["cells"][i]) for n, i in enumerate(places)]
        if qualified and cells:
            cells[0] = f"{qualified}{cells[0]}"
        meta = _metadata(row)
        if args.show_labels:
            cells.append(",".join(f"{key}={value}" for key, value in (meta.get("labels") or {}).items()) or "<none>")
        rows.append([meta.get("namespace", ""), *cells] if named else cells)
    if args.show_labels:
        heads.append("LABELS")
    return (["NAMESPACE", *heads] if named else heads), rows


def _blank(head: str, value: object) -> object:
    return "" if head == "MESSAGE" and value is None else _cell(value) if head != "MESSAGE" else value


def _print(heads: list[str], rows: list[list[object]], args: argparse.Namespace, widths: list[int] | None = None) -> None:
    width = terminal.width() if args.output != "wide" else None
    lines = render(heads, rows, width=width, colour=terminal.coloured(), with_headers=not args.no_headers, widths=widths)
    sys.stdout.write("\n".join(lines) + "\n")


# --- watching --------------------------------------------------------------------------------------------------------


def _watch(api: Api, args: argparse.Namespace, targets: list[Target], scope: str | None) -> int:
    if len(targets) != 1 or len(targets[0].names) > 1:
        raise UsageError(
            "cannot watch several kinds or names at once: name one kind (or one KIND/NAME), or use `anneal up`'s live table"
        )
    target = targets[0]
    if target.names:
        read(api, target.kind, scope, target.names[0])
        args.field_selector = ",".join(filter(None, (args.field_selector, f"metadata.name={target.names[0]}")))
        target = Target(target.kind)
    if args.output in ("", "wide"):
        return _watch_table(api, args, target, scope)
    from reconciler.cli.watch import follow

    for change in follow(api, target.kind, scope, _query(args)):
        items = change.obj["items"] if change.type == "LISTED" else [change.obj]
        for item in items:
            if args.output == "yaml":
                sys.stdout.write("---\n")
            shown = output.without_managed_fields(item)
            output.write(args.output, shown, items=[shown], with_headers=False)
        sys.stdout.flush()
    return OK


def _watch_table(api: Api, args: argparse.Namespace, target: Target, scope: str | None) -> int:
    """The list as a table, then a line for every change; the columns keep the widths that they had at first."""
    pages = list(_pages(api, args, target, scope))
    table = _joined(pages, target) or {}
    heads, rows = _visible(table, target, args, scope is None)
    widths = measure(heads, [[terminal.clean(cell) for cell in row] for row in rows])
    if rows:
        _print(heads, rows, args)
        args.no_headers = True
    sys.stdout.flush()
    version = table["metadata"].get("resourceVersion", "")
    query = {**_query(args), "watch": True, "includeObject": "Metadata", "allowWatchBookmarks": True}
    while True:
        before = version
        for line in api.stream(target.kind.path(scope), {**query, "resourceVersion": version}, accept=TABLE):
            event = json.loads(line)
            found = event.get("object") or {}
            if event.get("type") == "ERROR":
                if found.get("code") == 410:
                    break
                raise CliError(f"cannot go on watching {target.kind.plural}: {found.get('message')}; run the command again")
            version = (found.get("metadata") or {}).get("resourceVersion") or version
            for row in found.get("rows") or ():
                version = _metadata(row).get("resourceVersion") or version
            if event.get("type") == "BOOKMARK":
                continue
            found.setdefault("columnDefinitions", table["columnDefinitions"])
            found["columnDefinitions"] = found["columnDefinitions"] or table["columnDefinitions"]
            _, rows = _visible(found, target, args, scope is None)
            _print(heads, rows, args, widths)
            args.no_headers = True
            sys.stdout.flush()
        else:
            if version != before:
                continue
        # The stream ended at once, or what we knew is too old: all that there is, once more.
        time.sleep(1)
        table = _joined(list(_pages(api, args, target, scope)), target) or table
        version = table["metadata"].get("resourceVersion", "")
        _print(heads, _visible(table, target, args, scope is None)[1], args, widths)

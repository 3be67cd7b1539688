"""Objects in the formats of -o: yaml, json, name, jsonpath=…, custom-columns=…"""

from __future__ import annotations

import json
import sys
from typing import Any

from reconciler.cli.errors import CliError, UsageError
from reconciler.cli.kinds import GROUP

Object = dict[str, Any]
FORMATS = ("wide", "yaml", "json", "name", "jsonpath=", "jsonpath-file=", "custom-columns=")


def check(format_: str) -> None:
    """UsageError, with a suggestion, if `-o` does not know this format."""
    if format_ in ("", "wide", "yaml", "json", "name"):
        return
    kind, equals, rest = format_.partition("=")
    if equals and rest and f"{kind}=" in FORMATS:
        return
    from reconciler.cli.args import did_you_mean

    hint = did_you_mean(kind, [known.rstrip("=") for known in FORMATS])
    raise UsageError(f'cannot print as "{format_}": the formats are {"|".join(FORMATS)}' + (f"; {hint}" if hint else ""))


def write(format_: str, value: Object, *, items: list[Object], with_headers: bool = True) -> None:
    """Print `value` (one object, or a List of `items`) to stdout."""
    from reconciler.cli import jsonpath

    kind, _, rest = format_.partition("=")
    try:
        sys.stdout.write(_text(kind, rest, value, items, with_headers))
    except jsonpath.JsonPathError as error:
        raise UsageError(f"cannot print as {kind}: {error}") from error


def _text(kind: str, rest: str, value: Object, items: list[Object], with_headers: bool) -> str:
    if kind == "json":
        return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
    if kind == "yaml":
        return to_yaml(value)
    if kind == "name":
        return "".join(f"{name_of(item)}\n" for item in items)
    if kind == "jsonpath-file":
        try:
            with open(rest, encoding="utf-8") as file:
                rest = file.read(1 << 20).rstrip("\n")
        except OSError as error:
            raise CliError(f"cannot read {rest}: {error.strerror}; check the path") from error
        kind = "jsonpath"
    if kind == "jsonpath":
        from reconciler.cli import jsonpath

        return jsonpath.run_template(jsonpath.compile_template(rest), value)
    return _custom_columns(rest, items, with_headers)


def _custom_columns(spec: str, items: list[Object], with_headers: bool) -> str:
    from reconciler.cli import jsonpath
    from reconciler.cli.table import render

    headers, paths = [], []
    for part in spec.split(","):
        header, colon, path = part.partition(":")
        if not header or not colon or not path:
            raise UsageError(f'cannot read custom-columns at "{part}": write HEADER:.json.path,HEADER:.json.path')
        headers.append(header)
        paths.append(jsonpath.compile_path(path))
    rows = [[jsonpath.text_at(path, item) for path in paths] for item in items]
    return "".join(f"{line}\n" for line in render(headers, rows, with_headers=with_headers))


def to_yaml(value: Any) -> str:
    """YAML as people write it: block style, keys in their order, unicode as it is, long lines whole."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**16, default_flow_style=False)
    return text


def name_of(obj: Object) -> str:
    """`machine.anneal.dev/worker-1`, as `kubectl -o name`."""
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    kind = str(obj.get("kind", "")).lower()
    return f"{kind}.{group}/{obj['metadata']['name']}" if group else f"{kind}/{obj['metadata']['name']}"


def short_name(obj: Object) -> str:
    """`machine/worker-1`: how anneal calls an object when it speaks of it. Foreign groups keep their name."""
    name = name_of(obj)
    return name.replace(f".{GROUP}/", "/")


def as_list(items: list[Object]) -> Object:
    """The v1 List that `-o json` prints for several objects."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}


def without_managed_fields(obj: Object) -> Object:
    """Leave out metadata.managedFields, which nobody wants to read."""
    obj.get("metadata", {}).pop("managedFields", None)
    return obj

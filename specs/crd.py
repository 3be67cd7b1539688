"""Models → structural OpenAPI v3 schemas and CustomResourceDefinitions. `python -m specs.crd` writes specs/crds/.

What a Kubernetes API server asks of a structural schema (kubernetes.io/docs, "Specifying a structural schema"): no `$ref`, a
type on every node, no `additionalProperties: false`, no `null` in a type, and of `metadata` only the name. Defaults are applied
level by level there, and only where the parent exists; pydantic fills in whole objects. So a default object is written as
`default: {}` and its fields carry their own defaults: both sides then arrive at the same object.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from specs.kinds import KINDS
from specs.meta import CATEGORY, GROUP, VERSION, Resource

Schema = dict[str, Any]

FOLDER = Path(__file__).parent / "crds"

_KEPT = (
    "description", "type", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "multipleOf",
    "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip

SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


@cache
def _generated(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(by_alias=True, mode="validation")


def schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of `model` with its defaults. A new dictionary with each call: change it as you like."""
    root = _generated(model)
    return _structural(root, root.get("$defs", {}))


def _structural(node: Schema, defs: dict[str, Schema]) -> Schema:
    node = _resolve(node, defs)
    out: Schema = {key: node[key] for key in _KEPT if key in node}
    out |= {key: value for key, value in node.items() if key.startswith("x-")}
    if "const" in node:
        out["enum"] = [node["const"]]
    if out.get("type") == "integer":
        out.setdefault("format", "int64")
    _bounds(node, out)
    if "properties" in node:
        out["properties"] = {name: _structural(child, defs) for name, child in node["properties"].items()}
    if "items" in node:
        out["items"] = _structural(node["items"], defs)
    _map_values(node, out, defs)
    if node.get("default") is not None:
        out["default"] = _default(node["default"], out)
    if "type" not in out and not (out.get("x-kubernetes-int-or-string") or out.get("x-kubernetes-preserve-unknown-fields")):
        raise TypeError(f"cannot make a structural schema of {node!r}: it has no single type; use one type per field")
    return out


def _resolve(node: Schema, defs: dict[str, Schema]) -> Schema:
    """Inline a reference and drop the `null` branch; what stands beside them (description, default) wins."""
    while True:
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[1]
            node = {**defs[name], **{key: value for key, value in node.items() if key != "$ref"}}
        elif "anyOf" in node:
            branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
            if len(branches) != 1:
                raise TypeError(f"cannot make a structural schema of {node!r}: a union is not a type; use one type per field")
            node = {**branches[0], **{key: value for key, value in node.items() if key != "anyOf"}}
        else:
            return node


def _bounds(node: Schema, out: Schema) -> None:
    # OpenAPI v3.0 has exclusiveMinimum as a flag beside minimum
    for limit in ("minimum", "maximum"):
        exclusive = "exclusive" + limit.capitalize()
        if exclusive in node:
            out[limit] = node[exclusive]
            out[exclusive] = True


def _map_values(node: Schema, out: Schema, defs: dict[str, Schema]) -> None:
    values = node.get("additionalProperties")
    if isinstance(patterns := node.get("patternProperties"), dict):  # limits of keys: the server cannot say them
        values = next(iter(patterns.values()))
    if isinstance(values, dict):
        out["additionalProperties"] = _structural(values, defs) if values else {"x-kubernetes-preserve-unknown-fields": True}
    if values is True or (out.get("type") == "object" and "properties" not in out and not isinstance(values, dict | bool)):
        out["x-kubernetes-preserve-unknown-fields"] = True


def _default(value: Any, node: Schema) -> Any:
    """Take out of a default what the defaults within already say."""
    properties = node.get("properties")
    if not isinstance(value, dict) or properties is None:
        return value
    kept = {}
    for name, inner in value.items():
        child = properties[name]
        if inner is None or ("default" in child and _filled(child["default"], child) == inner):
            continue
        kept[name] = _default(inner, child)
    return kept


def _filled(value: Any, node: Schema) -> Any:
    if not isinstance(value, dict) or "properties" not in node:
        return value
    inner = {name: _filled(child["default"], child) for name, child in node["properties"].items() if "default" in child}
    return inner | value


def crd(kind: type[Resource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind`, as any API server since Kubernetes 1.25 takes it."""
    names = kind.names
    root = schema(kind)
    root["properties"] |= {
        "apiVersion": {"type": "string", "description": root["properties"]["apiVersion"]["description"]},
        "kind": {"type": "string", "description": root["properties"]["kind"]["description"]},
        "metadata": _metadata(root["properties"]["metadata"]),
    }
    root["required"] = [name for name in root["required"] if name not in ("apiVersion", "kind", "metadata")]
    for rule in kind.rules:
        node = _at(root, rule.path)
        node.setdefault("x-kubernetes-validations", []).append({"rule": rule.cel, "message": rule.message})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if names.namespaced else "Cluster",
            "names": {
                "kind": names.kind,
                "listKind": f"{names.kind}List",
                "plural": names.plural,
                "singular": names.singular,
                "shortNames": list(names.short),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    "subresources": {"status": {}, **({"scale": dict(SCALE)} if kind.scales else {})},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                }
            ],
        },
    }


def _metadata(node: Schema) -> Schema:
    # of metadata a CRD may restrict the name only; the server knows the rest better
    name = {key: value for key, value in node["properties"]["name"].items() if key in ("type", "maxLength", "pattern")}
    return {"type": "object", "description": node["description"], "properties": {"name": name}}


def _column(column: Any) -> dict[str, Any]:
    out = {"name": column.name, "type": column.type, "jsonPath": column.json_path, "description": column.description}
    return out | ({"priority": column.priority} if column.priority else {})


def _at(root: Schema, path: str) -> Schema:
    node = root
    for name in path.split(".") if path else []:
        node = node["items"] if name == "[]" else node["properties"][name]
    return node


def to_yaml(document: dict[str, Any]) -> str:
    """Write one definition as it is committed: stable, readable, no anchors."""

    class Dumper(yaml.CSafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    head = "# Generated from specs/ by `python -m specs.crd`: change the model, then run `make generate`.\n"
    return head + yaml.dump(document, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)


def files() -> dict[Path, str]:
    """Return what specs/crds/ must hold: path → text."""
    return {FOLDER / f"{kind.names.plural}.{GROUP}.yaml": to_yaml(crd(kind)) for kind in KINDS}


def main(arguments: list[str]) -> int:
    """Write the files; with --check, only say which differ."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    extra = sorted(set(FOLDER.glob("*.yaml")) - set(wanted))
    if "--check" in arguments:
        for path in stale + extra:
            print(f"{path.relative_to(FOLDER.parents[1])} is not what the models say; run `make generate`", file=sys.stderr)
        return 1 if stale or extra else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], "utf-8")
    for path in extra:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

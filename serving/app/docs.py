"""/openapi.json, and the same as a page."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, render_template, request

from serving.app.context import reply, service
from serving.app.modelpage import held
from serving.app.openapi import document

blueprint = Blueprint("docs", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The document."""
    return reply(_document())


@blueprint.get("/docs")
def page() -> Response:
    """For people: what can be asked, with commands to try."""
    made, serving = _document(), service()
    _, known = serving.route()
    example = {column.name: column.example for column in known.signature.inputs}
    base = request.host_url.rstrip("/")
    tensors = {
        "inputs": [{"name": c.name, "shape": [1], "datatype": c.datatype, "data": [c.example]} for c in known.signature.inputs]
    }
    curls = {
        "row": _curl(f"{base}/predict", example),
        "v2": _curl(f"{base}/v2/models/{serving.config.name}/infer", tensors),
        "later": _curl(f"{base}/predict", {"rows": [example]}, "-i -H 'Prefer: respond-async' "),
        "csv": f"curl --data-binary @rows.csv -H 'Content-Type: text/csv' {base}/predict",
    }
    operations = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in made["paths"].items()
        for method, operation in methods.items()
    ]
    return Response(
        render_template("docs.html", operations=operations, curls=curls, signature=known.signature, held=held),
        mimetype="text/html",
    )


def _document() -> dict[str, Any]:
    serving = service()
    _, known = serving.route()
    return document(serving.config, known.signature)


def _curl(url: str, body: Any, options: str = "") -> str:
    text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"curl {options}{url} \\\n  -H 'Content-Type: application/json' \\\n  -d '{text}'"

"""The JSON side: the Open Inference Protocol v2, and POST /predict for plain rows and CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from modelstore.signature import Signature
from serving.app.context import STATUS, accepted, enter, note, reply, service, wants_async
from serving.app.guard import body, media
from serving.app.service import NotServed, Served
from serving.message import Columns
from serving.wire import oip, rows, table

blueprint = Blueprint("api", __name__)
VERSION = "2"
EXTENSIONS = ["binary_tensor_data"]
JSON = "application/json"
CSV = "text/csv"


@blueprint.get("/v2")
@blueprint.get("/v2/")
def server() -> Response:
    """Server metadata."""
    return reply({"name": "anneal", "version": VERSION, "extensions": EXTENSIONS})


@blueprint.get("/v2/health/live")
def live() -> Response:
    """The process answers."""
    return reply({"live": True})


@blueprint.get("/v2/health/ready")
def ready() -> Response:
    """A model is served."""
    from serving.app.health import not_ready

    why = not_ready(service())
    return reply({"ready": not why}, 503 if why else 200)


@blueprint.get("/v2/models/<name>")
@blueprint.get("/v2/models/<name>/versions/<version>")
def model(name: str, version: str | None = None) -> Response:
    """Model metadata: inputs and outputs with their datatypes."""
    _, known = service().route(_revision(name, version))
    versions = [str(route.revision) for route in service().routes.now().revisions]
    return reply(oip.metadata(known.signature, name, versions))


@blueprint.get("/v2/models/<name>/ready")
@blueprint.get("/v2/models/<name>/versions/<version>/ready")
def model_ready(name: str, version: str | None = None) -> Response:
    """Whether this model is served."""
    try:
        service().route(_revision(name, version))
    except NotServed:
        return reply({"name": name, "ready": False}, 503)
    return reply({"name": name, "ready": True})


@blueprint.post("/v2/models/<name>/infer")
@blueprint.post("/v2/models/<name>/versions/<version>/infer")
def infer(name: str, version: str | None = None) -> Response:
    """Predict."""
    serving = enter("infer")
    revision = _revision(name, version)
    if request.mimetype not in {"", JSON, "application/octet-stream"}:
        media(request, JSON, "application/octet-stream")
    data, length = body(request, serving.config.limits), request.headers.get(oip.HEADER)
    later = wants_async()
    most = serving.config.limits.max_upload_rows if later else serving.config.limits.max_rows
    seen: list[oip.Request] = []

    def prepare(signature: Signature) -> tuple[Columns, int]:
        asked = oip.decode(signature, data, length, most)
        seen[:] = [asked]
        return asked.columns, asked.rows

    if later:
        return accepted(serving.accept(prepare, form="v2", revision=revision).id)
    served = serving.predict(prepare, revision)
    if (failed := _failed(served)) is not None:
        return failed
    answer = served.answer
    raw, head = oip.encode(served.known.signature, seen[0], answer.labels, answer.probabilities, name, str(served.route.revision))
    if head is None:
        return reply(raw)
    return Response(raw, 200, {oip.HEADER: str(head)}, mimetype="application/octet-stream")


@blueprint.post("/predict")
def predict() -> Response:
    """Predict plain rows, or a table."""
    serving = enter("predict")
    kind = media(request, JSON, CSV)
    data, later = body(request, serving.config.limits), wants_async()
    most = serving.config.limits.max_upload_rows if later else serving.config.limits.max_rows
    prepare: Callable[[Signature], tuple[Columns, int]]
    if kind == CSV:
        prepare = lambda signature: table.decode(signature, data, most)  # noqa: E731
    else:
        values: Any = rows.parse_json(data)
        prepare = lambda signature: rows.decode(signature, values, most)  # noqa: E731
    if later:
        return accepted(serving.accept(prepare, form="csv" if kind == CSV else "rows").id)
    served = serving.predict(prepare)
    if (failed := _failed(served)) is not None:
        return failed
    answer, signature = served.answer, served.known.signature
    if kind == CSV:
        return Response(table.encode(signature, served.columns, answer.labels, answer.probabilities), mimetype=CSV)
    return reply(
        rows.encode(
            signature, answer.labels, answer.probabilities, about(serving.config.name, served.route.revision, served.known.digest)
        )
    )


def about(name: str, revision: int, digest: str) -> dict[str, Any]:
    """Which model it was."""
    return {"model": {"name": name, "revision": revision, "digest": digest}}


def _failed(served: Served) -> Response | None:
    failure = note(served).failure
    return None if failure is None else reply({"error": failure.message, "reason": failure.reason}, STATUS[failure.reason])


def _revision(name: str, version: str | None) -> int | None:
    serving = service()
    if name != serving.config.name:
        raise NotFound(f'there is no model "{name[:80]}" here; there is "{serving.config.name}"')
    if version is None:
        return None
    route = serving.routes.now().of(int(version)) if version.isascii() and version.isdecimal() and len(version) < 10 else None
    if route is None:
        raise NotFound(f'the model "{name}" has no version "{version[:20]}" here')
    return route.revision

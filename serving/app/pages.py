"""What a person sees: a form made from the signature, the result, one's recent requests, a page about the model.

A form is answered through the record, like everything that is accepted: so a result has an address that can be kept and shared.
All of it works without a script; static/anneal.js adds comfort.
"""

from __future__ import annotations

import secrets
import zlib
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request

from modelstore.signature import Signature
from serving.app import form, words
from serving.app.context import enter, service
from serving.app.form import Field
from serving.app.modelpage import describe, headline
from serving.app.result import Shown
from serving.app.service import Service
from serving.message import Columns
from serving.records import Job, RecordDown
from serving.wire import table
from serving.wire.columns import Invalid, wrong

HERE = Path(__file__).resolve().parent.parent
blueprint = Blueprint("pages", __name__)
VISITOR = "visitor"
VISITOR_SECONDS = 30 * 24 * 3600
RECENT = 50
POLL_SECONDS = 2
ASSETS = f"{zlib.crc32(b''.join(file.read_bytes() for file in sorted((HERE / 'static').iterdir()))):x}"
"""Stands in the addresses of style and script, so that a browser fetches those of a new version."""


for one in (words.shown, words.moment, words.clock, words.span, words.number, words.label):
    blueprint.add_app_template_filter(one, one.__name__)


@blueprint.app_context_processor
def _common() -> dict[str, Any]:
    return {"app_name": service().config.name, "path": request.path, "assets": ASSETS}


@blueprint.get("/")
def index() -> Response:
    """The form: with an example, with what an earlier request asked (?from=ID), or with nothing (?empty)."""
    serving = enter("page")
    _, known = serving.route()
    earlier = serving.records.get(request.args["from"][:64]) if "from" in request.args else None
    fields = form.fields_of(known.signature, earlier) if earlier else []
    if fields:
        return _form(serving, fields, about="again")
    if "empty" in request.args:
        return _form(serving, form.blank(known.signature), about="empty")
    return _form(serving, form.example(known.signature))


@blueprint.post("/")
def submit() -> Response:
    """Predict what was filled in, and show it under an address of its own."""
    serving = enter("form")
    given = request.form.to_dict()
    fields: list[Field] = []

    def prepare(signature: Signature) -> tuple[Columns, int]:
        fields[:] = form.read_form(signature, given)
        return form.columns(fields), 1

    visitor = _visitor()
    try:
        job = serving.accept(prepare, form="page", visitor=visitor)
    except Invalid as error:
        return _form(serving, fields, error, 422, about="form")
    serving.wait(job.id, serving.config.limits.timeout_seconds)
    return _seen(redirect(f"/requests/{job.id}", 303), visitor)


@blueprint.post("/upload")
def upload() -> Response:
    """Predict the rows of a CSV file."""
    serving = enter("upload")
    file = request.files.get("table")
    data = file.read() if file else b""
    visitor = _visitor()

    def prepare(signature: Signature) -> tuple[Columns, int]:
        if not data:
            raise wrong("table", "choose a CSV file first")
        return table.decode(signature, data, serving.config.limits.max_upload_rows)

    try:
        job = serving.accept(prepare, form="csv", visitor=visitor)
    except Invalid as error:
        _, known = serving.route()
        return _form(serving, form.example(known.signature), error, 422, about="upload")
    serving.wait(job.id, min(2.0, serving.config.limits.timeout_seconds))
    return _seen(redirect(f"/requests/{job.id}", 303), visitor)


@blueprint.get("/requests")
def recent() -> Response:
    """What this visitor asked."""
    serving = enter("page")
    return _page("recent.html", jobs=_recent(serving), ttl=serving.config.limits.result_ttl_seconds)


@blueprint.get("/model")
def model() -> Response:
    """About the model."""
    serving = enter("page")
    route, known = serving.route()
    return _page("model.html", **describe(known), route=route, table=serving.routes.now())


def result(serving: Service, job: Job) -> Response:
    """The page of one request."""
    if job.expired:
        return _page("expired.html", 410, job=job)
    known = serving.library.get(job.digest)
    return _page(
        "result.html", 202 if job.state == "PENDING" else 200, job=job, shown=Shown.of(known, job),
        fields=form.fields_of(known.signature, job), poll=POLL_SECONDS, ttl=serving.config.limits.result_ttl_seconds,
    )  # fmt: skip


def _form(
    serving: Service, fields: list[Field], error: Invalid | None = None, code: int = 200, about: str = "example"
) -> Response:
    _, known = serving.route()
    return _page(
        "form.html", code, fields=fields, signature=known.signature, error=error, about=about, headline=headline(known),
        jobs=_recent(serving, 5), limits=serving.config.limits,
    )  # fmt: skip


def _recent(serving: Service, limit: int = RECENT) -> list[dict[str, Any]]:
    visitor = request.cookies.get(VISITOR, "")
    if not visitor:
        return []
    try:
        found = serving.records.recent(visitor, limit)
    except RecordDown:
        return []
    return [{"job": job, "label": words.shown(job.labels[0]) if job.labels else None} for job in found]


def _page(name: str, code: int = 200, **values: Any) -> Response:
    return Response(render_template(name, **values), code, mimetype="text/html")


def _visitor() -> str:
    """Whose recent requests they are: a random name in a cookie. It proves nothing and opens nothing."""
    given = request.cookies.get(VISITOR, "")
    return given if len(given) == 22 and given.replace("-", "").replace("_", "").isalnum() else secrets.token_urlsafe(16)


def _seen(response: Any, visitor: str) -> Response:
    response.set_cookie(VISITOR, visitor, max_age=VISITOR_SECONDS, httponly=True, samesite="Lax")
    found: Response = response
    return found

"""/healthz: this process answers. /readyz: it can have something predicted. /metrics: for Prometheus."""

from __future__ import annotations

import time

from flask import Blueprint, Response, request

from serving import metrics as book
from serving.app.context import reply, service
from serving.app.service import NotServed, Service
from serving.models import ModelUnusable
from serving.records import RecordDown

blueprint = Blueprint("health", __name__)
COUNT_SECONDS = 2.0
MOST_ASKED = 8


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return reply({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """A model is served and the record answers; else 503 and why."""
    why = not_ready(service())
    return reply({"status": "not ready", "reason": why}, 503) if why else reply({"status": "ok"})


@blueprint.get("/metrics")
def metrics() -> Response:
    """The metrics of all processes of this deployment."""
    serving = service()
    book.metrics().waiting.set(serving.waiting)
    _count(serving)
    text, kind = book.render()
    return Response(text, content_type=kind)


@blueprint.get("/metrics/revisions")
def revisions() -> Response:
    """What each served revision answered in the last ten minutes, over all web processes; 503 if the record does not answer."""
    serving = service()
    numbers = [route.revision for route in serving.routes.now().revisions]
    asked = {int(each) for each in request.args.getlist("revision") if each.isdecimal() and len(each) < 10}
    found = serving.tally.read(sorted({*numbers, *sorted(asked)[:MOST_ASKED]}), time.time())
    return reply({"revisions": {str(number): row for number, row in found.items()}})


def not_ready(serving: Service) -> str:
    """Why nothing can be predicted now; empty if it can."""
    try:
        serving.route()
        serving.records.unfinished()
    except (NotServed, ModelUnusable, RecordDown) as error:
        return str(error)
    return ""


_counted = [0.0]


def _count(serving: Service) -> None:
    """What the record holds, looked up now and then."""
    if time.monotonic() - _counted[0] < COUNT_SECONDS:
        return
    _counted[0] = time.monotonic()
    try:
        book.metrics().jobs.set(serving.records.unfinished())
    except RecordDown:
        return

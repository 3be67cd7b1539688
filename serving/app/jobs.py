"""Requests that were accepted to be answered later: GET /requests/<id>, as JSON, as CSV, and as a page.

Unknown is 404, expired is 410 with the state it ended in, and nothing is pending for ever.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response
from werkzeug.exceptions import Conflict, Gone, NotFound

from serving.app import pages
from serving.app.api import CSV, about
from serving.app.context import enter, page_wanted, reply
from serving.app.service import Service
from serving.app.words import moment
from serving.models import Known
from serving.records import Job
from serving.wire import oip, rows, table

blueprint = Blueprint("jobs", __name__)


@blueprint.get("/requests/<job_id>")
def show(job_id: str) -> Response:
    """State and result."""
    serving = enter("request")
    job = _find(serving, job_id)
    if page_wanted():
        return pages.result(serving, job)
    if job.expired:
        return reply({"error": "the result is no longer kept", "id": job.id, "state": job.state}, 410)
    return reply(
        _body(serving, job), 202 if job.state == "PENDING" else 200, {"Retry-After": "1"} if job.state == "PENDING" else None
    )


@blueprint.get("/requests/<job_id>/results.csv")
def download(job_id: str) -> Response:
    """The rows with their predictions."""
    serving = enter("download")
    job = _find(serving, job_id)
    if job.expired:
        raise Gone("the result is no longer kept")
    if job.state != "SUCCEEDED":
        raise Conflict("there is no result yet" if job.state == "PENDING" else "there is no result: the request failed")
    raw = table.encode(_known(serving, job).signature, job.columns, job.labels or [], job.probabilities)
    name = f"{serving.config.name}-{job.id[:8]}.csv"
    return Response(raw, headers={"Content-Disposition": f'attachment; filename="{name}"'}, mimetype=CSV)


def _find(serving: Service, job_id: str) -> Job:
    job = serving.records.get(job_id) if len(job_id) <= 64 else None
    if job is None:
        raise NotFound("there is no such request")
    return job


def _known(serving: Service, job: Job) -> Known:
    return serving.library.get(job.digest)


def _body(serving: Service, job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {"id": job.id, "state": job.state, "rows": job.rows, "accepted": moment(job.accepted)}
    if job.finished is not None:
        found["finished"] = moment(job.finished)
    if job.failure is not None:
        found["error"] = {"reason": job.failure.reason, "message": job.failure.message}
    if job.state == "SUCCEEDED":
        found["result"] = _result(serving, job)
    return found


def _result(serving: Service, job: Job) -> Any:
    signature, labels = _known(serving, job).signature, job.labels or []
    if job.form == "v2":
        asked = oip.Request(job.columns or {}, job.rows)
        raw, _ = oip.encode(signature, asked, labels, job.probabilities, serving.config.name, str(job.revision))
        return orjson.Fragment(raw)
    return orjson.Fragment(
        rows.encode(signature, labels, job.probabilities, about(serving.config.name, job.revision, job.digest))
    )

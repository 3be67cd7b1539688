"""What every view starts with: the service, the sender's pace, where the request came from."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response, current_app, g, request

from serving.app.guard import same_site
from serving.app.service import Served, Service
from serving.message import Answer

STATUS = {"WorkerLost": 500, "PredictionFailed": 500, "TimedOut": 503, "Unanswered": 503, "WrongModel": 503}


def service() -> Service:
    """The service of this process."""
    found: Service = current_app.extensions["service"]
    return found


def enter(endpoint: str) -> Service:
    """Count the request under a name; refuse what comes too fast or from another site's page."""
    g.endpoint = endpoint
    current_app.extensions["pace"].take(request.remote_addr or "")
    same_site(request)
    return service()


def wants_async() -> bool:
    """Prefer: respond-async (RFC 7240)."""
    prefer = request.headers.get("Prefer")
    return prefer is not None and any(one.partition(";")[0].strip().lower() == "respond-async" for one in prefer.split(","))


def note(served: Served) -> Answer:
    """Count it to its revision; the answer."""
    g.revision = str(served.route.revision)
    return served.answer


def reply(body: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(raw, code, headers, mimetype="application/json")


def accepted(job: str) -> Response:
    """202 and where to look."""
    where = f"/requests/{job}"
    return reply(
        {"id": job, "state": "PENDING", "location": where},
        202,
        {"Location": where, "Retry-After": "1", "Preference-Applied": "respond-async"},
    )


def page_wanted() -> bool:
    """Whether a browser is asking for a page."""
    if request.path.startswith(("/v2", "/predict", "/metrics", "/healthz", "/readyz", "/openapi.json")):
        return False
    accepts = request.accept_mimetypes
    return accepts.accept_html and accepts.best_match(["application/json", "text/html"]) == "text/html"

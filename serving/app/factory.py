"""The Flask application of one deployment: its parts put together, and every error turned into an answer without a trace."""

from __future__ import annotations

import time
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from serving.app import api, docs, health, jobs, pages
from serving.app.context import page_wanted
from serving.app.guard import Pace
from serving.app.service import Full, NotServed, Service
from serving.broker.celery import BrokerDown
from serving.coalesce import Unanswered
from serving.config import Config
from serving.metrics import metrics
from serving.models import ModelUnusable
from serving.records import RecordDown
from serving.wire.columns import FieldError, Invalid, Malformed

log = structlog.get_logger(__name__)

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

ANSWERS: dict[type[Exception], tuple[int, str]] = {
    Full: (429, "as many requests as allowed are waiting; try again in a moment"),
    Unanswered: (503, "no worker answered in time; try again in a moment"),
    BrokerDown: (503, "the queue cannot be reached; try again in a moment"),
    RecordDown: (503, "the record of requests cannot be reached; try again in a moment"),
    ModelUnusable: (503, "the model cannot be read; try again in a moment"),
}
PLAIN: dict[int, str] = {
    404: "there is nothing at this address",
    405: "this address does not take that method",
    413: "that is more than is accepted at once; split it into smaller parts",
}
"""Instead of what the framework says by itself."""


def make_app(config: Config, service: Service | None = None) -> Flask:
    """The application. `service.start()` comes after the fork."""
    app = Flask(
        "serving",
        root_path=str(config.folder),
        template_folder=str(pages.HERE / "templates"),
        static_folder=str(pages.HERE / "static"),
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(
        MAX_CONTENT_LENGTH=config.limits.max_bytes, MAX_FORM_MEMORY_SIZE=config.limits.max_bytes, MAX_FORM_PARTS=8192,
        TRUSTED_HOSTS=_hosts(config), SEND_FILE_MAX_AGE_DEFAULT=3600,
    )  # fmt: skip
    if config.supervised:  # the entry proxy is who connects; the last address that it names is the client's
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=0)  # type: ignore[method-assign]
    app.extensions["service"] = service or Service(config)
    app.extensions["pace"] = Pace(config.limits.requests_per_second)
    for part in (api, jobs, health, docs, pages):
        app.register_blueprint(part.blueprint)
    app.register_error_handler(Exception, _answer)
    app.before_request(_begin)
    app.after_request(_end)
    return app


def _hosts(config: Config) -> list[str] | None:
    if config.trusted_hosts is not None:
        return list(config.trusted_hosts)
    return list(LOOPBACK) if config.host in {"127.0.0.1", "localhost", "::1"} else None


def _begin() -> None:
    g.begun = time.perf_counter()
    _ = request.host  # raises 400 for a host that is not ours: a page elsewhere must not reach us under a name of its own


def _end(response: Response) -> Response:
    headers = response.headers
    there = {name.lower() for name in headers.keys()}  # noqa: SIM118  # they are pairs
    for name, value in HEADERS.items():
        if name.lower() not in there:
            headers.add(name, value)
    if (endpoint := g.get("endpoint")) is not None:
        revision = g.get("revision", "")
        book = metrics()
        book.requests.labels(revision, endpoint, str(response.status_code)).inc()
        book.seconds.labels(revision, endpoint).observe(time.perf_counter() - g.begun)
    return response


def _answer(error: Exception) -> Response:
    """A status, a sentence, and the fields; never a trace."""
    errors: list[FieldError] = []
    extra: dict[str, str] = {}
    match error:
        case Invalid():
            code, errors = 400 if isinstance(error, Malformed) else 422, error.errors
            message = str(error)
        case NotServed():
            code, message = 503, str(error)
        case HTTPException():
            if error.response is not None:
                return error.response  # type: ignore[return-value]
            code, message = error.code or 500, error.description or error.name
            if message == type(error).description:
                message = PLAIN.get(code, message)
            extra = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
        case _ if type(error) in ANSWERS:
            code, message = ANSWERS[type(error)]
            log.warning("request.refused", error=f"{type(error).__name__}: {error}", code=code)
        case _:
            log.exception("request.failed", path=request.path)
            code, message = 500, "something went wrong on this side; it was logged"
    if code in {429, 503}:
        extra.setdefault("Retry-After", "1")
    return refuse(code, message, errors, extra)


def refuse(code: int, message: str, errors: list[FieldError] | None = None, headers: dict[str, str] | None = None) -> Response:
    """An error, as a page for browsers and as JSON for everyone else."""
    if page_wanted():
        response = Response(
            render_template("error.html", code=code, message=message, errors=errors or []), code, mimetype="text/html"
        )
    else:
        body: dict[str, Any] = {"error": message[:2000]}
        if errors:
            body["errors"] = [{"path": one.path, "message": one.message} for one in errors]
        response = Response(orjson.dumps(body), code, mimetype="application/json")
    response.headers.extend(headers or {})
    return response

"""What this server says when it says no: ApiErrors that carry a metav1.Status in Kubernetes' own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.api.managed import ApplyConflict
from reconciler.api.resources import ResourceType
from reconciler.api.validation import Cause
from reconciler.client import ApiError, Object


def status_error(
    code: int,
    reason: str,
    message: str,
    *,
    rtype: ResourceType | None = None,
    name: str = "",
    causes: Sequence[Cause] = (),
    retry_after: int | None = None,
) -> ApiError:
    """An ApiError with its Status."""
    details: Object = {}
    if name:
        details["name"] = name
    if rtype is not None:
        details |= {"group": rtype.group, "kind": rtype.kind if code == 422 else rtype.plural}
        details = {key: value for key, value in details.items() if value}
    if causes:
        details["causes"] = [cause._asdict() for cause in causes]
    if retry_after is not None:
        details["retryAfterSeconds"] = retry_after
    status: Object = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
    }  # fmt: skip
    if details:
        status["details"] = details
    return ApiError(code, reason, message, {**status, "code": code})


def success(rtype: ResourceType, name: str, uid: str) -> Object:
    """The Status that answers a deletion that took place at once."""
    details = {"name": name, "group": rtype.group, "kind": rtype.plural, "uid": uid}
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }  # fmt: skip


def bad_request(message: str) -> ApiError:
    """400: what was sent cannot be read."""
    return status_error(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: no token, or a wrong one."""
    return status_error(401, "Unauthorized", "Unauthorized")


def forbidden(message: str, rtype: ResourceType | None = None, name: str = "", causes: Sequence[Cause] = ()) -> ApiError:
    """403: well understood, and refused."""
    return status_error(403, "Forbidden", message, rtype=rtype, name=name, causes=causes)


def no_such_path() -> ApiError:
    """404: this server has no such path."""
    return status_error(404, "NotFound", "the server could not find the requested resource")


def not_found(rtype: ResourceType, name: str) -> ApiError:
    """404: no such object."""
    return status_error(404, "NotFound", f'{rtype.qualified} "{name}" not found', rtype=rtype, name=name)


def not_allowed() -> ApiError:
    """405: not with this method."""
    return status_error(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def already_exists(rtype: ResourceType, name: str) -> ApiError:
    """409: the name is taken."""
    return status_error(409, "AlreadyExists", f'{rtype.qualified} "{name}" already exists', rtype=rtype, name=name)


def conflict(rtype: ResourceType, name: str, why: str = "") -> ApiError:
    """409: somebody else was first, or a precondition does not hold."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {rtype.qualified} "{name}": {why}'
    return status_error(409, "Conflict", message, rtype=rtype, name=name)


def apply_conflict(error: ApplyConflict, rtype: ResourceType, name: str) -> ApiError:
    """409: somebody else owns these fields."""
    causes = [Cause("FieldManagerConflict", found.message, found.path) for found in error.conflicts]
    return status_error(409, "Conflict", error.message, rtype=rtype, name=name, causes=causes)


def expired(message: str = "") -> ApiError:
    """410: the resourceVersion is older than what is kept; list again."""
    message = message or "The provided resource version is too old: its history has been compacted; list again"
    return status_error(410, "Expired", message)


def unsupported(media: str, accepted: Iterable[str]) -> ApiError:
    """415: not in this format."""
    text = f"the body of the request was in an unknown format - {media or 'none'}; accepted media types include: "
    return status_error(415, "UnsupportedMediaType", text + ", ".join(accepted))


def invalid(rtype: ResourceType, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: each cause is a wrong field."""
    kind = f"{rtype.kind}.{rtype.group}" if rtype.group else rtype.kind
    found = [f"{cause.field}: {cause.message}" for cause in causes]
    text = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
    return status_error(422, "Invalid", f'{kind} "{name}" is invalid: {text}', rtype=rtype, name=name, causes=causes)


def too_large(limit: int) -> ApiError:
    """413: the body is longer than the server reads."""
    return status_error(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit} bytes")


def too_new(wanted: int, current: int) -> ApiError:
    """504: a resourceVersion that this server has not seen."""
    message = f"Too large resource version: {wanted}, current: {current}"
    causes = [Cause("ResourceVersionTooLarge", "Too large resource version", "")]
    return status_error(504, "Timeout", message, causes=causes, retry_after=1)


def unavailable(message: str) -> ApiError:
    """503: the database refuses; the same request may well succeed later."""
    return status_error(503, "ServiceUnavailable", message, retry_after=1)


def internal() -> ApiError:
    """500: a fault of ours; the log has it."""
    return status_error(500, "InternalError", "Internal error occurred: the server's log says what happened")

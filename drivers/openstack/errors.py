"""From what an OpenStack service answered, or did not answer, to what the engine does next. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from drivers.contract import (
    Ambiguous,
    CertificateInvalid,
    Conflict,
    CredentialsInvalid,
    DriverError,
    InvalidConfiguration,
    Unreachable,
)
from drivers.httperrors import LONGEST, Advice, chain, refusal

QUOTA = re.compile(r"quota|maximum number of .* exceeded|limit exceeded|no more (ip )?addresses", re.IGNORECASE)
"""What Nova (403), Neutron (409) and Cinder (413) say of a quota. A policy is 403 too: only the text tells them apart."""
STATE = re.compile(r"volume.* status must be", re.IGNORECASE)
"""What Cinder says, and Nova after it, of a volume that is at work or in use. They call it a bad request; it passes."""
REFUSAL = Advice(
    credentials="check what clouds.yaml holds, and whether the account still exists",
    gone="something that it needs is gone, looking again",
)
REQUEST_ID = ("X-Openstack-Request-Id", "X-Compute-Request-Id")


def classify(
    doing: str, status: int, body: bytes, headers: Mapping[str, str], *, mutating: bool, secrets: tuple[str, ...] = ()
) -> DriverError:
    """The error for an answer that is not 2xx. `doing` is "create server \"w-1\""; `secrets` are never repeated."""
    words = said(body, secrets)
    quota, request = QUOTA.search(words) is not None, next((headers[name] for name in REQUEST_ID if name in headers), None)
    if status == 400 and STATE.search(words):
        return Conflict(f'cannot {doing}: the cloud says: "{words}" (400); looking again', request_id=request)
    return refusal(doing, status, words, headers, REFUSAL, mutating=mutating, quota=quota, request_id=request)


def said(body: bytes, secrets: tuple[str, ...] = ()) -> str:
    """The cloud's own sentence out of the body of an error, cut, and without secrets. Each service wraps it another way."""
    try:
        text = _message(orjson.loads(body)) or body.decode(errors="replace")
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace")
    text = " ".join(re.sub(r"<[^<>]*>", " ", text).split()) or "(nothing)"
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text[:LONGEST]


def _message(value: Any) -> str:
    """The first `message` at any depth: {"forbidden": {"message"}}, {"NeutronError": {"message"}}, {"error": {"message"}}."""
    if not isinstance(value, dict):
        return ""
    if isinstance(text := value.get("message") or value.get("detail"), str):
        return text
    return next((found for inner in value.values() if (found := _message(inner))), "")


REFUSED = (400, 401, 403, 404)
"""How Keystone answers a login that it does not accept: 404 where an application credential, a domain or a project is gone."""


def refused(doing: str, raw: bytes, secrets: tuple[str, ...] = ()) -> CredentialsInvalid:
    """The error for a login that was not accepted. Nothing was sent."""
    words = f"the cloud refuses the credentials: {said(raw, secrets)}"
    return CredentialsInvalid(f"cannot {doing}: {words}; check what clouds.yaml holds, and whether the account still exists")


NO_SERVICE = {"EndpointNotFound", "EmptyCatalog", "ServiceDisabledException"}
"""How keystoneauth and openstacksdk say that the catalogue has no such service."""


UNTRUSTED = {"SSLCertVerificationError", "CertificateError"}
"""How ssl and urllib3 say that a certificate is not signed by the CA, has expired, or is another server's."""
LOST = {"SSLEOFError", "SSLZeroReturnError"}
"""TLS that ended in the middle: whether the request had arrived nobody can tell."""
ADVICE = "check cacert (beside clouds.yaml in the Secret, or in the entry of a file), or that this is the right server"


def unanswered(doing: str, error: BaseException, *, mutating: bool, secrets: tuple[str, ...] = ()) -> DriverError:
    """The error for a call that got no answer. `error` is what keystoneauth raised; what lay below it tells what was sent.

    keystoneauth calls a read that timed out a ConnectTimeout: only the exception that it was made from says otherwise.
    """
    kinds = [type(link).__name__ for link in chain(error)]
    text = said(str(error).encode(), secrets)
    if UNTRUSTED.intersection(kinds) or "TLS CA certificate bundle" in text:
        return CertificateInvalid(f"cannot {doing}: its certificate is not trusted: {text}; nothing was sent, {ADVICE}")
    if any("SSL" in kind for kind in kinds) and not (mutating and LOST.intersection(kinds)):
        return Unreachable(f"cannot {doing}: TLS failed: {text}; nothing was sent, check cacert and verify in clouds.yaml")
    if NO_SERVICE.intersection(kinds):
        return InvalidConfiguration(f"cannot {doing}: the cloud's catalogue has no such service: {text}; do without it")
    if kinds[0] in ("Unauthorized", "MissingRequiredOptions", "NoMatchingPlugin", "MissingAuthPlugin", "AuthPluginException"):
        return CredentialsInvalid(f"cannot {doing}: the cloud refuses the credentials: {text}; check clouds.yaml")
    if any(kind in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "InvalidURL") for kind in kinds):
        return Unreachable(f"cannot {doing}: {text}; nothing was sent, trying again")
    if mutating:
        return Ambiguous(f"cannot {doing}: the answer was lost ({text}); whether it took place is unknown, looking again")
    return Unreachable(f"cannot {doing}: no answer ({text}); asking again")

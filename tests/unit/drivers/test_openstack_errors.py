"""What an OpenStack cloud answers, and what the engine is told of it."""

from __future__ import annotations

import json

import pytest

from drivers.contract import (
    Ambiguous,
    CertificateInvalid,
    Conflict,
    CredentialsInvalid,
    Forbidden,
    InvalidConfiguration,
    QuotaExceeded,
    RateLimited,
    Unreachable,
)
from drivers.openstack.errors import classify, said, unanswered

NOVA_QUOTA = {"forbidden": {"code": 403, "message": "Quota exceeded for cores: Requested 8, but already used 56 of 60 cores"}}
NOVA_POLICY = {"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:servers:create to be performed."}}
NEUTRON_QUOTA = {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}}
NEUTRON_USE = {"NeutronError": {"type": "SecurityGroupInUse", "message": "Security Group 5f in use.", "detail": ""}}
CINDER_QUOTA = {"overLimit": {"code": 413, "message": "VolumeSizeExceedsAvailableQuota: Requested volume exceeds quota."}}
RATE = {"overLimit": {"code": 413, "message": "This request was rate-limited."}}
CINDER_STATE = {"badRequest": {"code": 400, "message": "Invalid volume: Volume status must be available or error to delete."}}
BAD = {"badRequest": {"code": 400, "message": "Invalid imageRef provided."}}
KEYSTONE = {"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}
CASES = [
    (403, NOVA_QUOTA, QuotaExceeded, "56 of 60"),
    (403, NOVA_POLICY, Forbidden, "servers:create"),
    (409, NEUTRON_QUOTA, QuotaExceeded, "['port']"),
    (409, NEUTRON_USE, Conflict, "in use"),
    (413, CINDER_QUOTA, QuotaExceeded, "exceeds quota"),
    (413, RATE, RateLimited, "rate-limited"),
    (429, RATE, RateLimited, "going on after 7 s"),
    (400, CINDER_STATE, Conflict, "(400); looking again"),
    (400, BAD, InvalidConfiguration, "Invalid imageRef"),
    (401, KEYSTONE, CredentialsInvalid, "requires authentication"),
    (404, {"itemNotFound": {"message": "no such network"}}, Conflict, "no such network"),
    (500, {"computeFault": {"message": "Unexpected API Error"}}, Ambiguous, "whether it took place is unknown"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), CASES, ids=[f"{row[0]}-{row[2].__name__}" for row in CASES])
def test_each_refusal_is_told_apart_in_the_clouds_own_words(status, body, kind, words):
    """Quota, policy, rate, credentials, bad input, conflict: another class each, with what the cloud said and its request id."""
    headers = {"Retry-After": "7", "X-Openstack-Request-Id": "req-1"}
    error = classify('create server "a"', status, json.dumps(body).encode(), headers, mutating=True)
    assert type(error) is kind
    assert words in str(error)
    assert 'cannot create server "a": the cloud says: ' in str(error)
    assert "(request req-1)" in str(error)


def test_a_question_that_fails_changed_nothing():
    """A 5xx of a GET is silence, not doubt."""
    assert type(classify("list", 503, b"", {}, mutating=False)) is Unreachable


def test_secrets_and_markup_are_left_out():
    """Words of a gateway's page, without its tags; a secret that is repeated is starred out."""
    assert said(b"<html><h1>502 Bad  Gateway</h1></html>") == "502 Bad Gateway"
    assert said(b'{"error": {"message": "hunter2 is wrong"}}', ("hunter2",)) == "*** is wrong"


class ConnectTimeout(Exception):
    """As keystoneauth calls every time-out."""


class ReadTimeout(Exception):
    """As requests calls a read that timed out."""


class NewConnectionError(Exception):
    """As urllib3 calls a refused connection."""


def made_from(inner: Exception, outer: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception:
            raise outer  # noqa: B904 - as keystoneauth does it
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("inner", "kind", "happened"),
    [(ReadTimeout("read"), Ambiguous, None), (NewConnectionError("refused"), Unreachable, False)],
    ids=["a read that timed out", "a refused connection"],
)
def test_what_lies_below_a_time_out_tells_whether_anything_was_sent(inner, kind, happened):
    """keystoneauth calls both by one name; only one of them is certain."""
    error = unanswered("create", made_from(inner, ConnectTimeout("timed out")), mutating=True)
    assert type(error) is kind
    assert error.happened is happened


def test_a_wrong_ca_says_where_to_look():
    """TLS that fails names cacert."""
    error = unanswered("list", made_from(type("SSLError", (Exception,), {})("bad cert"), ConnectTimeout("x")), mutating=True)
    assert type(error) is Unreachable
    assert "cacert" in str(error)


@pytest.mark.parametrize(
    ("inner", "mutating", "kind"),
    [
        ("SSLCertVerificationError", True, CertificateInvalid),
        ("SSLEOFError", True, Ambiguous),
        ("SSLEOFError", False, Unreachable),
    ],
)
def test_tls_that_fails_is_certain_only_at_its_beginning(inner, mutating, kind):
    """A certificate that is refused: nothing was sent. TLS that ends in the middle: who knows."""
    error = unanswered("create", made_from(type(inner, (Exception,), {})("words"), ConnectTimeout("x")), mutating=mutating)
    assert type(error) is kind


@pytest.mark.parametrize("name", ["EndpointNotFound", "ServiceDisabledException"])
def test_a_service_that_the_cloud_does_not_have_is_no_outage(name):
    """A cloud without block storage: refused in clear words, not asked for ever."""
    error = unanswered("list volumes", type(name, (Exception,), {})("block-storage is not present"), mutating=False)
    assert type(error) is InvalidConfiguration
    assert "catalogue has no such service" in str(error)

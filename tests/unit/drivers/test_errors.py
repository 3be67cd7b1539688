"""Each answer of a cloud leads to the class that says what to do next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import (
    Ambiguous,
    Conflict,
    CredentialsInvalid,
    Forbidden,
    InvalidConfiguration,
    QuotaExceeded,
    RateLimited,
    Unreachable,
)
from drivers.httperrors import LONGEST, retry_after
from drivers.simulated.errors import classify, said

CASES = [
    (400, "Invalid flavorRef", True, InvalidConfiguration),
    (401, "requires authentication", True, CredentialsInvalid),
    (403, "Quota exceeded for cores: Requested 8, but already used 56 of 60 cores", True, QuotaExceeded),
    (403, "Policy doesn't allow os_compute_api:servers:create", True, Forbidden),
    (403, "Policy doesn't allow os_compute_api:os-quota-sets:show", True, Forbidden),
    (404, "Instance could not be found", True, Conflict),
    (409, "Port is currently in use", True, Conflict),
    (409, "Quota exceeded for resources: ['port'] (OverQuota)", True, QuotaExceeded),
    (412, "changed meanwhile", True, Conflict),
    (413, "VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'.", True, QuotaExceeded),
    (413, "This request was rate-limited", True, RateLimited),
    (429, "Too many requests", True, RateLimited),
    (429, "Too many requests", False, RateLimited),
    (500, "Unexpected API Error", True, Ambiguous),
    (502, "Bad Gateway", True, Ambiguous),
    (503, "No server is available", True, Ambiguous),
    (504, "Gateway Timeout", True, Ambiguous),
    (503, "No server is available", False, Unreachable),
]


@pytest.mark.parametrize(("status", "text", "mutating", "expected"), CASES, ids=[f"{c[0]} {c[1][:30]} {c[2]}" for c in CASES])
def test_status_and_text_decide(status, text, mutating, expected):
    """One table; only a 5xx of a change leaves open whether it took place."""
    body = b'{"error": {"message": "%s"}}' % text.encode()
    error = classify("create server x", status, body, {"X-Request-Id": "req-1"}, mutating=mutating)
    assert type(error) is expected
    assert error.happened is (None if expected is Ambiguous else False)
    assert text in str(error)
    assert str(error).endswith("(request req-1)")


@given(st.binary(max_size=2000), st.sampled_from([400, 401, 403, 404, 409, 413, 429, 500, 503]), st.booleans())
def test_any_body_makes_a_short_clear_error(body, status, mutating):
    """Whatever a proxy answers: one line, bounded, never the secret."""
    error = classify("list servers", status, body + b"hunter2", {}, mutating=mutating, secret="hunter2")
    assert len(str(error)) < LONGEST + 300
    assert "hunter2" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1e9", 3600.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_is_bounded(value, seconds):
    """A cloud cannot put us to sleep for a year, nor crash us with nonsense."""
    assert retry_after({} if value is None else {"Retry-After": value}) == seconds


def test_an_empty_body_says_so():
    """There is always something to read."""
    assert said(b"") == "(nothing)"

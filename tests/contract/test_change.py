"""What a driver does to the world: one call per step, the truth about its outcome, and nothing without the lease."""

import socket
import time

import pytest

from drivers.contract import (
    Absent,
    Ambiguous,
    Conflict,
    CredentialsInvalid,
    DriverError,
    Forbidden,
    InvalidConfiguration,
    LeaseLost,
    Present,
    QuotaExceeded,
    RateLimited,
    Step,
    Unreachable,
)
from tests.contract.harness import Hook, needs, owner

OURS = owner()
LOST = [("drop_before", False), ("drop_after", True), ("ack_then_500", True), ("hang", False), ("hang_after", True)]
LOST_IDS = [name for name, _ in LOST]
REFUSALS = [
    ("unauthorized", CredentialsInvalid),
    ("forbidden", Forbidden),
    ("quota", QuotaExceeded),
    ("over_quota", QuotaExceeded),
    ("too_large", QuotaExceeded),
    ("rate_limited", RateLimited),
    ("fail_create", InvalidConfiguration),
]


async def look(driver, harness, ref=None):
    return await driver.observe(OURS, ref, time.monotonic(), harness.part)


@needs(Hook.CREATE, Hook.LOSE_ANSWERS, Hook.COUNT)
@pytest.mark.parametrize(("fault", "happened"), LOST, ids=LOST_IDS)
async def test_a_create_without_an_answer_is_ambiguous_and_sent_once(harness, make, fault, happened):
    """It may have happened or not: the driver says so, does not try again, and observing tells the truth."""
    driver = make(call_seconds=0.3)
    harness.broken(fault, method="POST")
    with pytest.raises(Ambiguous) as caught:
        await driver.apply(*harness.create(OURS))
    assert caught.value.happened is None
    assert harness.mutations() == 1
    assert len(harness.refs()) == happened
    harness.honest()
    assert isinstance(await look(driver, harness), Present if happened else Absent)


@needs(Hook.CREATE, Hook.LOSE_ANSWERS, Hook.COUNT)
@pytest.mark.parametrize(("fault", "happened"), LOST, ids=LOST_IDS)
async def test_a_delete_without_an_answer_is_ambiguous_and_sent_once(harness, make, fault, happened):
    """As for a create; asking again later is safe."""
    driver = make(call_seconds=0.3)
    ref = await driver.apply(*harness.create(OURS))
    harness.broken(fault, method="DELETE")
    with pytest.raises(Ambiguous):
        await driver.destroy(ref)
    assert harness.mutations() == 2
    harness.honest()
    assert isinstance(await look(driver, harness, ref), Absent if happened else Present)
    await driver.destroy(ref)
    assert await look(driver, harness, ref) == Absent()


@needs(Hook.CREATE, Hook.UPDATE, Hook.LOSE_ANSWERS, Hook.COUNT)
@pytest.mark.parametrize(("fault", "happened"), LOST, ids=LOST_IDS)
async def test_an_update_without_an_answer_is_ambiguous_and_sent_once(harness, make, fault, happened):
    """As for a create."""
    driver = make(call_seconds=0.3)
    ref = await driver.apply(*harness.create(OURS))
    step, took_place = harness.update(ref)
    harness.broken(fault, method="PATCH")
    with pytest.raises(Ambiguous):
        await driver.apply(step, harness.create(OURS)[1])
    assert harness.mutations() == 2
    harness.honest()
    assert took_place((await look(driver, harness, ref)).live) is happened


@needs(Hook.CREATE, Hook.UPDATE)
async def test_an_update_changes_in_place(harness, driver):
    """The same id, the new value."""
    ref = await driver.apply(*harness.create(OURS))
    step, took_place = harness.update(ref)
    assert await driver.apply(step, harness.create(OURS)[1]) == ref
    assert took_place((await look(driver, harness, ref)).live)


@needs(Hook.CREATE, Hook.UPDATE, Hook.MEDDLE)
async def test_an_update_of_what_is_gone_asks_to_look_again(harness, driver):
    """Conflict, not a wrong spec."""
    ref = await driver.apply(*harness.create(OURS))
    step, _ = harness.update(ref)
    harness.meddle("delete", ref)
    with pytest.raises(Conflict):
        await driver.apply(step, harness.create(OURS)[1])


@needs(Hook.CREATE, Hook.COUNT)
async def test_deleting_what_is_gone_succeeds(harness, driver):
    """404 is success: a delete may be repeated."""
    ref = await driver.apply(*harness.create(OURS))
    await driver.destroy(ref)
    await driver.destroy(ref)
    assert harness.refs() == []


@needs(Hook.CREATE, Hook.REFUSE)
@pytest.mark.parametrize(("fault", "expected"), REFUSALS, ids=[name for name, _ in REFUSALS])
async def test_a_refusal_says_what_to_do_next(harness, driver, fault, expected):
    """Each refusal is its own class, certain that nothing happened, with the provider's words and request id."""
    harness.broken(fault, message="the number is 56 of 60; quota exceeded" if "Quota" in expected.__name__ else "56 of 60")
    with pytest.raises(expected) as caught:
        await driver.apply(*harness.create(OURS))
    assert type(caught.value) is expected
    assert caught.value.happened is False
    assert "56 of 60" in str(caught.value)
    assert "request req-" in str(caught.value)
    assert harness.refs() == []


@needs(Hook.CREATE, Hook.REFUSE)
async def test_a_rate_limit_says_when_to_come_back(harness, driver):
    """Retry-After reaches the engine, from changes and from reads."""
    harness.broken("rate_limited", retry_after=7)
    with pytest.raises(RateLimited) as caught:
        await driver.apply(*harness.create(OURS))
    assert caught.value.retry_after == 7
    assert (await look(driver, harness)).error.retry_after == 7


@needs(Hook.CREATE, Hook.REFUSE)
@pytest.mark.parametrize(("fault", "expected"), [("delete_forbidden", Forbidden), ("delete_in_use", Conflict)])
async def test_a_delete_that_is_refused_names_the_reason(harness, driver, fault, expected):
    """Policy and "in use" are different things; either way it is still there."""
    ref = await driver.apply(*harness.create(OURS))
    harness.broken(fault)
    with pytest.raises(expected) as caught:
        await driver.destroy(ref)
    assert caught.value.happened is False
    assert isinstance(await look(driver, harness, ref), Present)


@needs(Hook.CREATE, Hook.UNREACHABLE)
async def test_where_nobody_listens_nothing_was_sent(harness, make):
    """A refused connection is certain: Unreachable, and nothing happened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        driver = make(endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        for change in (driver.apply(*harness.create(OURS)), driver.destroy("some-id")):
            with pytest.raises(Unreachable) as caught:
                await change
            assert caught.value.happened is False
        assert isinstance((await look(driver, harness)).error, Unreachable)


@needs(Hook.CREATE, Hook.COUNT)
async def test_without_the_lease_nothing_is_sent(harness, make):
    """The fence is asked right before each change, and never for a look; where it says no, the world hears nothing."""
    held, asked = True, 0

    def fence():
        nonlocal asked
        asked += 1
        if not held:
            raise LeaseLost("this daemon is not the leader any more; nothing was sent")

    driver = make(fence=fence)
    ref = await driver.apply(*harness.create(OURS))
    await look(driver, harness, ref)
    await driver.survey()
    assert asked == 1
    held = False
    for change in (driver.apply(*harness.create(OURS)), driver.destroy(ref)):
        with pytest.raises(LeaseLost):
            await change
    assert asked == 3
    assert harness.mutations() == 1
    assert harness.refs() == [ref]


@needs(Hook.CREATE, Hook.ROTATE, Hook.COUNT)
async def test_a_rotated_token_needs_no_restart(harness, driver):
    """Once the token's source knows the new one, looks and changes go on; nothing is done twice."""
    ref = await driver.apply(*harness.create(OURS))
    harness.rotate(told=False)
    assert isinstance((await look(driver, harness, ref)).error, CredentialsInvalid)
    with pytest.raises(CredentialsInvalid):
        await driver.destroy(ref)
    harness.rotate(told=True)
    assert isinstance(await look(driver, harness, ref), Present)
    await driver.destroy(ref)
    assert harness.refs() == []


@needs(Hook.CREATE, Hook.ROTATE, Hook.COUNT)
async def test_an_unusable_token_is_never_sent(harness, driver):
    """Two lines, or a letter that no header can carry: CredentialsInvalid, and the world hears nothing."""
    for token in ("two\nlines", "grün"):
        harness.secret = token
        with pytest.raises(CredentialsInvalid):
            await driver.apply(*harness.create(OURS))
        assert isinstance((await look(driver, harness)).error, CredentialsInvalid)
    assert harness.mutations() == 0


@needs(Hook.CREATE, Hook.REFUSE)
async def test_an_error_never_holds_the_secret(harness, driver):
    """Even where the provider repeats it in its answer."""
    harness.broken("forbidden", message=f"token {harness.secret} may not do this")
    with pytest.raises(DriverError) as caught:
        await driver.apply(*harness.create(OURS))
    texts = [str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr((await look(driver, harness)).error)]
    assert all(harness.secret not in text for text in texts)
    assert "***" in str(caught.value)


async def test_closing_is_harmless(harness, driver):
    """Closed twice, and then used again, it works."""
    before = await look(driver, harness)
    await driver.close()
    await driver.close()
    assert type(await look(driver, harness)) is type(before)


async def test_what_cannot_be_made_or_removed_is_refused(harness, driver):
    """A driver never pretends: a step that it cannot take is an error, and the world stays as it is."""
    before = await look(driver, harness)
    with pytest.raises((DriverError, ValueError)):
        await driver.apply(Step("update", harness.part, "no ref given"), None)
    assert type(await look(driver, harness)) is type(before)

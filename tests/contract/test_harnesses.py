"""What each harness cannot fake is said, with a reason, in one place."""

import pytest

from drivers.contract import Driver
from tests.contract.harness import Hook
from tests.contract.harnesses import HARNESSES

METHODS = {
    Hook.CREATE: ("create", "refs"),
    Hook.UPDATE: ("update",),
    Hook.COUNT: ("mutations",),
    Hook.SEVERAL_AT_ONCE: ("reads",),
    Hook.LOSE_ANSWERS: ("broken", "honest"),
    Hook.LATE: ("pass_time",),
    Hook.TWICE: ("pass_time",),
    Hook.MEDDLE: ("meddle", "tags"),
    Hook.ROTATE: ("rotate",),
}


@pytest.mark.parametrize("candidate", HARNESSES, ids=lambda candidate: candidate.name)
def test_a_harness_can_do_a_thing_or_says_why_not(candidate):
    """No hook is missing without a reason."""
    for hook, methods in METHODS.items():
        assert candidate.cannot.get(hook) or all(hasattr(candidate, method) for method in methods), hook
    assert all(reason.strip() for reason in candidate.cannot.values())


async def test_what_a_harness_makes_is_a_driver(driver):
    """It has all that the engine will call."""
    assert isinstance(driver, Driver)
    assert driver.settle_seconds >= 0


def test_drivers_are_told_apart_by_name(cloud):
    """Two drivers never share a name: breakers and surveys are kept by it."""
    for candidate in HARNESSES:
        candidate.admin = cloud.admin
    names = [candidate.driver().name for candidate in HARNESSES]
    assert len(set(names)) == len(names)

"""Crash anywhere, converge anyway: kill -9 at every store write and every call to the cloud, before, on and after it."""

from __future__ import annotations

import pytest

from tests.crash.scenarios import SCENARIOS
from tests.crash.sweep import Bench, differences

pytestmark = pytest.mark.slow
PHASES = ("before", "sent", "after")
POINTS = [
    pytest.param(name, number, phase, id=f"{name}-{number}-{phase}")
    for name, scenario in SCENARIOS.items()
    for number in range(1, scenario.points + 1)
    for phase in PHASES
]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_sweep_reaches_every_point(name: str, bench: Bench) -> None:
    """No run passes more points than the sweep has tests for: a new call or write is swept, or this fails."""
    await bench.reference(name)
    learned = bench.points(name)
    assert len(learned) <= SCENARIOS[name].points, f"raise `points` of {name!r} to {len(learned)}:\n" + "\n".join(learned)


@pytest.mark.parametrize(("name", "number", "phase"), POINTS)
async def test_a_crash_changes_nothing_in_the_end(name: str, number: int, phase: str, bench: Bench) -> None:
    """Killed at this point and started again, the daemon reaches the same end with the same creates and deletes."""
    clean = await bench.reference(name)
    crashed = await bench.run(name, {"ANNEAL_CRASH_AT": f"{number}:{phase}"})
    wrong = list(differences(clean, crashed))
    assert not wrong, f"crash {phase} point {number} ({bench.label(name, number)}):\n" + "\n".join(wrong)

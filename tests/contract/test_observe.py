"""What a driver says of the world: what is there, what is not, what it could not tell, and what is none of its business."""

import asyncio
import time

import pytest

from drivers.contract import Absent, Duplicate, Foreign, Present, Survey, Unknown
from tests.contract.harness import Hook, needs, owner

OURS = owner()
CLOCK_SECONDS = 1.0
"""Clouds write down when a thing was made in whole seconds."""
BLINDNESS = ["unauthorized", "forbidden", "unavailable", "rate_limited", "drop_before", "garbage", "hang"]


async def look(driver, harness, ref=None, of=OURS, part=None):
    return await driver.observe(of, ref, time.monotonic(), harness.part if part is None else part)


async def test_looking_twice_says_the_same(harness, driver):
    """To observe changes nothing."""
    first, second = await look(driver, harness), await look(driver, harness)
    assert type(first) is type(second)
    assert isinstance(await driver.survey(), Survey)


@needs(Hook.CREATE)
async def test_where_nothing_is_there_is_nothing(harness, driver):
    """A healthy answer without our thing is Absent, with and without a recorded id."""
    assert await look(driver, harness) == Absent()
    assert await look(driver, harness, "00000000-0000-4000-8000-000000000000") == Absent()


@needs(Hook.CREATE, Hook.COUNT)
async def test_what_was_created_is_found_by_tag_and_by_id(harness, driver):
    """Tag and name travel in the create itself: one request, and it is ours."""
    ref = await driver.apply(*harness.create(OURS))
    for known in (None, ref):
        match await look(driver, harness, known):
            case Present(ref=found, live=live):
                assert found == ref
                assert Hook.NAMES in harness.cannot or live.name == OURS.external_name(harness.part)
            case other:
                pytest.fail(f"{other} instead of Present")
    assert harness.mutations() == 1


@needs(Hook.CREATE)
async def test_a_namesake_is_somebody_else(harness, driver):
    """The same object made anew has another UID: what its predecessor had is not its own. Nor is another installation's."""
    ref = await driver.apply(*harness.create(OURS))
    reborn, elsewhere = owner(uid="0b5f3f0e-1111-4222-8333-000000000002"), owner(installation="installation-2")
    for stranger in (reborn, elsewhere):
        assert await look(driver, harness, of=stranger) == Absent()
        assert isinstance(await look(driver, harness, ref, of=stranger), Foreign)


@needs(Hook.MEDDLE)
async def test_a_name_proves_nothing(harness, driver):
    """A thing with exactly our name and no tag is Foreign if its id is asked for, and otherwise not there."""
    ref = harness.meddle("create", name=OURS.external_name(harness.part))
    assert await look(driver, harness) == Absent()
    seen = await look(driver, harness, ref)
    assert isinstance(seen, Foreign)
    assert seen.live.id == ref


@needs(Hook.CREATE, Hook.MEDDLE)
async def test_a_thing_whose_tag_was_stripped_is_not_ours_any_more(harness, driver):
    """Somebody removed the tag by hand: it is Foreign under its id."""
    ref = await driver.apply(*harness.create(OURS))
    harness.meddle("change", ref, tags={})
    assert isinstance(await look(driver, harness, ref), Foreign)


@needs(Hook.CREATE, Hook.MEDDLE)
async def test_what_others_deleted_is_absent(harness, driver):
    """Deleted out of band: Absent, by id and by tag."""
    ref = await driver.apply(*harness.create(OURS))
    harness.meddle("delete", ref)
    assert await look(driver, harness, ref) == Absent()
    assert await look(driver, harness) == Absent()


@needs(Hook.CREATE, Hook.MEDDLE, Hook.TWICE)
@pytest.mark.parametrize("recorded", [None, 0, 1], ids=["none recorded", "the older recorded", "the younger recorded"])
async def test_of_two_with_our_tag_the_recorded_one_is_kept(harness, driver, recorded):
    """Duplicate: keep the recorded one, else the oldest; the other is named as extra."""
    first = await driver.apply(*harness.create(OURS))
    harness.pass_time(CLOCK_SECONDS)
    refs = [first, await driver.apply(*harness.create(OURS))]
    seen = await look(driver, harness, None if recorded is None else refs[recorded])
    assert isinstance(seen, Duplicate)
    assert seen.keep.ref == refs[recorded or 0]
    assert set(seen.extra) == set(refs) - {seen.keep.ref}


@needs(Hook.CREATE, Hook.PARTS)
async def test_parts_of_one_owner_are_told_apart(harness, driver):
    """port/0 and port/1 are not duplicates of each other; without the part's name nothing is said of either."""
    stem = harness.part.partition("/")[0]
    refs = {part: await driver.apply(*harness.create(OURS, part)) for part in (f"{stem}/0", f"{stem}/1")}
    for part, ref in refs.items():
        seen = await look(driver, harness, part=part)
        assert isinstance(seen, Present)
        assert seen.ref == ref
    assert isinstance(await look(driver, harness, part=""), Unknown)


@needs(Hook.CREATE, Hook.BLIND)
@pytest.mark.parametrize("fault", BLINDNESS)
async def test_silence_is_not_absence(harness, make, fault):
    """A world that does not answer properly is never taken for one without our thing: not by id, not by tag, not in a survey."""
    driver = make(call_seconds=0.3)
    ref = await driver.apply(*harness.create(OURS))
    harness.broken(fault)
    for known in (None, ref):
        seen = await look(driver, harness, known)
        assert isinstance(seen, Unknown)
        assert seen.error.happened is False
    assert isinstance(await driver.survey(), Unknown)
    harness.honest()
    assert isinstance(await look(driver, harness, ref), Present)


@needs(Hook.CREATE, Hook.OTHER_VIEW)
async def test_another_projects_view_is_not_absence(harness, driver):
    """A list of another project, healthy and without our thing, says nothing."""
    ref = await driver.apply(*harness.create(OURS))
    harness.broken("other_project")
    assert isinstance(await look(driver, harness, ref), Unknown)
    assert isinstance(await look(driver, harness), Unknown)
    assert isinstance(await driver.survey(), Unknown)


@needs(Hook.CREATE, Hook.EMPTY_LISTS)
async def test_a_list_alone_does_not_make_a_recorded_thing_absent(harness, driver):
    """A list that is empty and lies: what has a recorded id is asked for by id."""
    ref = await driver.apply(*harness.create(OURS))
    harness.broken("empty_lists")
    assert isinstance(await driver.survey(), Survey)
    assert isinstance(await look(driver, harness, ref), Present)


@needs(Hook.CREATE, Hook.LATE)
async def test_what_shows_late_shows_within_the_settling_time(harness, driver):
    """settle_seconds after the create, at the latest, a healthy list holds it."""
    harness.broken("late_visibility", delay=driver.settle_seconds - 1)
    ref = await driver.apply(*harness.create(OURS))
    assert await look(driver, harness) == Absent()
    harness.pass_time(driver.settle_seconds)
    assert isinstance(await look(driver, harness, ref), Present)


@needs(Hook.CREATE, Hook.MEDDLE)
async def test_an_answer_is_never_older_than_asked_for(harness, driver):
    """A snapshot from before is not used for a question that asks for later."""
    ref = await driver.apply(*harness.create(OURS))
    survey = await driver.survey()
    assert isinstance(survey, Survey)
    harness.meddle("delete", ref)
    assert await look(driver, harness) == Absent()
    after = time.monotonic()
    seen = await asyncio.gather(*(driver.observe(OURS, ref, after, harness.part) for _ in range(30)))
    assert set(seen) == {Absent()}


@needs(Hook.CREATE, Hook.MEDDLE, Hook.COUNT, Hook.SEVERAL_AT_ONCE)
async def test_many_questions_at_once_cost_few_calls(harness, driver):
    """A hundred owners who ask at once are answered by a handful of calls; after a survey, by none."""
    owners = [owner(f"m-{n}", f"uid-{n}") for n in range(100)]
    refs = [harness.meddle("create", name=o.name, **harness.tags(o, harness.part)) for o in owners]
    await driver.survey()
    before, after = harness.reads(), time.monotonic()
    seen = await asyncio.gather(*(driver.observe(o, None, after, harness.part) for o in owners))
    assert [observation.ref for observation in seen] == refs
    assert harness.reads() - before <= 16
    survey = await driver.survey()
    before = harness.reads()
    seen = await asyncio.gather(*(driver.observe(o, r, survey.taken, harness.part) for o, r in zip(owners, refs, strict=True)))
    assert [observation.ref for observation in seen] == refs
    assert harness.reads() == before


@needs(Hook.CREATE, Hook.MEDDLE)
async def test_a_survey_holds_all_that_is_ours_and_no_more(harness, driver):
    """Things of others, of another installation, and without tags are not in it."""
    ref = await driver.apply(*harness.create(OURS))
    harness.meddle("create", name="somebody's")
    harness.meddle("create", **harness.tags(owner(installation="installation-2"), harness.part))
    survey = await driver.survey()
    assert survey.refs == {ref}
    assert set(survey.prints) == {OURS.uid}


@needs(Hook.CREATE, Hook.MEDDLE)
async def test_a_print_changes_with_what_is_seen_and_only_then(harness, driver):
    """The print of an owner changes when a thing of it changes or vanishes; others' prints stay."""
    other = owner("b", "uid-b")
    ref = await driver.apply(*harness.create(OURS))
    await driver.apply(*harness.create(other))
    first, second = await driver.survey(), await driver.survey()
    assert first.prints == second.prints
    harness.meddle("change", ref, name="renamed")
    renamed = await driver.survey()
    assert renamed.prints[OURS.uid] != first.prints[OURS.uid]
    assert renamed.prints[other.uid] == first.prints[other.uid]
    harness.meddle("delete", ref)
    assert OURS.uid not in (await driver.survey()).prints


@needs(Hook.CREATE, Hook.TWICE)
async def test_a_print_changes_when_a_thing_is_doubled(harness, driver):
    """Two of what should be one: the owner is woken."""
    await driver.apply(*harness.create(OURS))
    first = await driver.survey()
    await driver.apply(*harness.create(OURS))
    assert (await driver.survey()).prints[OURS.uid] != first.prints[OURS.uid]

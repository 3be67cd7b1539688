"""One list call serves everyone who asks; an answer is never older than asked for. In virtual time."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Absent, Owner, Present, Survey, Unknown, Unreachable
from drivers.judging import Thing
from drivers.snapshot import ALONE, LONGEST, SharedList

pytestmark = pytest.mark.looptime(start=1000)


def owner(number):
    return Owner("here", "Machine", "default", f"m-{number}", f"uid-{number}")


def thing(number, *, ref=None, digest=0, installation="here"):
    ref = ref or f"ref-{number}"
    return Thing(ref, installation, f"uid-{number}", "server", "2026-01-01", True, digest, f"live {ref}")


@dataclass
class Cloud:
    """Three calls that take a second each. `calls` says what was asked, and when."""

    things: list = field(default_factory=list)
    hidden: set = field(default_factory=set)
    error: Exception | None = None
    calls: list = field(default_factory=list)
    seconds: float = 1.0

    async def everything(self):
        return [thing for thing in await self._answer("list") if thing.ref not in self.hidden]

    async def of_owner(self, who):
        return [thing for thing in await self._answer("ask") if thing.owner == who.uid and thing.ref not in self.hidden]

    async def by_id(self, ref):
        return next((thing for thing in await self._answer("get") if thing.ref == ref), None)

    async def _answer(self, what):
        self.calls.append((what, now()))
        answer = list(self.things)
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return answer

    def count(self, what):
        return sum(call == what for call, _ in self.calls)


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture
def cloud():
    return Cloud([thing(number) for number in range(100)])


@pytest.fixture
async def shared(cloud):
    shared = SharedList(cloud.everything, cloud.of_owner, cloud.by_id, clock=now)
    yield shared
    await shared.close()


async def test_a_lone_question_is_asked_alone(cloud, shared):
    """One owner, one call, no waiting for company."""
    start = now()
    assert await shared.observe(owner(3), "ref-3", start) == Present("ref-3", "live ref-3")
    assert cloud.calls == [("ask", start)]
    assert now() - start == cloud.seconds


async def test_many_questions_at_once_are_one_list(cloud, shared):
    """Ten thousand who ask at once: a few alone, all others by one list."""
    cloud.things = [thing(number) for number in range(10_000)]
    after = now()
    seen = await asyncio.gather(*(shared.observe(owner(n), f"ref-{n}", after) for n in range(10_000)))
    assert all(observation == Present(f"ref-{n}", f"live ref-{n}") for n, observation in enumerate(seen))
    assert (cloud.count("ask"), cloud.count("list"), cloud.count("get")) == (ALONE, 1, 0)


async def test_a_resync_of_ten_thousand_is_one_list(cloud, shared):
    """After a survey, whoever is content with its time costs nothing, one after the other or all at once."""
    cloud.things = [thing(number) for number in range(10_000)]
    survey = await shared.survey()
    for n in range(0, 10_000, 7):
        assert await shared.observe(owner(n), f"ref-{n}", survey.taken) == Present(f"ref-{n}", f"live ref-{n}")
    assert [what for what, _ in cloud.calls] == ["list"]


async def test_a_list_under_way_is_too_old_for_who_asks_after_it_was_sent(cloud, shared):
    """What changed after the list was sent is seen by those who asked after the change."""
    first = asyncio.create_task(shared.survey())
    await asyncio.sleep(0.5)
    cloud.things = []
    after = now()
    late = [asyncio.create_task(shared.observe(owner(n), None, after)) for n in range(50)]
    assert len((await first).refs) == 100
    assert set(await asyncio.gather(*late)) == {Absent()}
    assert cloud.count("list") == 2


async def test_who_asks_while_a_list_gathers_joins_it(cloud, shared):
    """Before the list is sent, everybody may come along."""
    asked = asyncio.create_task(shared.survey())
    await asyncio.sleep(0)
    assert await shared.observe(owner(1), "ref-1", now()) == Present("ref-1", "live ref-1")
    assert isinstance(await asked, Survey)
    assert [what for what, _ in cloud.calls] == ["list"]


async def test_missing_from_a_list_is_asked_by_id(cloud, shared):
    """A list that does not show a recorded thing is not believed; one that is gone by id is."""
    cloud.hidden = {"ref-5"}
    survey = await shared.survey()
    assert await shared.observe(owner(5), "ref-5", survey.taken) == Present("ref-5", "live ref-5")
    assert await shared.observe(owner(500), "ref-500", survey.taken) == Absent()
    assert [what for what, _ in cloud.calls] == ["list", "get", "get"]


async def test_a_failed_list_is_unknown_to_all_who_waited(cloud, shared):
    """Each gets the error, none an Absent; the next list starts anew."""
    cloud.error = Unreachable("cannot list: nobody there")
    after = now()
    seen = await asyncio.gather(*(shared.observe(owner(n), None, after) for n in range(50)))
    assert all(isinstance(observation, Unknown) for observation in seen)
    assert cloud.count("list") == 1
    cloud.error = None
    assert isinstance(await shared.survey(), Survey)


async def test_a_failed_call_by_id_is_unknown(cloud, shared):
    """Missing from the list, and by id nobody answers: nothing is known."""
    cloud.hidden = {"ref-5"}
    survey = await shared.survey()
    cloud.error = Unreachable("cannot look up ref-5: nobody there")
    assert isinstance(await shared.observe(owner(5), "ref-5", survey.taken), Unknown)


async def test_who_gives_up_does_not_take_the_list_from_others(cloud, shared):
    """A cancelled question leaves the list running."""
    first = asyncio.create_task(shared.survey())
    second = asyncio.create_task(shared.survey())
    await asyncio.sleep(0.5)
    first.cancel()
    assert len((await second).refs) == 100
    assert cloud.count("list") == 1


async def test_a_slow_list_waits_longer_for_company(cloud, shared):
    """The pause before a list grows with what lists cost, up to a bound."""
    await shared.survey()
    start = now()
    await shared.survey()
    assert cloud.calls[-1][1] - start == pytest.approx(LONGEST)


async def test_a_snapshot_is_forgotten(cloud, shared):
    """Old lists are not kept in memory: a question for the distant past is asked anew."""
    survey = await shared.survey()
    await asyncio.sleep(60)
    await shared.observe(owner(1), "ref-1", survey.taken)
    assert [what for what, _ in cloud.calls] == ["list", "ask"]


async def test_prints_follow_what_is_ours(cloud, shared):
    """A print per owner of ours; it changes with the digest of any of its things, and only then."""
    cloud.things = [
        thing(1),
        thing(2),
        thing(2, ref="second"),
        thing(3, installation="elsewhere"),
        Thing("x", "", "", "", "", True, 0, 0),
    ]
    first = await shared.survey("here")
    assert first.refs == {"ref-1", "ref-2", "second"}
    assert set(first.prints) == {"uid-1", "uid-2"}
    cloud.things.reverse()
    assert (await shared.survey("here")).prints == first.prints
    cloud.things.append(thing(2, ref="second", digest=1))
    changed = await shared.survey("here")
    assert changed.prints["uid-1"] == first.prints["uid-1"]
    assert changed.prints["uid-2"] != first.prints["uid-2"]


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 9)), max_size=40), st.lists(st.floats(0, 5), max_size=6))
@settings(max_examples=60, deadline=None)
async def test_no_answer_is_older_than_asked_for(questions, changes):
    """However questions and changes interleave: an answer shows the world as it was at `after` or later."""
    cloud = Cloud([thing(number, ref=f"v0-{number}") for number in range(10)], seconds=0.7)
    shared = SharedList(cloud.everything, cloud.of_owner, cloud.by_id, clock=now, alone=2)
    start, version = now(), {"now": 0}

    async def change(at):
        await asyncio.sleep(at)
        version["now"] += 1
        cloud.things = [thing(number, ref=f"v{version['now']}-{number}") for number in range(10)]

    async def question(at, number):
        await asyncio.sleep(at)
        asked = version["now"]
        seen = await shared.observe(owner(number), None, now())
        assert isinstance(seen, Present)
        assert int(seen.ref.removeprefix("v").partition("-")[0]) >= asked

    await asyncio.gather(*(change(at) for at in changes), *(question(at, number) for at, number in questions))
    assert cloud.count("list") <= (now() - start) / 0.7 + 1
    await shared.close()

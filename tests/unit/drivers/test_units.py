"""Local processes that outlive the daemon: one at a time, known from their first moment, ended by time and never by waiting."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Absent, Conflict, Intent, Observation, Present, Step
from drivers.local import processes, shim
from drivers.local.unit import Unit, UnitSpec
from drivers.local.units import UnitDriver
from tests.contract.harness import owner
from tests.support.daemon import until

OWNER = owner()
READY = "open('ready', 'w').close()"


def python(code: str, **more) -> UnitSpec:
    """A process that runs this code in its folder."""
    return UnitSpec([sys.executable, "-IS", "-c", code], **more)


@dataclass
class World:
    """A folder of units and their driver."""

    root: Path
    woken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driver = UnitDriver(self.root, died=self.woken.append)

    async def create(self, spec: UnitSpec, part: str = "web") -> str:
        """Start it."""
        return await self.driver.apply(Step("create", part, "a test", spec.change()), self.intent(part))

    async def again(self, ref: str, spec: UnitSpec, part: str = "web") -> str:
        """Start it again."""
        return await self.driver.apply(Step("update", part, "a test", spec.change(), ref=ref), self.intent(part))

    def intent(self, part: str) -> Intent:
        """As the engine stores it."""
        return Intent(OWNER, part, OWNER.external_name(part))

    async def look(self, part: str = "web", ref: str | None = None) -> Observation[Unit]:
        """What is there now."""
        return await self.driver.observe(OWNER, ref, time.monotonic(), part)

    async def unit(self, part: str = "web") -> Unit:
        """The unit that is there."""
        seen = await self.look(part)
        assert isinstance(seen, Present)
        return seen.live

    async def until(self, state: str, part: str = "web") -> Unit:
        """Wait until it is in this state."""

        async def look() -> Unit | None:
            unit = await self.unit(part)
            return unit if unit.state == state else None

        found: Unit = await until(look, 10)
        return found

    async def ready(self, ref: str) -> None:
        """Wait until its code has begun."""
        await until(lambda: (self.root / ref / "ready").exists(), 10)

    def process(self, ref: str) -> dict[str, int]:
        """What its record says of its process."""
        return json.loads((self.root / ref / "unit.json").read_text())["process"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "units").mkdir()
    made = World(tmp_path / "units")
    yield made
    for record in made.root.glob("*/unit.json"):
        processes.kill(json.loads(record.read_text())["process"], record.parent)


async def test_of_many_starts_at_once_one_wins(world: World) -> None:
    """However often a create is sent, one process runs: the others find its lock and say so."""
    spec = python("import time; open(f'ran-{__import__(\"os\").getpid()}', 'w').close(); time.sleep(100)")
    answers = await asyncio.gather(*(world.create(spec) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert all(isinstance(answer, str | Conflict) for answer in answers)
    folder = world.root / OWNER.external_name("web")
    await until(lambda: list(folder.glob("ran-*")), 10)
    assert len(list(folder.glob("ran-*"))) == 1


async def test_a_daemon_that_dies_in_the_middle_of_a_start_leaves_one_or_none(world: World) -> None:
    """Killed before, while or after the shim works: whoever looks next sees what runs, or nothing; and starts none twice."""
    spec = python("import time; time.sleep(100)")
    for pause in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05):
        code = (
            "import asyncio, sys; from pathlib import Path; from drivers.contract import *\n"
            "from drivers.local.units import UnitDriver\n"
            f"owner = Owner({OWNER.installation!r}, 'Machine', 'default', 'a', {OWNER.uid!r})\n"
            f"step = Step('create', 'web', 'x', {spec.change()!r})\n"
            "intent = Intent(owner, 'web', owner.external_name('web'))\n"
            f"print('go', flush=True); asyncio.run(UnitDriver(Path({str(world.root)!r})).apply(step, intent))"
        )
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        await asyncio.sleep(pause)
        child.kill()
        child.wait()
        child.stdout.close()
        for _ in range(200):
            seen = await world.look()
            if isinstance(seen, Present):
                break
            try:
                await world.create(spec)
            except Conflict:
                await asyncio.sleep(0.01)
        unit = await world.until("Running")
        assert processes.leftovers(Path(unit.folder)) == [unit.pid]
        processes.kill(world.process(unit.id), Path(unit.folder))
        await world.until("Exited")
        await world.driver.destroy(unit.id)
        assert await world.look() == Absent()


async def test_who_hides_its_environment_is_found(world: World) -> None:
    """A process that writes a title over its environment is the unit's all the same, and ends with it; another's lives on."""
    hide = (
        "import os, time\n"
        "start, end = map(int, open('/proc/self/stat').read().rpartition(')')[2].split()[47:49])\n"
        "memory = open('/proc/self/mem', 'r+b', 0); memory.seek(start); memory.write(bytes(end - start))\n"
        "print('hidden', flush=True); time.sleep(100)"
    )
    child = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-IS', '-c', {hide!r}]); time.sleep(100)"
    ref = await world.create(python(child))
    folder = world.root / ref
    await until(lambda: "hidden" in (folder / "log").read_text(), 10)
    stranger = subprocess.Popen([sys.executable, "-IS", "-c", hide], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"hidden\n"
        pid = world.process(ref)["pid"]
        found = processes.leftovers(folder)
        assert len(found) == 2
        assert set(found) > {pid}
        processes.kill(world.process(ref), folder)
        await until(lambda: not processes.leftovers(folder), 10)
        assert all(shim.start_ticks(one) is None for one in found)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        assert stranger.stdout is not None
        stranger.stdout.close()


async def test_a_unit_outlives_who_started_it(world: World) -> None:
    """It is nobody's child: it has a session of its own and its parent is not us."""
    ref = await world.create(python(f"{READY}; import time; time.sleep(100)"))
    await world.ready(ref)
    pid = world.process(ref)["pid"]
    assert os.getsid(pid) == pid
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()


async def test_a_job_leaves_a_record_of_its_end(world: World) -> None:
    """Exit code, or the signal that ended it, when, and how much memory it took."""
    for part, code, expected in (("a", "raise SystemExit(3)", (3, None)), ("b", "import os; os.kill(os.getpid(), 9)", (None, 9))):
        await world.create(python(code, mode="job"), part)
        unit = await world.until("Exited", part)
        assert (unit.code, unit.signal) == expected
        assert unit.ended
        assert unit.memory


async def test_a_job_that_ends_in_the_middle_of_a_look_has_ended_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two reads of the look the job writes its end and goes: it was not killed, and it is not started again."""
    gate = world.root / "gate"
    await world.create(python(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)", mode="job"), "job")
    alive = processes.alive

    def ends_before_it_is_asked(process: Any) -> bool:
        gate.touch()
        while alive(process):
            time.sleep(0.005)
        return False

    monkeypatch.setattr(processes, "alive", ends_before_it_is_asked)
    unit = await world.unit("job")
    assert (unit.state, unit.code) == ("Exited", 0)


async def test_a_job_dies_with_its_supervisor(world: World) -> None:
    """kill -9 of the shim takes the job along: there is never a job that nobody supervises."""
    ref = await world.create(
        python(f"open('pid', 'w').write(str(__import__('os').getpid())); {READY}; import time; time.sleep(100)", mode="job")
    )
    await world.ready(ref)
    job = int((world.root / ref / "pid").read_text())
    os.kill(world.process(ref)["pid"], signal.SIGKILL)
    await until(lambda: shim.start_ticks(job) is None, 10)
    unit = await world.until("Exited")
    assert (unit.code, unit.signal) == (None, None)


async def test_what_cannot_be_executed_says_why(world: World) -> None:
    """A command that does not exist is a unit that has ended, with the cause."""
    for part, mode in (("a", "service"), ("b", "job")):
        await world.create(UnitSpec(["/no/such/program"], mode=mode), part)
        unit = await world.until("Exited", part)
        assert unit.code == 127
        assert "No such file" in unit.how_it_ended


async def test_ending_is_asked_for_and_then_enforced(world: World) -> None:
    """SIGTERM at first; SIGKILL when its time is up and it is asked again; the folder goes once nothing runs. Nothing waits."""
    stubborn = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(100)"
    ref = await world.create(python(stubborn, grace_seconds=0.2))
    await world.ready(ref)
    started = time.monotonic()
    await world.driver.destroy(ref)
    assert (await world.unit()).state == "Stopping"
    await world.driver.destroy(ref)
    assert (await world.unit()).state == "Stopping"
    assert time.monotonic() - started < 0.2

    async def overdue() -> bool:
        return (await world.unit()).overdue(time.time())

    await until(overdue, 5)
    await world.driver.destroy(ref)
    await world.until("Exited")
    await world.driver.destroy(ref)
    assert await world.look(ref=ref) == Absent()
    assert not (world.root / ref).exists()


async def test_what_a_unit_left_behind_goes_with_it(world: World) -> None:
    """Children that have made themselves independent are found by their mark and ended, before a new start and at the end."""
    code = (
        "import os, time\n"
        "if not os.fork():\n    os.setsid()\n    open('child', 'w').write(str(os.getpid()))\n    time.sleep(100)\n"
        f"while not os.path.exists('child') or not open('child').read(): time.sleep(0.01)\n{READY}\ntime.sleep(100)"
    )
    ref = await world.create(python(code))
    await world.ready(ref)
    child = int((world.root / ref / "child").read_text())
    os.kill(world.process(ref)["pid"], signal.SIGKILL)
    await world.until("Exited")
    assert shim.start_ticks(child) is not None
    await world.again(ref, python("import time; time.sleep(100)"))
    assert shim.start_ticks(child) is None
    assert (await world.unit()).state == "Running"


async def test_a_reused_pid_is_never_taken_for_the_unit(world: World) -> None:
    """Same pid, another start, or another boot: the unit has ended, and nobody is signalled."""
    ref = await world.create(python(f"{READY}; import time; time.sleep(100)"))
    await world.ready(ref)
    record = world.root / ref / "unit.json"
    true = json.loads(record.read_text())
    for lie in ({"start": 1}, {"boot": "another"}):
        record.write_text(json.dumps(true | {"process": true["process"] | lie}))
        assert (await world.unit()).state == "Exited"
        processes.terminate(true["process"] | lie)
    record.write_text(json.dumps(true))
    assert (await world.unit()).state == "Running"


async def test_starts_in_a_row_are_counted_unless_somebody_stopped_it(world: World) -> None:
    """Who ends by itself again and again is known to; who was stopped starts from one."""
    dies = python("raise SystemExit(1)", mode="job")
    ref = await world.create(dies)
    for count in (2, 3):
        await world.until("Exited")
        await world.again(ref, dies)
        assert (await world.until("Exited")).starts == count
    sleeps = python("import time; time.sleep(100)")
    await world.again(ref, sleeps)
    await world.driver.apply(Step("update", "web", "a test", {"stop": True}, ref=ref), world.intent("web"))
    unit = await world.until("Exited")
    assert unit.stopped
    await world.again(ref, sleeps)
    assert (await world.unit()).starts == 1


async def test_a_fresh_start_begins_to_count_anew(world: World) -> None:
    """A job that is run every so often has not failed so often."""
    job = python("pass", mode="job")
    ref = await world.create(job)
    for _ in range(3):
        await world.until("Exited")
        anew = Step("update", "web", "a test", job.change() | {"fresh": True}, ref=ref)
        await world.driver.apply(anew, world.intent("web"))
    assert (await world.until("Exited")).starts == 1


async def test_files_secrets_and_outputs(world: World) -> None:
    """Files are there when it starts, secrets only for its owner and in no record, outputs are read, old ones are cleared."""
    code = "import json; json.dump([open('in').read(), open('secret').read()], open('out.json', 'w'))"
    spec = python(code, mode="job", files={"in": "{folder}"}, outputs=("out.json",), clears=("out.json",), generates=("token",))
    world.driver = world.driver.with_secrets({"secret": "open-sesame"})
    ref = await world.create(spec)
    unit = await world.until("Exited")
    folder = world.root / ref
    assert unit.outputs == {"out.json": [str(folder), "open-sesame"]}
    assert "open-sesame" not in (folder / "unit.json").read_text() + repr(spec.change())
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder / "secret", folder / "token", folder))
    token = (folder / "token").read_text()
    await world.again(ref, python("pass", mode="job", outputs=("out.json",), clears=("out.json",), generates=("token",)))
    assert (await world.until("Exited")).outputs == {}
    assert (folder / "token").read_text() == token


async def test_its_owner_is_woken_the_moment_it_ends(world: World) -> None:
    """No poll is needed: the kernel says so."""
    ref = await world.create(python(f"{READY}; import time; time.sleep(100)"))
    await world.ready(ref)
    await world.look()
    os.kill(world.process(ref)["pid"], signal.SIGKILL)
    await until(lambda: world.woken == [OWNER.uid], 5)
    await world.driver.close()


async def test_a_folder_that_is_gone_says_nothing_about_units(world: World) -> None:
    """Silence is not absence: without the folder of units the answer is Unknown, for a look and for a survey."""
    ref = await world.create(python("import time; time.sleep(100)"))
    hidden = world.root.with_name("elsewhere")
    world.root.rename(hidden)
    assert type(await world.look()).__name__ == "Unknown"
    assert type(await world.driver.survey()).__name__ == "Unknown"
    hidden.rename(world.root)
    assert isinstance(await world.look(ref=ref), Present)


async def test_all_units_of_a_home_are_stopped_from_outside(world: World) -> None:
    """What `anneal down` does: all are asked at once, the stubborn ones ended when their time is up, none is left."""
    stubborn = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(100)"
    meek = await world.create(python(f"{READY}; import time; time.sleep(100)"), "a")
    other = await world.create(python(stubborn, grace_seconds=0.3), "b")
    await world.ready(meek)
    await world.ready(other)
    command = [sys.executable, "-m", "drivers.local.stop", str(world.root)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    assert json.loads(said) == {"stopped": 2, "killed": [other]}
    for part in ("a", "b"):
        unit = await world.unit(part)
        assert (unit.state, unit.stopped) == ("Exited", True)

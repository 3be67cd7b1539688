"""What is logged, where, and what never is."""

import asyncio
import io
import json
import logging
import stat

import pytest
import structlog

from reconciler import logs
from reconciler.home import Home
from reconciler.redaction import HIDDEN, Redactor


@pytest.fixture
def home(tmp_path):
    """A home whose logs this process writes, and everything as it was afterwards."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    yield Home(tmp_path)
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    for handler in before:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def written(home):
    return [json.loads(line) for line in logs.log_file(home).read_text().splitlines()]


def logger(name="reconciler.test"):
    return structlog.stdlib.get_logger(name)


def test_events_are_json_lines_with_their_context(home):
    """One event, one line of JSON: time, level, name, what is bound around it; the file is its owner's alone."""
    logs.setup(home, stream=io.StringIO())
    with logs.context(plural="machines", namespace="default", name="a", uid="u1"):
        logger().info("server.created", server_id="s-1")
    logger().info("outside")
    first, second = written(home)
    assert first["event"] == "server.created"
    assert (first["plural"], first["name"], first["uid"], first["server_id"]) == ("machines", "a", "u1", "s-1")
    assert first["level"] == "info"
    assert first["timestamp"].endswith("Z")
    assert "name" not in second
    assert stat.S_IMODE(logs.log_file(home).stat().st_mode) == 0o600


def test_other_libraries_speak_from_warning_on(home):
    """kopf's and aiohttp's warnings are in the log, their chatter is not."""
    logs.setup(home, stream=io.StringIO())
    logging.getLogger("kopf.activities").info("chatter")
    logging.getLogger("aiohttp.access").warning("slow %s", "client")
    assert [event["event"] for event in written(home)] == ["slow client"]


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_readable_lines(home):
    """What a person sees is no JSON."""
    terminal = Tty()
    logs.setup(home, stream=terminal)
    logger().warning("server.failed", why="no quota")
    assert "server.failed" in terminal.getvalue()
    assert "{" not in terminal.getvalue()


def test_nothing_is_written_twice_into_a_redirected_log(home):
    """A daemon whose stderr is its log file writes each event once."""
    home.prepare()
    with logs.log_file(home).open("a") as stream:
        logs.setup(home, stream=stream)
        logger().info("once")
    assert len(written(home)) == 1


def secrets_in_every_place():
    log = logger()
    log.info("connecting with hunter2-hunter2", url="https://me:pw-of-mine@cloud/v3")
    log.info("headers", headers={"Authorization": "Bearer abcdefghijkl", "x": ["hunter2-hunter2"]})
    log.info("fields", password="short", client_secret="x", apiToken="y")
    logging.getLogger("aiohttp").warning("sent %s", "hunter2-hunter2")
    try:
        private = "hunter2-hunter2"
        raise RuntimeError(f"refused: {private}")
    except RuntimeError:
        log.exception("failed")


@pytest.mark.parametrize("stream", [io.StringIO, Tty], ids=["json", "terminal"])
def test_no_secret_in_any_log(home, stream):
    """Registered values, credentials in URLs and headers, and fields with telling names are hidden, in exceptions too."""
    logs.register_secret("hunter2-hunter2")
    out = stream()
    logs.setup(home, stream=out)
    secrets_in_every_place()
    text = out.getvalue() + logs.log_file(home).read_text()
    for secret in ("hunter2-hunter2", "pw-of-mine", "abcdefghijkl", '"short"'):
        assert secret not in text
    assert HIDDEN in text
    assert "Traceback" in text


def test_secrets_are_found_in_their_usual_disguises():
    """base64, as in a Secret, and percent-encoding, as in a URL."""
    redactor = Redactor()
    redactor.register("p@ss/word+1")
    assert redactor.text("cEBzcy93b3JkKzE= p%40ss%2Fword%2B1 p@ss/word+1") == f"{HIDDEN}= {HIDDEN} {HIDDEN}"


def test_innocent_values_stay():
    """Numbers, names and nested values come through as they are."""
    value = {"count": 3, "why": "no server carries our tag", "rows": [{"ok": True, "none": None}], "token": None}
    assert Redactor().value(value) == value


async def collect(lines, count):
    return [json.loads(await anext(lines))["i"] for _ in range(count)]


@pytest.mark.parametrize("max_bytes", [10**7, 2000], ids=["one file", "rotated"])
async def test_tail_gives_the_last_matching_lines_then_what_comes(home, max_bytes):
    """The last n about one object, oldest first, then each new one, although the file is rotated between and meanwhile."""
    logs.setup(home, stream=io.StringIO(), max_bytes=max_bytes, backups=50)
    log = logger()
    for i in range(60):
        log.info("tick", i=i, plural="machines", namespace="default", name="even" if i % 2 == 0 else "odd")
    lines = logs.tail(logs.log_file(home), match=logs.about("machines", "default", "even"), n=5, follow=True)
    assert await collect(lines, 5) == [50, 52, 54, 56, 58]
    following = asyncio.create_task(collect(lines, 20))
    await asyncio.sleep(0)
    for i in range(60, 100):
        log.info("tick", i=i, plural="machines", namespace="default", name="even" if i % 2 == 0 else "odd")
    assert await asyncio.wait_for(following, 10) == list(range(60, 100, 2))
    await lines.aclose()


async def test_tail_of_nothing(tmp_path):
    """A log that is not there yet is an empty one; words that are no JSON are shown where everything is."""
    path = tmp_path / "daemon.log"
    assert [line async for line in logs.tail(path)] == []
    path.write_text('Fatal Python error\n{"event":"x","name":"a"}\nhalf a li')
    assert [line async for line in logs.tail(path)] == ["Fatal Python error", '{"event":"x","name":"a"}']
    assert [line async for line in logs.tail(path, match=logs.about(name="a"))] == ['{"event":"x","name":"a"}']

"""A worker: `python -m serving.worker --config FILE --revision N --digest D --index I`.

Two processes. This one holds nothing and looks after the other, serving.consuming, which holds the broker and the model: when
it dies, of the model or of anything else, its message comes back to the queue, and another one is made. So a worker heals without
the daemon. SIGTERM: what is in hand is finished, nothing more is taken.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from serving import consuming, metrics, models
from serving.config import Config
from serving.routes import FileTable, Routes
from serving.starting import as_child, start
from serving.state import BEAT_SECONDS, State

log = structlog.get_logger(__name__)

QUICK_SECONDS = 10.0
"""Who lived shorter than this died young: the next one is made after a pause, doubled each time."""
GIVES_UP = (-signal.SIGABRT, -signal.SIGSEGV)
"""How a library ends the process where it cannot go on: if that is while it loads the model, the next try ends so, too."""
PAUSES = (0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM. 2: the configuration or the model cannot be used."""
    parser = argparse.ArgumentParser(prog="serving.worker")
    parser.add_argument("--revision", type=int, required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--index", type=int, default=0)
    args, config = start(parser, argv)
    metrics.use(config.metrics_folder)
    state = State(config.state_folder / f"worker-r{args.revision}-{args.index}.json", args.revision, args.digest)
    state.say(ready=False, message="loading the model")
    try:
        folder = models.awaited(config, args.digest, lambda why: state.say(ready=False, message=why))
    except models.ModelUnusable as error:
        state.say(ready=False, message=str(error))
        sys.stderr.write(f"{error}\n")
        return 2
    route = next(
        (r.queue for r in Routes(FileTable(config.routes_file)).now().revisions if r.revision == args.revision),
        f"r{args.revision}",
    )
    return Keeper(config, state, folder, route, args.index).run()


@dataclass(slots=True)
class Keeper:
    """Makes the consuming process, again and again."""

    config: Config
    state: State
    folder: Path
    queue: str
    index: int
    ending: bool = False
    died_young: int = 0
    loaded: bool = False
    """Whether the consuming process, the last one, has its model."""
    wake: tuple[int, int] = field(default_factory=lambda: os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))

    def run(self) -> int:
        """Until SIGTERM, or until the model cannot be loaded."""
        signal.set_wakeup_fd(self.wake[1])
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._end)
        code = 0
        while not self.ending:
            begun = time.monotonic()
            code = self._one()
            if self.ending or code == consuming.UNUSABLE:
                break
            if self.config.supervised:
                self.state.say(ready=False, message=f"the process ended ({code})")
                return code if 0 < code < 256 else 1
            self.died_young = self.died_young + 1 if time.monotonic() - begun < QUICK_SECONDS else 0
            log.error("worker.died", revision=self.state.revision, code=code, young=self.died_young)
            self.state.extra["restarts"] = self.state.extra.get("restarts", 0) + 1
            self.state.say(ready=False, message=f"the process ended ({code}); making another")
            self._wait(PAUSES[min(self.died_young, len(PAUSES) - 1)])
        if code != consuming.UNUSABLE:
            self.state.say(ready=False, message="stopped")
        return 2 if code == consuming.UNUSABLE else 0

    def _end(self, *_: object) -> None:
        self.ending = True

    def _wait(self, seconds: float) -> None:
        if seconds and not self.ending:
            select.select([self.wake[0]], [], [], seconds)

    def _one(self) -> int:
        """One life of the consuming process; how it ended."""
        news = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        consumer = f"{self.index}-{uuid.uuid4().hex[:12]}"
        self.loaded = False
        child = os.fork()
        if child == 0:
            code = 1
            try:
                as_child(parent)
                os.close(news[0])
                code = consuming.run(self.config, self.state, self.folder, self.queue, consumer, news[1])
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(news[1])
        try:
            self._look_after(child, news[0])
        finally:
            os.close(news[0])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if (lease := consuming.lease_of(self.config, consumer)) is not None:
            lease.end()
        if code in GIVES_UP and not self.loaded:
            self.state.say(ready=False, message=models.ended(self.config, self.folder, code))
            return consuming.UNUSABLE
        return code

    def _look_after(self, child: int, news: int) -> None:
        """Until its end of the pipe is closed, which is when it is gone."""
        told, text = False, b""
        while True:
            if self.ending and not told:
                told = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGTERM)
            found, _, _ = select.select([news, self.wake[0]], [], [], BEAT_SECONDS)
            if self.wake[0] in found:
                os.read(self.wake[0], 4096)
            if news in found:
                chunk = os.read(news, 65536)
                if not chunk:
                    return
                text += chunk
                *lines, text = text.split(b"\n")
                for line in lines:
                    self._hear(line.decode())
            with contextlib.suppress(OSError):
                os.utime(self.state.file)

    def _hear(self, line: str) -> None:
        verdict, _, rest = line.partition(" ")
        if verdict == "loaded":
            self.loaded = True
            return
        self.state.extra["engine"] = rest if verdict == "ready" else None
        self.state.say(ready=verdict == "ready", message="" if verdict == "ready" else rest)


if __name__ == "__main__":
    sys.exit(main())

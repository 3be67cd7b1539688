"""What keeps the routing table in Redis: `python -m serving.keeper --config FILE --table JSON`.

It writes the table and the cards of its models, says that it is ready, and looks again every second: a Redis that lost its data
has them again without anybody's help. Each table has a serial, and an older one never replaces a newer one: a keeper that was cut
off and comes back ends itself.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

import orjson
import structlog

from serving import cards, models
from serving.broker.replies import client
from serving.config import Config
from serving.routes import Table, key_of
from serving.starting import start
from serving.state import State

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
OUTDATED = 3
"""The exit code of a keeper whose table is an old one."""

WRITE = """
local there = redis.call('GET', KEYS[1])
if there then
  local serial = cjson.decode(there).serial or 0
  if serial > tonumber(ARGV[2]) then return -1 end
  if there == ARGV[1] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""


class Keeper:
    """Writes one table, again and again."""

    def __init__(self, config: Config, text: bytes, state: State) -> None:
        self._config, self._text, self._state = config, text, state
        self._serial = int(orjson.loads(text).get("serial", 0))
        self._digests = sorted({route.digest for route in Table.model_validate_json(text).revisions})
        self._redis = client(config.results)
        self._write = self._redis.register_script(WRITE)
        self.over = threading.Event()

    def run(self) -> int:
        """Until SIGTERM, or until there is a newer table. 2: a model cannot be read."""
        import redis

        try:
            folders = {digest: models.awaited(self._config, digest, self._wait) for digest in self._digests}
        except models.ModelUnusable as error:
            sys.stderr.write(f"{error}\n")
            return 2
        while not self.over.is_set():
            try:
                if (code := self._look(folders)) is not None:
                    return code
            except redis.RedisError as error:
                self._state.say(ready=False, message=f"the result store does not answer: {type(error).__name__}")
            self.over.wait(LOOK_SECONDS)
        return 0

    def _wait(self, why: str) -> None:
        self._state.say(ready=False, message=why)

    def _look(self, folders: dict[str, Path]) -> int | None:
        missing = [digest for digest in folders if not self._redis.exists(cards.key_of(self._config, digest))]
        for digest in missing:  # before the table: who reads of a model finds its card
            cards.put(self._config, self._redis, digest, folders[digest])
        wrote = int(self._write(keys=[key_of(self._config)], args=[self._text, self._serial]))
        if wrote < 0:
            log.warning("table.outdated", serial=self._serial)
            return OUTDATED
        if wrote or missing:
            log.info("table.written", serial=self._serial)
        self._state.say(ready=True)
        return None


def main(argv: list[str] | None = None) -> int:
    """Keep the table."""
    parser = argparse.ArgumentParser(prog="serving.keeper")
    parser.add_argument("--table", required=True)
    args, config = start(parser, argv)
    state = State(config.state_folder / "routes.json")
    state.say(ready=False, message="starting")
    keeper = Keeper(config, args.table.encode(), state)
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: keeper.over.set())
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main())

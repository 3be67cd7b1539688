"""The dead letters of a deployment: `python -m serving.dlq --config FILE list|replay [--id ID]… [--request NAME]`.

It prints one line.

What was given up stays in the record, with its content, until somebody has it answered after all, by the revision that serves.
To replay twice is to replay once: a request has one id for life, and its first answer stays. Done again under the same NAME,
since who did it died before it was heard, a replay says what all of them did.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from serving import routes
from serving.broker import deadqueues
from serving.broker.celery import BrokerDown, Publisher, make
from serving.config import Config
from serving.message import Ask
from serving.models import Library, ModelUnusable
from serving.preflight import MARK
from serving.records import DeadLetter, Job, RecordDown, Records, connect
from serving.routes import Route
from serving.starting import start

AT_ONCE = 200
"""Requests of one message."""


def listed(letters: Sequence[DeadLetter]) -> list[dict[str, Any]]:
    """Letters without their content: that is their sender's affair."""
    rows = [asdict(letter) | {"rows": len(next(iter(letter.columns.values()), []))} for letter in letters]
    return [{name: value for name, value in row.items() if name != "columns"} for row in rows]


def replay(config: Config, records: Records, ids: Sequence[str], name: str) -> dict[str, Any]:
    """Put letters, all if no id is given, onto the queue of the revision that serves. Raises RecordDown, BrokerDown, Refused."""
    before = records.unburied(name)
    letters = {letter.id: letter for letter in records.dead()}
    missing = [ident for ident in ids if ident not in letters and ident not in before]
    chosen = [letters[ident] for ident in ids if ident in letters] if ids else list(letters.values())
    route, names = _serving(config) if chosen or before else (None, set[str]())
    fitting = [letter for letter in chosen if set(letter.columns) == names]
    publisher, now = Publisher(config, make(config)), time.time()
    for first in range(0, len(fitting), AT_ONCE):
        assert route is not None
        part = fitting[first : first + AT_ONCE]
        again = [letter.id for letter in part if records.revive(_job(records, letter, route, now))]
        if again:
            publisher.publish(route.queue, Ask(uuid.uuid4().hex, jobs=again))
        records.unbury([letter.id for letter in part], name)  # last: whoever is interrupted before finds them again
    publisher.close()
    return {
        "replayed": list(dict.fromkeys([*before, *(letter.id for letter in fitting)])),
        "unfit": [letter.id for letter in chosen if letter not in fitting],
        "missing": missing,
        "revision": route.revision if route else None,
    }


class Refused(Exception):
    """Nobody could answer what is replayed."""


def _serving(config: Config) -> tuple[Route, set[str]]:
    """The revision that serves, and the columns that it takes."""
    route = routes.connect(config).now().main()
    if route is None:
        raise Refused("cannot replay: no revision serves; try again once one does")
    try:
        return route, set(Library(config).get(route.digest).signature.names())
    except ModelUnusable as error:
        raise Refused(f"cannot replay: {error}") from error


def _job(records: Records, letter: DeadLetter, route: Route, now: float) -> Job:
    """The request of a letter, as the one that it was if that is still known."""
    known = records.get(letter.id)
    rows = len(next(iter(letter.columns.values()), []))
    form, visitor = (known.form or "rows", known.visitor) if known else ("rows", "")
    return Job(
        letter.id, form, route.revision, route.digest, route.queue, rows, visitor, columns=letter.columns, accepted=now,
    )  # fmt: skip


def answer(config: Config, verb: str, ids: Sequence[str], name: str) -> dict[str, Any]:
    """What is printed. Never raises: what is wrong stands in "error"."""
    found: dict[str, Any] = {"error": None}
    try:
        records = connect(config)
        deadqueues.drain(config, records)
        if verb == "replay":
            found |= replay(config, records, ids, name)
        found["letters"] = listed(records.dead())
    except (RecordDown, BrokerDown, Refused) as error:
        found["error"] = str(error)
    return found


def main(argv: list[str] | None = None) -> int:
    """Do it once."""
    parser = argparse.ArgumentParser(prog="serving.dlq")
    parser.add_argument("verb", choices=["list", "replay"])
    parser.add_argument("--id", action="append", default=[])
    parser.add_argument("--request", default="", metavar="NAME")
    args, config = start(parser, argv)
    result = answer(config, args.verb, args.id, args.request or uuid.uuid4().hex)
    sys.stdout.write(f"{MARK}{orjson.dumps(result).decode()}\n")
    return 1 if result["error"] else 0


if __name__ == "__main__":
    sys.exit(main())

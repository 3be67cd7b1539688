"""The simulated cloud for tests: start it, kill it, start it again, and see and do what only its owner can.

with running_cloud(tmp_path) as cloud:             # a process; `async with` works too
    cloud.admin.faults(fault("ack_then_500", count=1))
    ...
    assert len(cloud.admin.creates("servers")) == 1
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

ROOT = Path(__file__).parents[2]
Table = Literal["servers", "ports", "addresses"]
Json = dict[str, Any]


def fault(name: str, **more: Any) -> Json:
    """A rule for `CloudAdmin.faults`: method, path (regular expressions), count, skip, seconds; delay, message, retry_after…

    The names are in drivers/simulated/cloud/faults.py.
    """
    return {"fault": name, **more}


@dataclass(frozen=True, slots=True)
class CloudAdmin:
    """The back door of a running cloud. Calls block, for a millisecond or so."""

    url: str

    def inventory(self) -> dict[str, list[Json]]:
        """Everything there is, by table, also what faults hide."""
        return dict(self._call("GET", "inventory"))

    def servers(self) -> list[Json]:
        """All servers."""
        return self.inventory()["servers"]

    def of_owner(self, uid: str) -> dict[str, list[Json]]:
        """What carries an owner's tag, by table."""
        return {
            table: [thing for thing in things if thing["tags"].get("anneal-owner") == uid]
            for table, things in self.inventory().items()
        }

    def log(self) -> list[Json]:
        """Every mutating request: n, time, method, path, table, id, owner, part, done, status (None: no answer), faults."""
        return list(self._call("GET", "log")["requests"])

    def creates(self, table: Table | None = None, *, owner: str | None = None) -> list[Json]:
        """The creates that took place."""
        return self._done("POST", table, owner)

    def deletes(self, table: Table | None = None, *, owner: str | None = None) -> list[Json]:
        """The deletes that took place: the first of each thing, not the repetitions that found nothing."""
        return self._done("DELETE", table, owner)

    def updates(self, table: Table | None = None, *, owner: str | None = None) -> list[Json]:
        """The changes that took place."""
        return self._done("PATCH", table, owner)

    def reads(self) -> dict[str, int]:
        """How often things were read since it started: "list servers", "ask servers" (by tag), "get servers", "identity"."""
        return dict(self._call("GET", "log")["reads"])

    def faults(self, *rules: Json) -> None:
        """Put these rules in place of all others; without any the cloud is honest again."""
        self._call("PUT", "faults", list(rules))

    def hits(self) -> list[int]:
        """How many requests each rule has struck."""
        return [rule["hits"] for rule in self._call("GET", "faults")]

    def settings(self, **values: Any) -> None:
        """Change build_seconds, delete_seconds, quotas={…} (merged), token, project."""
        self._call("PUT", "settings", values)

    def advance(self, seconds: float) -> None:
        """Move the cloud's clock on: what builds is built, what hides shows."""
        self._call("PUT", "settings", {"advance": seconds})

    def create(self, table: Table = "servers", **fields: Any) -> str:
        """Make something as somebody else would: name, tags, state…; returns its id."""
        return str(self._call("POST", table, fields)["id"])

    def change(self, table: Table, ref: str, **fields: Any) -> None:
        """Set fields behind everybody's back: state, fault, tags, ports, metadata…"""
        self._call("PATCH", f"{table}/{ref}", fields)

    def delete(self, table: Table, ref: str) -> None:
        """It is gone at once."""
        self._call("DELETE", f"{table}/{ref}")

    def reset(self) -> None:
        """Back to the first day: nothing there, nothing logged, honest, settings as on the command line."""
        self._call("POST", "reset")

    def _done(self, method: str, table: str | None, owner: str | None) -> list[Json]:
        return [
            entry
            for entry in self.log()
            if entry["method"] == method and entry["done"] and table in (None, entry["table"]) and owner in (None, entry["owner"])
        ]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/admin/{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


class CloudProcess:
    """A cloud in a process of its own. `start` after `kill` goes on from the same state on the same port."""

    def __init__(self, state: Path, *, token: str | None = None, build_seconds: float = 0.0, delete_seconds: float = 0.0) -> None:
        self.state = state
        self._options = ["--build-seconds", str(build_seconds), "--delete-seconds", str(delete_seconds)]
        if token is not None:
            state.mkdir(parents=True, exist_ok=True)
            (state / "token").write_text(token)
            self._options += ["--token-file", str(state / "token")]
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self.url = ""

    @property
    def admin(self) -> CloudAdmin:
        """Its back door."""
        return CloudAdmin(self.url)

    def start(self) -> Self:
        """Start it and return once it listens."""
        command = [sys.executable, "-m", "drivers.simulated.cloud", "--state", str(self.state), "--port", str(self._port)]
        env: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"cannot start the simulated cloud: it exited with {self._process.wait()}; see its stderr above")
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])
        return self

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in good order. Fine if it does not run."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.stop)


def running_cloud(state: Path, **options: Any) -> CloudProcess:
    """A cloud for `with` or `async with`: token (without one, everybody may use it), build_seconds, delete_seconds."""
    return CloudProcess(state / "cloud", **options)

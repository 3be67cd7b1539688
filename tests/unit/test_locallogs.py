"""Following the logs of local processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reconciler import locallogs


async def test_following_ends_with_the_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over adds nothing more: everything it wrote is shown, then the follower is let go."""
    monkeypatch.setattr(locallogs, "OVER_SECONDS", 0.01)
    log, asked = tmp_path / "log", []
    log.write_text("one\n")

    async def over() -> bool:
        asked.append(len(asked))
        with log.open("a") as file:
            file.write(f"asked {len(asked)}\n")
        return len(asked) == 3

    async with asyncio.timeout(10):
        found = [line async for line in locallogs.lines({"job": [log]}, n=10, follow=True, over=over)]
    assert found == ["one", "asked 1", "asked 2", "asked 3"]


async def test_each_line_names_its_part(tmp_path: Path) -> None:
    """Where there are several logs, one must know whose line it is."""
    for name in ("web", "worker"):
        (tmp_path / name).write_text(f"I am the {name}\n")
    logs = {name: [tmp_path / name] for name in ("worker", "web")}
    assert [line async for line in locallogs.lines(logs, n=10, follow=False)] == [
        "[web] I am the web",
        "[worker] I am the worker",
    ]

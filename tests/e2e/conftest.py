"""A newcomer: an empty folder, the examples, the command line, a browser."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from tests.support.cli import Cli, Ran

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300.0
"""Seconds that a whole search may take on a busy machine."""


@dataclass
class Newcomer:
    """One home, one folder with copies of the examples."""

    cli: Cli
    folder: Path

    def example(self, name: str) -> Path:
        """A copy of an example, to follow and to edit."""
        return shutil.copytree(ROOT / "examples" / name, self.folder / "examples" / name)

    def up(self, folder: Path) -> None:
        """Follow a folder in the background, and wait until everything in it is ready."""
        done = self.cli("up", "-d", str(folder))
        assert done.code == 0, done.err + done.out
        self.ready()

    def ready(self) -> Ran:
        """Wait for all."""
        done = self.cli("wait", "--all", "--for=condition=Ready", f"--timeout={PATIENCE:.0f}s", seconds=PATIENCE + 30)
        assert done.code == 0, f"{done.out}\n{done.err}\n{self.cli('get', 'anneal').out}"
        return done

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object as it is now."""
        found: dict[str, Any] = self.cli("get", kind, name, "-o", "json").json
        return found

    def until(self, kind: str, name: str, true: Callable[[dict[str, Any]], Any], seconds: float = PATIENCE) -> dict[str, Any]:
        """Look at an object until something holds of it."""
        end = time.monotonic() + seconds
        while not true(found := self.get(kind, name)):
            assert time.monotonic() < end, f"{json.dumps(found.get('status'), indent=1)}\n{self.cli('get', 'anneal').out}"
            time.sleep(0.2)
        return found


@contextmanager
def newcomer(folder: Path) -> Iterator[Newcomer]:
    """Everything that was started is stopped in the end."""
    there = Newcomer(Cli(folder / "home"), folder)
    try:
        yield there
    finally:
        there.cli("down", seconds=120)


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium, as it is installed on the machine."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.implicitly_wait(20)
    yield driver
    driver.quit()

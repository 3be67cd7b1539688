"""Start what is measured as processes of their own, and end them whatever happens."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

from bench.api import Api
from reconciler.settings import Settings
from tests.support.daemon import DaemonProcess

ROOT = Path(__file__).resolve().parents[1]
PRODUCTION = {f"ANNEAL_{setting.name.upper()}": str(setting.default) for setting in fields(Settings)}
"""The defaults, said aloud: the daemon of the tests is quicker in some things."""


@asynccontextmanager
async def daemon(home: Path, **settings: float) -> AsyncIterator[DaemonProcess]:
    """The real daemon with production settings, but for those given in lower case."""
    changed = {f"ANNEAL_{name.upper()}": str(value) for name, value in settings.items()}
    process = DaemonProcess(home, PRODUCTION | changed)
    await process.start()
    try:
        yield process
    except Exception as error:
        error.add_note(f"the daemon {'ran' if process.alive else 'had ended'}; the end of its log:\n{process.output()[-3000:]}")
        raise
    finally:
        process.stop()


@asynccontextmanager
async def program(*args: str, **env: str) -> AsyncIterator[subprocess.Popen[str]]:
    """`python -m ARGS`; it is ready once it prints a line."""
    process = subprocess.Popen(  # noqa: ASYNC220 - a moment, and nothing else runs meanwhile
        [sys.executable, "-m", *args], cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
        if not line:
            raise RuntimeError(f"cannot start {' '.join(args)}: it ended with {process.wait()}; see its stderr above")
        yield process
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@asynccontextmanager
async def bare_server(home: Path) -> AsyncIterator[tuple[subprocess.Popen[str], Api]]:
    """The embedded API server alone, without engine, informer or sources: what the kopf baselines run against."""
    async with program("reconciler.api", "--home", str(home)) as process, Api.of(home) as api:
        yield process, api


@asynccontextmanager
async def operator(home: Path, mode: str, **env: str) -> AsyncIterator[subprocess.Popen[str]]:
    """A plain kopf operator (bench/baselines/operator.py) against the server of that home."""
    async with program("bench.baselines.operator", mode, KUBECONFIG=str(home / "kubeconfig"), **env) as process:
        yield process

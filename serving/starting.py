"""How every process of a deployment starts: its arguments, its log, its configuration."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
from pathlib import Path

from serving import logs
from serving.config import Config, ConfigError, load

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def start(parser: argparse.ArgumentParser, argv: list[str] | None) -> tuple[argparse.Namespace, Config]:
    """Arguments and configuration (`--config` is added). Exits with 2 and says why if the configuration cannot be used."""
    parser.add_argument("--config", type=Path, required=True)
    args = parser.parse_args(argv)
    logs.setup()
    try:
        return args, load(args.config)
    except ConfigError as error:
        parser.exit(2, f"{error}\n")


def as_child(parent: int) -> None:
    """For a process just forked: signals of its own, and it is asked to end when its parent is killed."""
    signal.set_wakeup_fd(-1)
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() != parent:  # it was killed in between
        os._exit(1)

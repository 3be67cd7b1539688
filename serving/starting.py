"""How every process of a deployment starts: its arguments, its log, its configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from serving import logs
from serving.config import Config, ConfigError, load


def start(parser: argparse.ArgumentParser, argv: list[str] | None) -> tuple[argparse.Namespace, Config]:
    """Arguments and configuration (`--config` is added). Exits with 2 and says why if the configuration cannot be used."""
    parser.add_argument("--config", type=Path, required=True)
    args = parser.parse_args(argv)
    logs.setup()
    try:
        return args, load(args.config)
    except ConfigError as error:
        parser.exit(2, f"{error}\n")

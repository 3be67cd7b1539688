"""Structured logs: JSON lines into home.logs/daemon.log, readable lines on a terminal, secrets in neither.

Everything goes through structlog: our own events, and the warnings of kopf, aiohttp and whatever else uses `logging`.
What is bound with `context(...)` stands in every line that is logged inside it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from reconciler.home import Home
from reconciler.logtail import about, tail
from reconciler.redaction import REDACTOR, register_secret

__all__ = ["FILE", "about", "context", "log_file", "register_secret", "setup", "tail"]

FILE = "daemon.log"
MAX_BYTES = 16 * 1024 * 1024
BACKUPS = 4
"""Rotated files kept: daemon.log.1 is the youngest."""


def log_file(home: Home) -> Path:
    """Where the daemon of this home logs."""
    return home.logs / FILE


def level_from_env() -> int:
    """`ANNEAL_LOG_LEVEL`: debug, info (the default), warning, error. ValueError if it is something else."""
    name = os.environ.get("ANNEAL_LOG_LEVEL", "info").upper()
    if name not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"ANNEAL_LOG_LEVEL: expected debug, info, warning or error, not {name.lower()!r}")
    return int(getattr(logging, name))


def setup(
    home: Home,
    *,
    level: int = logging.INFO,
    stream: TextIO | None = None,
    max_bytes: int = MAX_BYTES,
    backups: int = BACKUPS,
) -> None:
    """Send all logs of this process to the home's log file, and to `stream` (stderr by default).

    A terminal gets readable lines, a pipe gets JSON, and a stream that already is the log file gets nothing.
    May be called again: the last call holds. At level DEBUG the libraries speak too.
    """
    stream = sys.stderr if stream is None else stream
    file = log_file(home)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [_PrivateFile(file, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")]
    handlers[0].setFormatter(_formatter(terminal=False))
    if not _same(stream, file):
        handlers.append(logging.StreamHandler(stream))
        handlers[1].setFormatter(_formatter(terminal=stream.isatty()))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if level <= logging.DEBUG else logging.WARNING)
    for ours in ("reconciler", "drivers", "specs", "__main__"):
        logging.getLogger(ours).setLevel(level)
    logging.captureWarnings(True)


@contextlib.contextmanager
def context(**values: str) -> Iterator[None]:
    """Bind what this task is about (plural, namespace, name, uid) to every line logged inside."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner can read."""

    def _open(self) -> Any:
        return open(self.baseFilename, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600))


def _same(stream: TextIO, file: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samestat(os.fstat(stream.fileno()), file.stat())
    return False


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: REDACTOR.value(value, key) for key, value in event.items()}


def _json(_: WrappedLogger, __: str, event: EventDict) -> str:
    ordered = {key: event.pop(key, None) for key in ("timestamp", "level", "event")}
    return orjson.dumps({**ordered, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def _formatter(*, terminal: bool) -> logging.Formatter:
    """Tracebacks are rendered to text, without local variables, before anything is redacted: an exception may hold a secret."""
    last: Processor = _json
    if terminal:
        last = structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact,
            last,
        ],
    )

"""Our own record of accepted requests: what a 202 promised, whatever the broker forgets."""

from __future__ import annotations

from serving.config import Config
from serving.records.contract import DeadLetter, Job, RecordDown, Records

__all__ = ["DeadLetter", "Job", "RecordDown", "Records", "connect"]


def connect(config: Config) -> Records:
    """The record that the configuration names."""
    if config.results.startswith(("redis:", "rediss:")):
        from serving.records.redis import RedisRecords

        return RedisRecords(config)
    from serving.records.sqlite import SqliteRecords

    return SqliteRecords(config)

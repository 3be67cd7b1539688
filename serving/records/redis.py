"""The record in Redis, for deployments of several machines. As durable as that Redis is: give it `appendonly yes`.

<prefix>:job:<id>        a hash: about (JSON), input, output, state
<prefix>:gone:<id>       the state of an expired job
<prefix>:pending         ids by the time of their last sending
<prefix>:visitor:<name>  ids, newest first
<prefix>:dead            dead letters, newest first
<prefix>:unburied:<by>   ids of dead letters that were taken out at somebody's request
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import orjson
import redis

from serving.broker.replies import client, prefix
from serving.config import Config
from serving.message import Failure
from serving.records.contract import DEAD_LETTERS, REMEMBERED_SECONDS, TOMBSTONE_FACTOR, DeadLetter, Job, RecordDown

RECENT = 200
DAY = 24 * 3600
WRITE_SECONDS = 5.0
"""So long a write waits for a Redis that is busy with its disk. Who only reads is answered sooner, and can ask again."""

END = """
if redis.call('HGET', KEYS[1], 'state') ~= 'PENDING' then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'end', ARGV[2], 'output', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[5])
redis.call('ZREM', KEYS[3], ARGV[6])
return 1
"""

MOVE = """
if redis.call('HGET', KEYS[1], 'state') ~= 'PENDING' then return 0 end
redis.call('HSET', KEYS[1], 'about', ARGV[1])
return 1
"""

AGAIN = """
local state = redis.call('HGET', KEYS[1], 'state') or redis.call('GET', KEYS[2]) or 'FAILED'
if string.sub(state, 1, 6) ~= 'FAILED' then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
redis.call('HSET', KEYS[1], 'about', ARGV[1], 'input', ARGV[2], 'state', 'PENDING', 'sends', 1)
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[4])
return 1
"""


class RedisRecords:
    """See serving.records.contract.Records. Safe for threads, processes and machines."""

    def __init__(self, config: Config) -> None:
        self._reads, self._writes = client(config.results), client(config.results, WRITE_SECONDS)
        self._prefix = prefix(config)
        self._ttl = config.limits.result_ttl_seconds
        self._end = self._writes.register_script(END)
        self._move = self._writes.register_script(MOVE)
        self._again = self._writes.register_script(AGAIN)

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    def _asking(self) -> AbstractContextManager[Any]:
        return _answered(self._reads)

    def _writing(self) -> AbstractContextManager[Any]:
        return _answered(self._writes)

    def accept(self, jobs: Sequence[Job]) -> None:
        """Write them down in one transaction."""
        with self._writing() as store, store.pipeline(transaction=True) as line:
            for job in jobs:
                about = asdict(job) | {"columns": None}
                line.hset(self._key("job", job.id), mapping={
                    "about": orjson.dumps(about), "input": orjson.dumps(job.columns), "state": job.state, "sends": 1,
                })  # fmt: skip
                line.zadd(self._key("pending"), {job.id: job.accepted})
                if job.visitor:
                    key = self._key("visitor", job.visitor)
                    line.lpush(key, job.id)
                    line.ltrim(key, 0, RECENT - 1)
                    line.expire(key, self._ttl)
            line.execute()

    def withdraw(self, ids: Sequence[str]) -> None:
        """Forget them."""
        with self._writing() as store, store.pipeline(transaction=True) as line:
            for one in ids:
                line.delete(self._key("job", one))
                line.zrem(self._key("pending"), one)
            line.execute()

    def sent(self, ids: Sequence[str], at: float) -> None:
        """Note when they were queued."""
        with self._writing() as store, store.pipeline(transaction=True) as line:
            for one in ids:
                line.zadd(self._key("pending"), {one: at}, xx=True)
                line.hincrby(self._key("job", one), "sends", 1)
            line.execute()

    def pending(self, ids: Sequence[str]) -> list[Job]:
        """Those without an answer."""
        return [job for one in ids if (job := self._read(one)) is not None and job.state == "PENDING"]

    def finish(self, job: str, labels: list[Any], probabilities: list[list[float]] | None, at: float) -> bool:
        """Store a result, unless there is an answer."""
        return self._over(job, "SUCCEEDED", at, orjson.dumps([labels, probabilities], option=orjson.OPT_SERIALIZE_NUMPY))

    def fail(self, job: str, failure: Failure, at: float) -> bool:
        """Store a failure, then its dead letter."""
        if not self._over(job, "FAILED", at, orjson.dumps(failure)):
            return False
        if found := self._read(job):
            self.bury(DeadLetter(job, found.revision, found.digest, failure.reason, failure.message, found.columns or {}, at))
        return True

    def _over(self, job: str, state: str, at: float, output: bytes) -> bool:
        keys = [self._key("job", job), self._key("gone", job), self._key("pending")]
        with self._writing():
            return bool(self._end(keys=keys, args=[state, at, output, self._ttl, self._ttl * TOMBSTONE_FACTOR, job]))

    def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter."""
        with self._writing() as store, store.pipeline(transaction=True) as line:
            line.lpush(self._key("dead"), orjson.dumps(letter))
            line.ltrim(self._key("dead"), 0, DEAD_LETTERS - 1)
            line.execute()

    def dead(self) -> list[DeadLetter]:
        """Newest first."""
        with self._asking() as store:
            return [DeadLetter(**orjson.loads(one)) for one in store.lrange(self._key("dead"), 0, -1)]

    def unbury(self, ids: Sequence[str], by: str) -> None:
        """Forget them, and remember by whom, in one transaction."""
        key, gone = self._key("dead"), set(ids)
        with self._writing() as store, store.pipeline(transaction=True) as line:
            for one in store.lrange(key, 0, -1):
                if orjson.loads(one)["id"] in gone:
                    line.lrem(key, 0, one)
            if ids:
                line.rpush(self._key("unburied", by), *ids)
                line.expire(self._key("unburied", by), REMEMBERED_SECONDS)
            line.execute()

    def unburied(self, by: str) -> list[str]:
        """As they were forgotten."""
        with self._asking() as store:
            return [one.decode() for one in store.lrange(self._key("unburied", by), 0, -1)]

    def revive(self, job: Job) -> bool:
        """Pending again, unless it is so or was answered."""
        keys = [self._key("job", job.id), self._key("gone", job.id), self._key("pending"), self._key("deliveries", job.id)]
        about = orjson.dumps(asdict(job) | {"columns": None})
        with self._writing():
            return bool(self._again(keys=keys, args=[about, orjson.dumps(job.columns), job.accepted, job.id]))

    def redelivered(self, message: str) -> int:
        """Count."""
        key = self._key("deliveries", message)
        with self._writing() as store, store.pipeline(transaction=True) as line:
            line.incr(key)
            line.expire(key, DAY)
            return int(line.execute()[0])

    def get(self, job: str) -> Job | None:
        """One job, or what is remembered of it."""
        if (found := self._read(job)) is not None:
            return found
        with self._asking() as store:
            gone = store.get(self._key("gone", job))
        if gone is None:
            return None
        state, _, at = gone.decode().partition(" ")
        return Job(job, "", 0, "", "", 0, state=state, finished=float(at), expired=True)

    def _read(self, job: str) -> Job | None:
        with self._asking() as store:
            found = store.hgetall(self._key("job", job))
        if not found or b"about" not in found:
            return None
        made = Job(**orjson.loads(found[b"about"]))
        made.columns, made.state, made.sends = orjson.loads(found[b"input"]), found[b"state"].decode(), int(found[b"sends"])
        if b"end" in found:
            made.finished = float(found[b"end"])
            output = orjson.loads(found[b"output"])
            if made.state == "FAILED":
                made.failure = Failure(**output)
            else:
                made.labels, made.probabilities = output
        return made

    def recent(self, visitor: str, limit: int) -> list[Job]:
        """Newest first."""
        with self._asking() as store:
            ids = store.lrange(self._key("visitor", visitor), 0, limit - 1)
        return [job for one in ids if (job := self._read(one.decode())) is not None]

    def unfinished(self) -> int:
        """How many wait."""
        with self._asking() as store:
            return int(store.zcard(self._key("pending")))

    def overdue(self, now: float, after: float) -> list[Job]:
        """Due again after 1, 2, 4, … times `after`."""
        with self._asking() as store:
            ids = store.zrangebyscore(self._key("pending"), "-inf", now - after, start=0, num=1000, withscores=True)
        found = []
        for one, sent in ids:
            job = self._read(one.decode())
            if job is not None and sent + after * 2 ** min(max(job.sends, 1) - 1, 12) < now:
                found.append(job)
        return found

    def stranded(self, queues: Sequence[str]) -> list[Job]:
        """Pending jobs of other queues."""
        with self._asking() as store:
            ids = store.zrange(self._key("pending"), 0, 99)
        jobs = (self._read(one.decode()) for one in ids)
        return [job for job in jobs if job is not None and job.queue not in queues]

    def move(self, job: str, revision: int, digest: str, queue: str) -> None:
        """To another revision, unless it was answered meanwhile."""
        found = self._read(job)
        if found is None:
            return
        about = asdict(found) | {"columns": None, "revision": revision, "digest": digest, "queue": queue}
        with self._writing():
            self._move(keys=[self._key("job", job)], args=[orjson.dumps(about)])

    def expire(self, now: float, ttl: float) -> None:
        """Redis does that by itself; what lost its hash is not pending."""
        with self._asking() as store:
            for one in store.zrangebyscore(self._key("pending"), "-inf", now - ttl, start=0, num=1000):
                if not store.exists(self._key("job", one.decode())):
                    store.zrem(self._key("pending"), one)


@contextlib.contextmanager
def _answered(client: Any) -> Iterator[Any]:
    try:
        yield client
    except redis.RedisError as error:
        raise RecordDown(f"the record of requests does not answer: {type(error).__name__}") from error

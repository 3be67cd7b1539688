"""How the cloud misbehaves: a table of faults, and the rules that say which requests they strike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MUTATING = r"^(POST|PATCH|DELETE) "
FAULTS: dict[str, str] = {
    # it happens, but nobody hears of it
    "ack_then_500": MUTATING,
    "drop_after": MUTATING,
    "hang_after": MUTATING,
    # it does not happen, and nobody hears of it
    "drop_before": "",
    "hang": "",
    "slow": "",
    # what is shown is not what there is
    "late_visibility": r"^POST ",
    "empty_lists": r"^GET /\w+$",
    "garbage": r"^GET ",
    "other_project": r"^GET ",
    "error_servers": r"^POST /servers$",
    # it is refused
    "unauthorized": "",
    "forbidden": "",
    "quota": r"^POST ",
    "over_quota": r"^POST ",
    "too_large": r"^POST ",
    "rate_limited": "",
    "unavailable": "",
    "fail_create": r"^POST ",
    "delete_forbidden": r"^DELETE ",
    "delete_in_use": r"^DELETE ",
}
"""Name → which "METHOD /path" it can strike at all."""

REFUSALS: dict[str, tuple[int, str]] = {
    "unauthorized": (401, "The request you have made requires authentication."),
    "forbidden": (403, "Policy doesn't allow os_compute_api:servers to be performed."),
    "quota": (403, "Quota exceeded for cores: Requested 8, but already used 56 of 60 cores"),
    "over_quota": (409, "Quota exceeded for resources: ['port']: 50 of 50 in use. (OverQuota)"),
    "too_large": (413, "VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'."),
    "rate_limited": (429, "Too many requests"),
    "unavailable": (503, "No server is available to handle this request."),
    "fail_create": (400, "Invalid key_name provided."),
    "delete_forbidden": (403, "Policy doesn't allow this deletion to be performed."),
    "delete_in_use": (409, "It is currently in use."),
}


@dataclass(slots=True)
class Rule:
    """One fault and what it strikes. Without `count` and `seconds` it strikes until it is taken away."""

    fault: str
    method: str = ""
    """A regular expression that the whole method matches; empty: any."""
    path: str = ""
    """A regular expression found in the path; empty: any."""
    count: int | None = None
    """How many requests it strikes."""
    seconds: float | None = None
    """For how long it strikes."""
    skip: int = 0
    """How many requests it lets pass first."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """What the fault needs: `delay` (slow, late_visibility), `retry_after`, `message`, `status`."""
    hits: int = 0
    """How many requests it has struck."""
    since: float = 0.0

    @classmethod
    def parse(cls, data: Mapping[str, Any], now: float) -> Rule:
        """Read a rule; ValueError says what is wrong with it."""
        known = {"fault", "method", "path", "count", "seconds", "skip"}
        fault = str(data.get("fault", ""))
        if fault not in FAULTS:
            raise ValueError(f"no fault {fault!r}; there are {', '.join(FAULTS)}")
        args = {key: value for key, value in data.items() if key not in known}
        return cls(**{key: data[key] for key in known & set(data)}, args=args, since=now)

    def strikes(self, method: str, path: str, now: float) -> bool:
        """Whether it strikes this request; counts it if so."""
        if self.seconds is not None and now >= self.since + self.seconds:
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if not re.search(FAULTS[self.fault], f"{method} {path}"):
            return False
        if (self.method and not re.fullmatch(self.method, method)) or (self.path and not re.search(self.path, path)):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class Faults:
    """The rules in force. They live in memory: a cloud that was killed comes back honest."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def set(self, rules: Sequence[Mapping[str, Any]], now: float) -> None:
        """Put these rules in place of all others."""
        self.rules = [Rule.parse(rule, now) for rule in rules]

    def strike(self, method: str, path: str, now: float) -> dict[str, Rule]:
        """The faults that strike this request, by name."""
        return {rule.fault: rule for rule in self.rules if rule.strikes(method, path, now)}

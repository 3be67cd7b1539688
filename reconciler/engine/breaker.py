"""The breaker: what looks like the loss of everything is first taken for an error of ours, or of the cloud.

A broken answer, a wrong project or a wrong region makes every server look deleted at once. Re-creating them all would cost
money; deleting them all would cost more. So mass remediation waits until the picture changes, or a person says yes.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When it opens: more than `count` parts of one account, or (from `least` parts up) more than `share` of them."""

    count: int = 10
    share: float = 0.4
    least: int = 3


def verdict(recorded: Set[str], lost: Set[str], limits: Limits) -> str | None:
    """Say why remediation must wait, or None if it may go on.

    `recorded` are the external ids on record for one account, `lost` those of them that are missing or failed.
    """
    gone = len(lost & recorded)
    total = len(recorded)
    if gone > limits.count:
        return f"{gone} of {total} parts are missing or failed, more than {limits.count}"
    if gone >= limits.least and gone > limits.share * total:
        return f"{gone} of {total} parts are missing or failed, more than {limits.share:.0%}"
    return None

"""The breaker: what looks like the loss of everything is first taken for an error of ours, or of the cloud.

A broken answer, a wrong project or a wrong region makes every server look deleted at once. Re-creating them all would cost
money; deleting them all would cost more. So mass remediation waits until the picture changes, or a person says yes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When it opens: more than `count` objects of one account, or (from `least` up) more than `share` of them."""

    count: int = 10
    share: float = 0.4
    least: int = 3


def verdict(refs: Mapping[str, Hashable], lost: Set[str], limits: Limits) -> str | None:
    """Say why remediation must wait, or None if it may go on.

    `refs` are the external ids on record for one account with the object that each belongs to, `lost` the ids that are missing
    or failed. Objects are counted, not parts: a server with three ports is one loss.
    """
    gone = len({refs[ref] for ref in lost if ref in refs})
    total = len(set(refs.values()))
    if gone > limits.count:
        return f"{gone} of {total} objects lost parts, more than {limits.count}"
    if gone >= limits.least and gone > limits.share * total:
        return f"{gone} of {total} objects lost parts, more than {limits.share:.0%}"
    return None

"""What a process of training says when it cannot go on: a reason of one word, and a text that a person can act on."""

from __future__ import annotations

from typing import Any


class TrainingError(Exception):
    """The run, the fetch or the scoring ends here. `reason` is one CamelCase word, as in conditions."""

    reason = "InternalError"

    def record(self) -> dict[str, Any]:
        """What stands under "error" in result.json."""
        return {"reason": self.reason, "message": str(self)[:1000]}


class Forbidden(TrainingError):
    """The URI leads where we do not go: outside the roots, to a private address, by another scheme."""

    reason = "Forbidden"


class FetchFailed(TrainingError):
    """The table could not be fetched now. Another try may succeed."""

    reason = "FetchFailed"


class DigestMismatch(TrainingError):
    """The content is not the one that was pinned."""

    reason = "DigestMismatch"


class InvalidData(TrainingError):
    """The table cannot be read, or cannot be learned from. Only another table helps."""

    reason = "InvalidData"


class InvalidSpec(TrainingError):
    """The spec asks for what there is not. Only another spec helps."""

    reason = "InvalidSpec"


class NoCandidateSucceeded(TrainingError):
    """Every candidate failed in the screening, or every trial in the tuning."""

    reason = "NoCandidateSucceeded"


class MaxFailedTrialsReached(TrainingError):
    """More trials failed than maxFailedTrialCount permits."""

    reason = "MaxFailedTrialsReached"


class RestoreUnavailable(TrainingError):
    """What an earlier attempt wrote cannot be gone on from, and a fresh run would hide that."""

    reason = "RestoreUnavailable"


class RayUnreachable(TrainingError):
    """The Ray cluster does not answer. The job is worth starting again: finished trials are kept."""

    reason = "RayUnreachable"

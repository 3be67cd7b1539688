"""What the engine and the drivers say to each other: values only, no I/O.

A driver answers three questions about one kind of external thing: what is there, change it by one step, remove it.

The rule behind all of it: nothing is created outside until the finalizer, the resolved inputs and the intent to create are
durably stored. So an object without an intent has nothing outside, and an object with one may have it twice as long as the
driver's `settle_seconds` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from specs.meta import Reason

Live_co = TypeVar("Live_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an external thing is. Both ids go into its tag; a name alone is never trusted."""

    installation: str
    kind: str
    namespace: str
    name: str
    uid: str

    def external_name(self, part: str = "") -> str:
        """The name to give outside: readable, unique by the UID, at most 60 characters, safe as a host name."""
        suffix = f"-{part.replace('/', '-')}" if part else ""
        stem = f"anneal-{self.namespace}-{self.name}"[: 60 - 9 - len(suffix)].rstrip("-")
        return f"{stem}-{self.uid.replace('-', '')[:8]}{suffix}"


# --- what an observation can say -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Present(Generic[Live_co]):
    """It exists and carries our tag (or is the imported one that was asked for)."""

    ref: str
    live: Live_co


@dataclass(frozen=True, slots=True)
class Absent:
    """A healthy, correctly scoped answer did not hold it. Only this permits a create."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """We could not tell. Never a reason to create or to delete."""

    error: DriverError


@dataclass(frozen=True, slots=True)
class Foreign:
    """It exists under the id we asked for, and carries somebody else's tag or none. Looked at, never touched."""

    ref: str
    message: str
    live: Any = None


@dataclass(frozen=True, slots=True)
class Duplicate(Generic[Live_co]):
    """Several things carry our tag. `keep` is the recorded one, else the oldest healthy one; `extra` are the others, all ours."""

    keep: Present[Live_co]
    extra: tuple[str, ...]


Observation = Present[Live_co] | Absent | Unknown | Foreign | Duplicate[Live_co]
Seen = Mapping[str, Observation[Any]]
"""The observations of all parts of one object, by part name."""


# --- what a plan can say ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One mutating call, said before it is made: `anneal plan` prints it, the event repeats it, the log keeps it."""

    verb: Literal["create", "update", "delete"]
    part: str
    """Which part it changes: "server", "port/0"."""
    why: str
    """For people: "no server carries our tag"."""
    change: Mapping[str, Any] = field(default_factory=dict)
    """What to create it with, or the fields to update. JSON-like."""
    ref: str | None = None
    """The provider's id of what is updated or deleted; None for a create."""
    destroys: str | None = None
    """What a person would lose, in their words: "its local disk"."""
    interrupts: str | None = None
    """What stops working for a while: "the server reboots"."""
    remedies: bool = False
    """True if it re-creates or replaces what had existed: such steps are counted by the breaker."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something happens, or until `seconds` have passed."""

    reason: Reason
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """What is there is what was wanted."""

    message: str = ""
    seconds: float | None = None
    """Look again after so long, though nothing was heard: for what changes outside without a word."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more will happen until the spec or the world changes."""

    reason: Reason
    message: str


Plan = tuple[Step, ...] | Wait | Done | Stop
"""Steps in their order (never empty), or why there are none."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Everything a driver needs to make one call for one owner; stored before the call is sent."""

    owner: Owner
    part: str
    name: str
    """The external name to give."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step, for the log and the event."""

    step: Step
    ref: str | None
    error: DriverError | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """One list call: everything of ours that a healthy, correctly scoped list held."""

    taken: float
    """When the call was sent, as time.monotonic()."""
    refs: frozenset[str]
    """The ids of all things that carry this installation's tag."""
    prints: Mapping[str, int]
    """Owner UID → a hash of the live state of what it owns: when it changes, the owner's key is woken."""


# --- what can go wrong -----------------------------------------------------------------------------------------------


class DriverError(Exception):
    """A call did not do what was asked. `message` is for people and holds the provider's own words, never a secret.

    Raised as one of the classes below; the class says what the engine does next.
    """

    reason: Reason = Reason.PROVIDER_UNREACHABLE
    happened: bool | None = False
    """Did the change take place: False — certainly not; None — unknown."""

    def __init__(self, message: str, *, retry_after: float | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class Ambiguous(DriverError):
    """The answer was lost: timeout after sending, connection dropped, 5xx. Resolved by observing, never by sending again."""

    reason = Reason.VERIFYING
    happened = None


class Unreachable(DriverError):
    """Nothing was sent: connection refused, name not resolved, TLS failed."""


class CertificateInvalid(Unreachable):
    """TLS: the certificate is not one that the trusted CA signed for this name, or that CA cannot be read. Nothing was sent."""

    reason = Reason.CERTIFICATE_INVALID


class CredentialsInvalid(DriverError):
    """401, after one re-authentication; or the credentials cannot be read."""

    reason = Reason.CREDENTIALS_INVALID


class Forbidden(DriverError):
    """403 by policy: a person has to change a role."""

    reason = Reason.FORBIDDEN


class QuotaExceeded(DriverError):
    """A quota says no. The message holds the provider's numbers."""

    reason = Reason.QUOTA_EXCEEDED


class RateLimited(DriverError):
    """429: come back after `retry_after` seconds."""

    reason = Reason.RATE_LIMITED


class InvalidConfiguration(DriverError):
    """400: the provider refuses these inputs. Not tried again before the spec changes."""

    reason = Reason.INVALID_CONFIGURATION


class Conflict(DriverError):
    """409: in use, or changed meanwhile. Observe and plan again."""

    reason = Reason.DELETION_BLOCKED


class LeaseLost(DriverError):
    """This daemon is not the leader any more; nothing was sent."""

    reason = Reason.LEASE_LOST


class Fence(Protocol):
    """Asked by a driver right before each mutating request is sent, in the very thread that sends it."""

    def __call__(self) -> None:
        """Return if this daemon still holds the lease; raise LeaseLost if not."""


@runtime_checkable
class Driver(Protocol[Live_co]):
    """One kind of external thing of one provider account, such as the servers of one cloud.

    Whoever writes one: tests/contract/ holds the suite that it must pass, and CONTRIBUTING.md says how to run it.
    """

    name: str
    """Unique among drivers: "simulated/server@http://…"."""
    settle_seconds: float
    """How long after a create was sent a healthy list may still miss it. An intent is not given up before."""

    async def observe(self, owner: Owner, ref: str | None, after: float, part: str = "") -> Observation[Live_co]:
        """Look it up by `ref`, else by tag; never by name. MUST NOT change anything, MUST NOT raise DriverError.

        `part` says which one is meant where an owner may have several, such as "port/1"; what carries our tag for another
        part is not looked at. Without it an owner with several parts here is Unknown.
        The answer MUST NOT be older than `after` (time.monotonic()). A shared list is used where one is fresh enough.
        What is missing from a list while `ref` is known MUST be asked for by id before Absent is said.
        """

    async def apply(self, step: Step, intent: Intent) -> str:
        """Make exactly one mutating call (create or update) and return the reference.

        MUST carry the owner's tag in the same call that creates. MUST raise Ambiguous when the answer was lost.
        MUST call the fence right before sending. MUST NOT retry: the engine observes and plans again.
        """

    async def destroy(self, ref: str) -> None:
        """Ask for its removal and return; 404 is success. MUST NOT wait. Called only for what was observed as ours."""

    async def survey(self) -> Survey | Unknown:
        """Make one list call and return all that is ours."""

    async def close(self) -> None:
        """Let go of connections."""

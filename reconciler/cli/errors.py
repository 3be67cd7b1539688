"""What can go wrong on the command line, and the exit code that a script sees.

| code | meaning |
|---|---|
| 0 | done; nothing to change |
| 1 | it failed; `diff`: there are differences |
| 2 | `plan`: there are changes; `diff`: it failed |
| 3 | no such object |
| 4 | no answer from the API server or the daemon |
| 64 | the command was not understood |
| 124 | `wait` (and `delete --wait`) ran out of time |
| 130 | interrupted |
"""

from __future__ import annotations

OK = 0
FAILURE = 1
CHANGES = 2
NOT_FOUND = 3
UNREACHABLE = 4
USAGE = 64
TIMEOUT = 124
INTERRUPTED = 130


class CliError(Exception):
    """Something a person has to know: "cannot <verb> <thing>: <cause>; <what to do>". Printed to stderr, never a traceback."""

    code = FAILURE


class UsageError(CliError):
    """The command line itself is wrong."""

    code = USAGE


class NotFoundError(CliError):
    """There is no such object."""

    code = NOT_FOUND


class UnreachableError(CliError):
    """No answer from the API server, or there is no daemon."""

    code = UNREACHABLE


class TimeoutExpired(CliError):
    """What was waited for did not happen in time."""

    code = TIMEOUT


class ApiError(CliError):
    """The API server said no; `status` is its metav1.Status, `http` the HTTP code."""

    def __init__(self, http: int, reason: str, message: str, status: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.http = http
        self.reason = reason
        self.status = status or {}
        if http == 404:
            self.code = NOT_FOUND
        elif http == 503:
            self.code = UNREACHABLE

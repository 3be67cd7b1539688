"""The API server as drivers.objects sees it: one kind of object, errors as drivers say them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from drivers.contract import Ambiguous, Conflict, Forbidden, InvalidConfiguration, Unreachable
from reconciler.client import ApiError, ApiUnavailable, Client, Object, ours
from specs.kinds import BY_PLURAL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiTable:
    """Implements drivers.objects.Table over the daemon's client."""

    client: Client
    plural: str

    @property
    def kind(self) -> str:
        """The kind's name."""
        return BY_PLURAL[self.plural].names.kind

    async def get(self, namespace: str, name: str) -> Object | None:
        """See the protocol."""
        return await _read(f"read {self.plural} {name}", self.client.get(ours(self.plural), namespace, name))

    async def list(self, selector: str) -> Sequence[Object]:
        """See the protocol."""
        items, _ = await _read(f"list {self.plural}", self.client.list(ours(self.plural), labels=selector))
        return items

    async def create(self, namespace: str, body: Object) -> Object:
        """See the protocol."""
        name = body["metadata"]["name"]
        return await _write(f'create {self.kind} "{name}"', self.client.create(ours(self.plural), namespace, body))

    async def patch(self, namespace: str, name: str, body: Object) -> Object:
        """See the protocol."""
        return await _write(f'change {self.kind} "{name}"', self.client.patch(ours(self.plural), namespace, name, body))

    async def delete(self, namespace: str, name: str) -> None:
        """See the protocol."""
        await _write(f'delete {self.kind} "{name}"', self.client.delete(ours(self.plural), namespace, name))


async def _read(doing: str, call: Awaitable[T]) -> T:
    try:
        return await call
    except ApiError as error:
        raise Unreachable(f"cannot {doing}: {error.message}; asking again") from error


async def _write(doing: str, call: Awaitable[T]) -> T:
    try:
        return await call
    except ApiUnavailable as error:
        raise Ambiguous(f"cannot {doing}: {error.message}; looking again") from error
    except ApiError as error:
        text = f"cannot {doing}: {error.message}"
        if error.code in (404, 409):
            raise Conflict(f"{text}; looking again", retry_after=1.0) from error
        if error.code in (401, 403):
            raise Forbidden(f"{text}; give anneal the role") from error
        raise InvalidConfiguration(text) from error

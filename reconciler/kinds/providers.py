"""The drivers of each account, made once and shared by all objects; credentials are read by reference, anew when they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers import simulated
from drivers.contract import Driver, Fence
from drivers.local.driver import LocalDriver
from reconciler.client import Client
from reconciler.kinds.credentials import Credentials, from_env, from_file
from reconciler.logs import register_secret
from specs.machine import SimulatedMachine
from specs.references import CredentialsRef

Drivers = Mapping[str, Driver[Any]]


@dataclass(slots=True)
class Providers:
    """One per daemon. Holds connections and nothing that could not be made again."""

    client: Client
    fence: Fence
    installation: str
    settle_seconds: float
    call_seconds: float
    local: LocalDriver = field(default_factory=LocalDriver)
    _clouds: dict[tuple[str, str, str], simulated.Cloud] = field(default_factory=dict)
    _secrets: dict[tuple[str, str, str], str] = field(default_factory=dict)

    async def simulated(self, spec: SimulatedMachine, namespace: str) -> Drivers:
        """The drivers of one simulated cloud: server, port, address. Raises CredentialsInvalid if the token cannot be read."""
        ref = spec.credentials_ref
        await self._refresh(ref, namespace)
        key = (spec.endpoint, namespace, ref.model_dump_json() if ref else "")
        if key not in self._clouds:
            self._clouds[key] = simulated.connect(
                spec.endpoint,
                lambda: self._token(ref, namespace),
                self.fence,
                installation=self.installation,
                settle_seconds=self.settle_seconds,
                call_seconds=self.call_seconds,
            )
        return self._clouds[key].drivers

    async def close(self) -> None:
        """Close every connection."""
        for cloud in self._clouds.values():
            await cloud.close()

    async def _refresh(self, ref: CredentialsRef | None, namespace: str) -> None:
        """Read the Secret, if it is one; a token in a file or a variable is read when it is sent."""
        if ref is not None:
            value = await Credentials(self.client).read(ref, namespace)
            if ref.secret_key_ref is not None:
                self._secrets[namespace, ref.secret_key_ref.name, ref.secret_key_ref.key] = value

    def _token(self, ref: CredentialsRef | None, namespace: str) -> str:
        if ref is None:
            return ""
        if ref.secret_key_ref is not None:
            return self._secrets[namespace, ref.secret_key_ref.name, ref.secret_key_ref.key]
        value = from_env(ref.env) if ref.env is not None else from_file(ref.file or "")
        register_secret(value)
        return value

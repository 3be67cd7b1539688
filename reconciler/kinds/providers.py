"""The drivers of each account, made once and shared by all objects; credentials are read by reference, anew when they change."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from drivers import openstack, simulated
from drivers.contract import CertificateInvalid, CredentialsInvalid, Driver, Fence
from drivers.local.driver import LocalDriver
from drivers.openstack.quota import Use, usage
from reconciler.client import Client
from reconciler.kinds.credentials import Credentials, from_env, from_file
from reconciler.logs import register_secret
from specs.machine import SimulatedMachine
from specs.openstack import IdentityRef
from specs.references import CredentialsRef

Drivers = Mapping[str, Driver[Any]]
SECRET_WORDS = {"password", "application_credential_secret", "token"}


def account(ref: IdentityRef, namespace: str) -> str:
    """The name of an account: where its credentials come from, and which entry."""
    return f"{ref.file or f'{namespace}/{ref.name}'}#{ref.cloud_name}{f'/{ref.region}' if ref.region else ''}"


def cloud_config(ref: IdentityRef, text: str) -> Mapping[str, Any]:
    """The entry of a clouds.yaml that is meant; CredentialsInvalid if there is none. Its secrets are told to the redactor."""
    try:
        entry = yaml.safe_load(text)["clouds"][ref.cloud_name]
        auth = dict(entry.get("auth") or {})
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):  # a parser's error quotes what it read
        where = ref.file or f'Secret "{ref.name}"'
        raise CredentialsInvalid(
            f'cannot read credentials: {where} holds no clouds.yaml with a cloud "{ref.cloud_name}"; correct it'
        ) from None
    for word in SECRET_WORDS & auth.keys():
        register_secret(str(auth[word]))
    return {**entry, **({"region_name": ref.region} if ref.region else {})}


@dataclass(slots=True)
class Providers:
    """One per daemon. Holds connections and nothing that could not be made again."""

    client: Client
    fence: Fence
    installation: str
    settle_seconds: float
    call_seconds: float
    folder: Path
    """For the certificates of CAs that come from Secrets; ours alone to write."""
    local: LocalDriver = field(default_factory=LocalDriver)
    _clouds: dict[tuple[str, str, str], simulated.Cloud] = field(default_factory=dict)
    openstack_settle_seconds: float = 60.0
    _openstack: dict[str, openstack.Cloud] = field(default_factory=dict)
    _configs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What each account's clouds.yaml and CA were when it was last parsed: ten thousand Machines ask for one."""
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

    async def openstack(self, ref: IdentityRef, namespace: str) -> openstack.Cloud:
        """One account of an OpenStack cloud. Its clouds.yaml is read anew each time; CredentialsInvalid if it cannot be."""
        name = account(ref, namespace)
        text, authority = await self._clouds_yaml(ref, namespace)
        if self._texts.get(name) != (text, authority):
            config = cloud_config(ref, text)
            self._configs[name] = {**config, "cacert": str(self._ca_file(ref, authority))} if authority else config
            self._texts[name] = (text, authority)
        if name not in self._openstack:
            self._openstack[name] = openstack.connect(
                name,
                lambda: self._configs[name],
                self.fence,
                installation=self.installation,
                settle_seconds=self.openstack_settle_seconds,
                call_seconds=self.call_seconds,
            )
        return self._openstack[name]

    async def quotas(self, account_: str) -> list[Use]:
        """What an account that was used before has used of its quotas; none for one that was not. Raises DriverError."""
        cloud = self._openstack.get(account_)
        return await usage(cloud.client) if cloud else []

    async def close(self) -> None:
        """Close every connection."""
        for cloud in self._clouds.values():
            await cloud.close()
        for account_ in self._openstack.values():
            await account_.close()

    async def _clouds_yaml(self, ref: IdentityRef, namespace: str) -> tuple[str, str]:
        """clouds.yaml, and the CA that a Secret may hold beside it, as in CAPO."""
        if ref.name is not None:
            return await Credentials(self.client).clouds_yaml(namespace, ref.name)
        return await Credentials(self.client).read(CredentialsRef(file=ref.file), namespace), ""

    def _ca_file(self, ref: IdentityRef, authority: str) -> Path:
        """The CA as a file, which is how openstacksdk takes one. Another CA is another file, and so another connection."""
        try:
            ssl.create_default_context(cadata=authority)
        except ssl.SSLError:
            where = f'key cacert of Secret "{ref.name}"'
            raise CertificateInvalid(f"cannot trust anybody: {where} holds no certificate in PEM form; correct it") from None
        path = self.folder / f"ca-{hashlib.sha256(authority.encode()).hexdigest()[:16]}.pem"
        fresh = path.with_suffix(".tmp")
        fresh.write_text(authority + "\n", "utf-8")
        fresh.replace(path)
        return path

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

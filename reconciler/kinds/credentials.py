"""Secrets by reference: read when they are needed, anew each time, and told to the redactor before anybody can log them."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drivers.contract import CredentialsInvalid
from reconciler.client import SECRETS, Client
from reconciler.logs import register_secret
from specs.references import CredentialsRef


@dataclass(frozen=True, slots=True)
class Credentials:
    """Reads what references lead to. Keeps nothing."""

    client: Client

    async def read(self, ref: CredentialsRef, namespace: str) -> str:
        """The secret; CredentialsInvalid says why it cannot be read, and what to do."""
        if ref.secret_key_ref is not None:
            value = await self._from_secret(namespace, ref.secret_key_ref.name, ref.secret_key_ref.key)
        else:
            value = from_env(ref.env) if ref.env is not None else from_file(ref.file or "")
        register_secret(value)
        return value

    async def clouds_yaml(self, namespace: str, name: str) -> tuple[str, str]:
        """The keys clouds.yaml and cacert of one Secret; the second is empty where there is none, and is no secret."""
        data = await self._data(namespace, name)
        text = _decoded(data, name, "clouds.yaml")
        register_secret(text)
        return text, _decoded(data, name, "cacert") if "cacert" in data else ""

    async def _from_secret(self, namespace: str, name: str, key: str) -> str:
        return _decoded(await self._data(namespace, name), name, key)

    async def _data(self, namespace: str, name: str) -> Mapping[str, str]:
        secret = await self.client.get(SECRETS, namespace, name)
        if secret is None:
            raise CredentialsInvalid(
                f'cannot read credentials: there is no Secret "{name}" in namespace "{namespace}"; create it'
            )
        return secret.get("data") or {}


def _decoded(data: Mapping[str, str], name: str, key: str) -> str:
    if (encoded := data.get(key)) is None:
        raise CredentialsInvalid(f'cannot read credentials: Secret "{name}" has no key "{key}"; add it')
    return base64.b64decode(encoded).decode("utf-8", "replace").strip()


def from_env(name: str) -> str:
    """A variable of the daemon's environment."""
    if not (value := os.environ.get(name, "").strip()):
        raise CredentialsInvalid(
            f"cannot read credentials: the daemon's environment has no {name}; set it and restart the daemon"
        )
    return value


def from_file(path: str) -> str:
    """A file of this machine."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsInvalid(
            f"cannot read credentials from {path}: {getattr(error, 'strerror', None) or 'not text'}"
        ) from error

"""Reading a kubeconfig: where the API server is, whom to trust, and how to prove who we are."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class KubeconfigError(ValueError):
    """The kubeconfig cannot be read, or asks for something that is not supported."""


@dataclass(frozen=True, slots=True)
class Access:
    """One context of a kubeconfig. Certificates and keys are PEM."""

    server: str
    namespace: str = "default"
    ca: bytes | None = None
    insecure: bool = False
    server_name: str | None = None
    token: str | None = None
    token_file: Path | None = None
    certificate: bytes | None = None
    key: bytes | None = None

    def bearer(self) -> str | None:
        """The token; read anew from its file, where it lies in one."""
        return self.token_file.read_text().strip() if self.token_file is not None else self.token

    def context(self) -> ssl.SSLContext | None:
        """For the connection; None if the server is plain HTTP."""
        if not self.server.startswith("https://"):
            return None
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # OpenSSL reads a chain from files only; they live for this call, readable by us alone.
            with tempfile.TemporaryDirectory() as folder:
                pem = Path(folder) / "client.pem"
                pem.touch(mode=0o600)
                pem.write_bytes(self.certificate + b"\n" + self.key)
                context.load_cert_chain(pem)
        return context


def load(path: Path, context: str | None = None) -> Access:
    """Read one context, by default the current one. KubeconfigError names the file and what is wrong."""
    try:
        data = yaml.safe_load(path.read_text())
        return _access(data, context or data["current-context"], path.parent)
    except KubeconfigError as e:
        raise KubeconfigError(f"cannot use kubeconfig {path}: {e}") from e
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, binascii.Error, UnicodeDecodeError) as e:
        raise KubeconfigError(f"cannot read kubeconfig {path}: {type(e).__name__}: {e}; check the file") from e


def _access(data: Any, context: str, folder: Path) -> Access:
    chosen = _named(data, "contexts", context)["context"]
    cluster = _named(data, "clusters", chosen["cluster"])["cluster"]
    user = _named(data, "users", chosen["user"])["user"] if chosen.get("user") else {}
    for unsupported in ("exec", "auth-provider"):
        if unsupported in user:
            raise KubeconfigError(f"its user has {unsupported!r}, which is not supported; use a token or a client certificate")
    token_file = user.get("tokenFile")
    return Access(
        server=cluster["server"].rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        ca=_pem(cluster, "certificate-authority", folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name"),
        token=user.get("token"),
        token_file=folder / os.path.expanduser(token_file) if token_file else None,
        certificate=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
    )


def _named(data: Any, section: str, name: str) -> dict[str, Any]:
    for entry in data.get(section) or ():
        if entry.get("name") == name:
            return dict(entry)
    raise KubeconfigError(f"{section} has no {name!r}")


def _pem(entry: dict[str, Any], name: str, folder: Path) -> bytes | None:
    if inline := entry.get(f"{name}-data"):
        return base64.b64decode(str(inline))
    if path := entry.get(name):
        return (folder / os.path.expanduser(str(path))).read_bytes()
    return None

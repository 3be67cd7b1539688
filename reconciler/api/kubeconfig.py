"""The kubeconfig that this server writes for its clients."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from reconciler.api.pki import write_secret


def write(path: Path, url: str, ca: bytes, token: str) -> None:
    """Write it (mode 0600): one cluster, one user, one context, all named anneal."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "anneal", "cluster": {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()}}],
        "users": [{"name": "anneal", "user": {"token": token}}],
        "contexts": [{"name": "anneal", "context": {"cluster": "anneal", "user": "anneal", "namespace": "default"}}],
        "current-context": "anneal",
    }
    write_secret(path, yaml.safe_dump(content, sort_keys=False, width=1_000_000).encode())

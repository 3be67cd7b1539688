"""Read a kubeconfig: where the API server is, whom to trust, who we are.

Files as kubectl and anneal write them are plain block YAML, which plain_yaml reads; all others are left to PyYAML.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Any, NamedTuple

from reconciler.cli.errors import CliError, UnreachableError
from reconciler.cli.plain_yaml import read_plain

DAEMON_CONTEXT = "anneal-daemon"
"""With a Kubernetes as control plane, the home's kubeconfig has this second context: the daemon's own endpoints."""


class Access(NamedTuple):
    """One context of a kubeconfig, with its files read."""

    server: str
    namespace: str = "default"
    ca: str | None = None
    insecure: bool = False
    tls_name: str | None = None
    token: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None


def home_folder(home: str | None = None) -> str:
    """The installation's folder: --home, else $ANNEAL_HOME, else ~/.anneal. The same answer as reconciler.home gives."""
    return os.path.abspath(os.path.expanduser(home or os.environ.get("ANNEAL_HOME") or "~/.anneal"))


def load(path: str | None = None, *, home: str | None = None, context: str | None = None) -> Access:
    """Read the kubeconfig at `path`, or the home's. UnreachableError where the home has none: there is no daemon yet."""
    data, path = _data(path, home)
    return choose(data, path, context)


def load_daemon(path: str | None = None, *, home: str | None = None) -> Access:
    """Where the daemon answers: at the API server, unless a context (of this file, or of the home's) says otherwise."""
    if path is not None:
        data, shown = _data(path, home)
        if _named(data, "contexts", DAEMON_CONTEXT):
            return choose(data, shown, DAEMON_CONTEXT)
        try:
            data, shown = _data(None, home)
        except UnreachableError:
            return load(path)
        if not _named(data, "contexts", DAEMON_CONTEXT):
            return load(path)
        return choose(data, shown, DAEMON_CONTEXT)
    return load(home=home, context=DAEMON_CONTEXT)


def _data(path: str | None, home: str | None) -> tuple[dict[str, Any], str]:
    """The content of the file at `path`, else of the home's; and where it was."""
    given = path is not None
    path = os.path.expanduser(path) if path else os.path.join(home_folder(home), "kubeconfig")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(4 << 20)
    except FileNotFoundError as error:
        if given:
            raise CliError(f"cannot read kubeconfig {path}: there is no such file; check --kubeconfig") from error
        raise UnreachableError(
            f"cannot find a daemon: {path} does not exist; start one with `anneal up -d DIR`, or set ANNEAL_HOME or --kubeconfig"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read kubeconfig {path}: {error}; check its permissions and content") from error
    return parse(text, path), path


def parse(text: str, path: str = "kubeconfig") -> dict[str, Any]:
    """The file's content as plain values; CliError if it is no YAML mapping."""
    quick = read_plain(text)
    if quick is not None:
        return quick
    import yaml

    try:
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe loaders
    except yaml.YAMLError as error:
        raise CliError(f"cannot read kubeconfig {path}: it is not YAML ({error}); write it anew") from error
    if not isinstance(data, dict):
        raise CliError(f"cannot read kubeconfig {path}: it is not a mapping; write it anew")
    return data


def choose(data: dict[str, Any], path: str, context: str | None = None) -> Access:
    """Pick the context (default: current-context) and read what it refers to."""
    name = context or data.get("current-context") or ""
    if context and not _named(data, "contexts", context):
        name = data.get("current-context") or ""
    chosen = _named(data, "contexts", name).get("context") or {}
    cluster = _named(data, "clusters", chosen.get("cluster")).get("cluster") or {}
    user = _named(data, "users", chosen.get("user")).get("user") or {}
    if not cluster.get("server"):
        raise CliError(f'cannot use kubeconfig {path}: context "{name}" names no server; set current-context')
    for field in ("exec", "auth-provider"):
        if field in user:
            raise CliError(
                f"cannot use kubeconfig {path}: user.{field} is not supported; use a token, a client certificate or kubectl proxy"
            )
    base = os.path.dirname(os.path.abspath(path))
    ca = _content(cluster, "certificate-authority", base)
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = (_read(os.path.join(base, user["tokenFile"])) or b"").decode().strip()
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        ca=ca.decode() if ca else None,
        insecure=str(cluster.get("insecure-skip-tls-verify", "")).lower() == "true",
        tls_name=cluster.get("tls-server-name"),
        token=token or None,
        certificate=_content(user, "client-certificate", base),
        key=_content(user, "client-key", base),
    )


def _named(data: dict[str, Any], what: str, name: str | None) -> dict[str, Any]:
    return next((entry for entry in data.get(what) or () if isinstance(entry, dict) and entry.get("name") == name), {})


def _content(entry: dict[str, Any], field: str, base: str) -> bytes | None:
    """`<field>-data` decoded, else the file that `<field>` names."""
    if data := entry.get(f"{field}-data"):
        try:
            return base64.b64decode(data, validate=False)
        except (binascii.Error, ValueError) as error:
            raise CliError(f"cannot use the kubeconfig: {field}-data is not base64; write it anew") from error
    return _read(os.path.join(base, entry[field])) if entry.get(field) else None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise CliError(f"cannot read {path}, which the kubeconfig names: {error.strerror}; check the path") from error

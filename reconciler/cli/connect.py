"""From flags to a connection: which server, which namespace; and the daemon's own endpoints."""

from __future__ import annotations

import argparse
from typing import Any

from reconciler.cli import kubeconfig
from reconciler.cli.api import Api
from reconciler.cli.errors import ApiError, CliError

DAEMON = "/anneal/v1"


def open_api(args: argparse.Namespace) -> tuple[Api, str]:
    """Connect as --kubeconfig, --home and -n say. Returns the connection and the namespace."""
    access = kubeconfig.load(args.kubeconfig, home=args.home)
    return Api(access), getattr(args, "namespace", None) or access.namespace


def open_daemon(args: argparse.Namespace) -> Api:
    """Connect to the daemon: the same server, unless the kubeconfig names the daemon in a context of its own."""
    return Api(kubeconfig.load_daemon(args.kubeconfig, home=args.home))


def ask_daemon(
    api: Api, method: str, path: str, query: dict[str, Any] | None = None, *, body: Any = None, seconds: float = 90
) -> Any:
    """Call one of the daemon's endpoints; a server without them gets an error that says so."""
    try:
        return api.request(method, DAEMON + path, query, body=body, seconds=seconds)
    except ApiError as error:
        if error.http == 404 and error.status.get("kind") != "Status":
            raise CliError(
                f"cannot ask the daemon: {api.url} has no {DAEMON}{path}; is this the kubeconfig of an anneal daemon?"
            ) from error
        raise

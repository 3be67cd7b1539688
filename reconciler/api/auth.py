"""Who may talk to this server: whoever holds the token, and calls the server by its own name, from no web page.

The Host is compared because a web page can make a browser call any address under a name of its own (DNS rebinding); a request
with an Origin comes from a web page, and none has business here. Both hold for every method and path, before anything else.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Sequence

import psutil
from multidict import CIMultiDictProxy

from reconciler.api import errors
from reconciler.client import ApiError

OPEN_PATHS = frozenset({"/healthz", "/livez"})
"""What answers without a token: whether the process lives, and nothing else."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Gate:
    """Lets requests in, or says why not."""

    def __init__(self, token: str, hosts: Sequence[str]) -> None:
        self._token = token.encode()
        self._hosts = frozenset(host.lower() for host in hosts)

    def refuse(self, method: str, path: str, headers: CIMultiDictProxy[str]) -> ApiError | None:
        """None if the request may go on; else 401 or 403. Takes the same time for any wrong token."""
        named = headers.getall("Host", [])
        if len(named) != 1 or host_of(named[0]) not in self._hosts:
            return errors.forbidden("the Host of the request is none of this server's; call it by the address in the kubeconfig")
        if "Origin" in headers:
            return errors.forbidden("requests of web pages are refused: remove the Origin header")
        if path in OPEN_PATHS and method in ("GET", "HEAD"):
            return None
        given = headers.getall("Authorization", [])
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        known = hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self._token)
        return None if known and scheme.lower() == "bearer" else errors.unauthorized()


def host_of(header: str) -> str:
    """The host of a Host header, without its port."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def own_names(bind: str) -> list[str]:
    """The names under which a server that listens on this address is called; certificates are made out to them."""
    names = list(LOOPBACK)
    if bind not in names:
        try:
            wildcard = ipaddress.ip_address(bind).is_unspecified
        except ValueError:
            wildcard = False
        names += [*_addresses(), socket.gethostname().lower()] if wildcard else [bind.lower()]
    return list(dict.fromkeys(names))


def _addresses() -> list[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    found = [a.address for addresses in psutil.net_if_addrs().values() for a in addresses if a.family in families]
    return [address for address in found if "%" not in address]

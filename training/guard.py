"""Where a fetch may go. The check sits where the socket is made, so redirects, flipping DNS and odd spellings all meet it."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the Internet at large. An IPv6 address that carries an IPv4 one is judged by that."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and (inner := _carried(ip)) is not None:
        return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _carried(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64 or int(ip) >> 32 == 0:  # ::a.b.c.d, IPv4-compatible, is deprecated but some stacks route it
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


class Blocked(OSError):
    """The address is private, and its host is not among those allowed. Not one byte was sent to it."""


class Guard(AbstractResolver):
    """Resolves names for one fetch, and lets sockets be made to public addresses and to allowed hosts only.

    allowed: names (or literal addresses) of hosts that may be private. resolver: another one, for tests.
    """

    def __init__(self, allowed: list[str], resolver: AbstractResolver | None = None) -> None:
        self._allowed = {_bare(host) for host in allowed}
        self._addresses = {host for host in self._allowed if _is_literal(host)}
        self._resolver = resolver or ThreadedResolver()
        self.blocked = False
        """Whether anything was refused."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """The addresses of a name; those of an allowed host are remembered as allowed."""
        found = await self._resolver.resolve(host, port, family)
        if _bare(host) in self._allowed:
            self._addresses.update(row["host"] for row in found)
        return found

    async def close(self) -> None:
        """Let the resolver go."""
        await self._resolver.close()

    def socket(self, info: Any) -> socket.socket:
        """Make a socket for one address of getaddrinfo's kind. Blocked: it leads to a private address."""
        family, kind, protocol, _, target = info
        if target[0] not in self._addresses and not is_public(target[0]):
            self.blocked = True
            raise Blocked("the address is private")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def _bare(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

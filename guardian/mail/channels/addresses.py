"""Which addresses are private: those that only this machine, its network or its cloud provider can reach."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")


class PrivateAddress(Exception):
    """A host is, or resolves to, a private address. The message is one sentence."""


def is_private(address: str) -> bool:
    """Whether the IP address is not one of the public internet: loopback, RFC 1918, link-local, multicast, reserved …

    What the IANA special-purpose registries call not globally reachable, and each IPv6 address that carries such an
    IPv4 address (mapped, NAT64, 6to4, Teredo). 169.254.169.254, where clouds hand out credentials, is link-local.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip in _LOCAL_NAT64:  # RFC 8215: a translator of the own network, which may lead anywhere inside it
        return True
    site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local  # deprecated by RFC 3879, and still routed
    return site_local or any(not each.is_global or each.is_multicast for each in (ip, *_carried(ip)))


def _carried(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses inside an IPv6 one: RFC 4291 (2.5.5), 6052, 3056 and 4380."""
    if isinstance(ip, ipaddress.IPv4Address):
        return
    if ip in _NAT64 or ip in _COMPATIBLE:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    yield from (each for each in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())) if each is not None)


def is_private_host(host: str) -> bool:
    """Whether the host is private as it is written, without asking a name server: any spelling of an IP address
    that a resolver takes (127.1, 0x7f000001, 2130706433), or localhost (RFC 6761, 6.3)."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return is_private(host)
    except ValueError:
        pass
    try:
        return is_private(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, ValueError):
        return host == "localhost" or host.endswith(".localhost")


def public_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of the host, in the resolver's order.

    Raises PrivateAddress if one of them is private, and socket.gaierror for a name that does not resolve.
    """
    found = list(dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    if any(is_private(address) for address in found):
        raise PrivateAddress("its host has a private address, which is refused unless allow_private = true")
    return found

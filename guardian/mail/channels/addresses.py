"""Which addresses are private: those that only this machine, its network or its cloud provider can reach."""

from __future__ import annotations

import ipaddress
import socket

from guardian.mail.channels.special_addresses import is_special


class PrivateAddress(Exception):
    """A host is, or resolves to, a private address. The message is one sentence."""


def is_private(address: str) -> bool:
    """Whether the IP address is not one of the public internet: loopback, RFC 1918, link-local, multicast, reserved …

    Raises ValueError for a text that is no IP address.
    """
    return is_special(ipaddress.ip_address(address.partition("%")[0]))


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

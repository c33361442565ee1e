"""Where a request came from, as far as the app's owner wants it recorded: the IP address, whole or truncated, and the
user agent. Nothing of this is read unless it is switched on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from tracker.event import Client

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_USER_AGENT = 256
"""Characters of a user agent that are kept."""
UNIX = "unix"
"""Stands, among the proxies, for a peer on a Unix socket, which has no address."""
_KEPT = {4: 24, 6: 48}
"""The bits kept of a truncated address: the last octet (IPv4) or the last 80 bits (IPv6) become 0."""
_MOST_HOPS = 50
_MAPPED = IPv6Network("::ffff:0:0/96")


class Clients:
    """Finds the client of a request from its scope. `address` is "truncated", "full" or None, `user_agent` "full" or
    None; `X-Forwarded-For` is only believed from the `proxies`: addresses, networks, or "unix".

    Raises ValueError with one sentence for anything else.
    """

    def __init__(self, address: str | None, user_agent: str | None, proxies: Iterable[str] = ()) -> None:
        if address not in (None, "truncated", "full"):
            raise ValueError(f'client_address = {address!r} must be "truncated" or "full", or be left out')
        if user_agent not in (None, "full"):
            raise ValueError(f'user_agent = {user_agent!r} must be "full", or be left out')
        if isinstance(proxies, str | bytes) or not isinstance(proxies, Iterable):
            raise ValueError(f"trusted_proxies = {proxies!r} must be a list of addresses, as in ['10.0.0.0/8']")
        named = list(proxies)
        if named and address is None:
            raise ValueError("trusted_proxies is set, but no client_address to find with them")
        self._unix = UNIX in named
        self._networks = tuple(_network(each) for each in named if each != UNIX)
        self._believes = self._unix or bool(self._networks)
        self._address, self._user_agent = address, user_agent
        self._shown: Callable[[str | None, bytes], str | None] = lru_cache(maxsize=1_024)(self._found)

    def __call__(self, scope: MutableMapping[str, Any]) -> Client | None:
        """The client; None if nothing is known about it. Never raises."""
        try:
            return self._of(scope)
        except Exception:  # a malformed scope costs only the client information
            return None

    def _of(self, scope: MutableMapping[str, Any]) -> Client | None:
        address = agent = None
        headers = scope.get("headers") or ()
        if self._address is not None:
            peer = scope.get("client")
            forwarded = [bytes(value) for name, value in headers if bytes(name).lower() == b"x-forwarded-for"]
            address = self._shown(peer[0] if peer else None, b",".join(forwarded) if self._believes else b"")
        if self._user_agent is not None:
            agents = (bytes(value) for name, value in headers if bytes(name).lower() == b"user-agent")
            agent = cleaned(next(agents, b""))
        return Client(address, agent) if address or agent else None

    def _found(self, peer: str | None, forwarded: bytes) -> str | None:
        found = _parsed(peer)
        hops = forwarded.decode("latin-1").split(",") if forwarded.strip() else []
        trusted = self._unix if peer is None else found is not None and self._trusts(found)
        if trusted and len(hops) > _MOST_HOPS:
            return None
        # Each proxy appends its peer, so from the right, the first address that is not one of our proxies is the
        # client.
        while trusted and hops:
            found = _parsed(hops.pop().strip())
            trusted = found is not None and self._trusts(found)
        if found is None or self._address == "full":
            return None if found is None else str(found)
        return str(ip_network((found, _KEPT[found.version]), strict=False).network_address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def cleaned(value: bytes) -> str | None:
    """A user agent without unprintable characters and of bounded length; None if nothing is left."""
    text = "".join(letter for letter in value[: 4 * MAX_USER_AGENT].decode("latin-1") if letter.isprintable())
    return text.strip()[:MAX_USER_AGENT].rstrip() or None


def _parsed(text: Any) -> Address | None:
    """Parses an address, with or without port, brackets and zone. An IPv4-mapped IPv6 address becomes IPv4. None for
    anything else."""
    if not isinstance(text, str):
        return None
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _network(text: Any) -> Network:
    try:
        found = ip_network(text if isinstance(text, str) else "", strict=False)
    except ValueError:
        raise ValueError(
            f"trusted_proxies has {text!r}, which is no address, no network and not {UNIX!r}: write it as '10.0.0.0/8'"
        ) from None
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        found = ip_network((int(found.network_address) & 0xFFFFFFFF, found.prefixlen - 96))
    if found.prefixlen == 0:
        raise ValueError(f"trusted_proxies has {text!r}, which is everybody: name the proxies alone")
    return found

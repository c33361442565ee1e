"""Rate limits for each client: wrong tokens and links, and requests for sign-in links; in tables of bounded size."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from guardian.core.language import marked
from guardian.web.endpoint import Refusal

FAILURES = 20
"""How many attempts may fail in a row; then one more every `SECONDS`."""

SECONDS = 3.0

TOO_MANY = marked("too many wrong tokens or links came from this address: wait %(n)s s")

CLIENTS = 10_000
"""The most clients remembered: the one that failed longest ago is forgotten first."""


class Limiter:
    """Counts failures by client. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._failed)

    def check(self, client: str) -> None:
        """Raises Refusal (429) if too many attempts of this client failed; further ones are refused for a while."""
        if (over := self.over(client)) is not None:
            raise over

    def over(self, client: str) -> Refusal | None:
        """The same, given and not raised; None where this client may go on."""
        over = self._level(client) + 1 - FAILURES
        if over <= 0:
            return None
        wait = math.ceil(over * SECONDS)
        return Refusal(429, TOO_MANY, {"Retry-After": str(wait)}, n=wait)

    def failed(self, client: str) -> None:
        """A token or a link of this client was wrong."""
        self._failed[client] = self._level(client) + 1, self._monotonic()
        self._failed.move_to_end(client)
        if len(self._failed) > CLIENTS:
            self._failed.popitem(last=False)

    def _level(self, client: str) -> float:
        level, at = self._failed.get(client, (0.0, 0.0))
        return max(0.0, level - (self._monotonic() - at) / SECONDS)


HOUR = 3600.0


class Quota:
    """Allows `most` actions an hour for each name. `monotonic` gives seconds."""

    def __init__(self, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most, self._monotonic = most, monotonic
        self._done: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._done)

    def take(self, name: str) -> int:
        """0 if the action is allowed (it is then counted); otherwise the seconds until it will be."""
        now = self._monotonic()
        done = self._done.setdefault(name, deque())
        self._done.move_to_end(name)
        if len(self._done) > CLIENTS:
            self._done.popitem(last=False)
        while done and done[0] <= now - HOUR:
            done.popleft()
        if len(done) >= self._most:
            return math.ceil(done[0] + HOUR - now) or 1
        done.append(now)
        return 0


Networks = Sequence[IPv4Network | IPv6Network]


def within(host: str, networks: Networks) -> bool:
    """Whether an address is of one of these networks; False for what is no address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address at the other end of the connection, "" where it is not known."""
    return str((scope.get("client") or ("",))[0])


def is_said(scope: Mapping[str, Any]) -> bool:
    """Whether the server put an address that the request names in place of the connection's: what was at its other end
    is not known then.

    uvicorn and Hypercorn do so for proxies that they are told to believe. They write the port that X-Forwarded-For
    gives, or 0, which no connection has.
    """
    client = scope.get("client")
    if not client:
        return False
    port = client[1] if len(client) > 1 else None
    said = (f"{client[0]}:{port}", f"[{client[0]}]:{port}")
    return not port or any(each in said for each in _forwarded(scope))


def _forwarded(scope: Mapping[str, Any]) -> list[str]:
    """The addresses that X-Forwarded-For names, that of the last proxy last."""
    said = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"x-forwarded-for"]
    return [each.strip() for each in ",".join(said).split(",")]


def host_of(scope: Mapping[str, Any], proxies: Networks = ()) -> str:
    """The address that a request comes from: that of the connection, or where this is one of `proxies`, the last of
    X-Forwarded-For that is none."""
    host = peer_of(scope)
    if proxies and within(host, proxies):
        for each in reversed(_forwarded(scope)):
            if each:
                host = _bare(each)
                if not within(host, proxies):
                    break
    return host


def _bare(text: str) -> str:
    """An address without its port, which some proxies write too: [2001:db8::1]:1234, 192.0.2.1:1234."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def client_of(scope: Mapping[str, Any], proxies: Networks = ()) -> str:
    """Whom a request comes from: the address of `host_of`, of IPv6 the network of 64 bits, which one subscriber has; ""
    where it is not known."""
    host = host_of(scope, proxies)
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return str(address)

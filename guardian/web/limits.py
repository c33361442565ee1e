"""How many wrong tokens and links one client may try: a bucket for each, in a table that does not grow without end."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any

from guardian.web.endpoint import Refusal

FAILURES = 20
"""So many may fail in a row; then one more each `SECONDS`."""

SECONDS = 3.0

CLIENTS = 10_000
"""No more clients than these are remembered: whoever failed longest ago is forgotten first."""


class Limiter:
    """Counts what failed, by client. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._failed)

    def check(self, client: str) -> None:
        """Raises Refusal (429) where too much of this client failed: nothing more of it is looked at for a while."""
        over = self._level(client) + 1 - FAILURES
        if over > 0:
            wait = math.ceil(over * SECONDS)
            sentence = f"too many wrong tokens or links came from this address: wait {wait} s"
            raise Refusal(429, sentence, {"Retry-After": str(wait)})

    def failed(self, client: str) -> None:
        """A token or a link of this client was wrong."""
        self._failed[client] = self._level(client) + 1, self._monotonic()
        self._failed.move_to_end(client)
        if len(self._failed) > CLIENTS:
            self._failed.popitem(last=False)

    def _level(self, client: str) -> float:
        level, at = self._failed.get(client, (0.0, 0.0))
        return max(0.0, level - (self._monotonic() - at) / SECONDS)


def client_of(scope: Mapping[str, Any]) -> str:
    """Whom a request comes from: its address, of IPv6 the network of 64 bits, which one subscriber has; "" where it is
    not known."""
    host = str((scope.get("client") or ("",))[0])
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return str(address)

"""The settings of `[dashboard]`: who may look at the pages, and through which proxies they come."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, model_validator

from guardian.settings.quantities import Duration, between
from guardian.settings.section import Section
from guardian.settings.values import Addresses, listed


def _network(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ValueError(
            f"{json.dumps(value)} is not the address of a network: write it as 127.0.0.1, 10.0.0.0/8 or fd00::/8"
        ) from None


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", value):
        raise ValueError(f"{json.dumps(value)} is not the name of a header: write it as X-Forwarded-Email")
    if value.lower() in ("authorization", "cookie", "host", "origin", "x-forwarded-for"):
        raise ValueError(f"{value} says something else: name the header that the proxy writes the address into")
    return value


Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(listed)]


class DashboardSettings(Section):
    """The pages that the API serves at /: `[dashboard]`.

    `viewers` may look but change nothing, and get no mail. X-Forwarded-For and similar headers count only if they come
    from one of `proxies`. So does `trusted_header`, in which a proxy writes the address of the person whom it has
    signed in. People must sign in again after `sign_out_idle` seconds without a request, and in any case
    `sign_out_after` seconds after they signed in.
    """

    enabled: bool = True
    viewers: Addresses = ()
    proxies: Networks = ()
    trusted_header: Annotated[str, AfterValidator(_header)] | None = None
    sign_out_idle: Annotated[Duration, between("5m", "30d")] = "12h"  # type: ignore[assignment]
    sign_out_after: Annotated[Duration, between("5m", "90d")] = "7d"  # type: ignore[assignment]

    @model_validator(mode="after")
    def _header_of_whom(self) -> DashboardSettings:
        if self.trusted_header and not self.proxies:
            raise ValueError(
                "trusted_header is set without proxies, so anybody could write it: name the addresses of your proxy"
            )
        return self

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`proxies` as networks."""
        return tuple(ip_network(each) for each in self.proxies)

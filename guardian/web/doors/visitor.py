"""Where a request comes from, and under which prefix and scheme its browser sees Guardian."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection

from guardian.settings.schema import Settings
from guardian.settings.values import is_loopback
from guardian.web.limits import client_of, is_said, peer_of, within
from guardian.web.pages.page import SAFE

_PORTS = {"http": 80, "https": 443}
_PORT = re.compile(r":([0-9]{1,5})\Z")
_PREFIX = re.compile(r"(/[A-Za-z0-9@:.,~_%-]+)+")
"""A path as it stands in an address and in a cookie. A browser would take "//x" and "/\\\\x" for another host."""
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "forwarded")


@dataclass(frozen=True, slots=True)
class Visitor:
    """`client` is whom limits count. `base` stands before every path, as the browser sees it. `origins` are those that
    a form of ours can come from. `proxied` says that one of the configured proxies asks; `hidden` that nobody knows,
    since the server has put the address of X-Forwarded-For in place of the connection's. `port` is that of the address
    in the browser, "" where it goes without saying."""

    client: str
    base: str
    https: bool
    loopback: bool
    origins: frozenset[str]
    proxied: bool
    hidden: bool = False
    port: str = ""

    @property
    def keeps_cookies(self) -> bool:
        """Whether a cookie that signs in may be given: over plain HTTP others could read it on the way."""
        return self.https or self.loopback


def visitor_of(request: HTTPConnection, settings: Settings) -> Visitor:
    """Who asks.

    A proxy that strips a prefix is known by what it sets: `root_path` of the server, X-Forwarded-Prefix of a
    configured proxy, or else the path of `public_url`, where the request came by that address or by any proxy. Where
    the server hides the proxy, it vouches for one: its headers say where the browser is, but not who sits at it.
    """
    headers, networks = request.headers, settings.dashboard.networks
    peer = peer_of(request.scope)
    hidden = is_said(request.scope)
    proxied = within(peer, networks) and not hidden
    forwarded = proxied or (hidden and bool(networks))
    public = urlsplit(settings.links_url)
    host = headers.get("host", "")
    shown = {host.lower()} | ({_first(headers.get("x-forwarded-host", "")).lower()} if forwarded else set())
    by_public = _same(host, public.netloc, public.scheme) or (forwarded and public.netloc.lower() in shown)
    https = (
        request.scope.get("scheme") == "https"
        or ((forwarded or _is_here(peer)) and _first(headers.get("x-forwarded-proto", "")).lower() == "https")
        or (by_public and public.scheme == "https")
    )
    scheme = "https" if https else "http"
    origins = {f"{scheme}://{_plain(each, scheme)}" for each in shown if each}
    origins.add(f"{public.scheme}://{_plain(public.netloc, public.scheme)}")
    return Visitor(
        client=client_of(request.scope, networks),
        base=_base(request, forwarded, by_public, public.path),
        https=https,
        loopback=is_loopback(_name(host)),
        origins=frozenset(origins),
        proxied=proxied,
        hidden=hidden,
        port=found[1] if (found := _PORT.search(host)) else "",
    )


def _base(request: HTTPConnection, forwarded: bool, by_public: bool, public: str) -> str:
    mounted = quote(str(request.scope.get("root_path", "")).rstrip("/"), safe=SAFE)
    prefix = _first(request.headers.get("x-forwarded-prefix", "")).rstrip("/") if forwarded else ""
    if _PREFIX.fullmatch(prefix):
        if f"{mounted}/".startswith(f"{prefix}/"):
            return mounted  # the server was told of it, too
        return prefix if prefix.endswith(mounted) else prefix + mounted
    public = public.rstrip("/")
    through = by_public or any(name in request.headers for name in _FORWARDED)
    return public if through and public.endswith(mounted) else mounted


def _first(value: str) -> str:
    return value.partition(",")[0].strip()


def _is_here(peer: str) -> bool:
    return is_loopback(peer.partition("%")[0]) if peer else False


def _name(host: str) -> str:
    """The host without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _plain(netloc: str, scheme: str) -> str:
    """The host as an origin has it: without the port that goes without saying."""
    return netloc.lower().removesuffix(f":{_PORTS[scheme]}")


def _same(host: str, netloc: str, scheme: str) -> bool:
    return bool(host) and _plain(host, scheme) == _plain(netloc, scheme)

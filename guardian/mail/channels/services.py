"""The services that a channel may use: which sender an address belongs to."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from httpx2 import URL, InvalidURL

from guardian.mail.channels.addresses import is_private_host
from guardian.mail.channels.discord import discord
from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.ntfy import ntfy
from guardian.mail.channels.pagerduty import pagerduty
from guardian.mail.channels.parts import Incomplete, read_address
from guardian.mail.channels.sender import Sender, Service
from guardian.mail.channels.slack import slack
from guardian.mail.channels.teams import teams
from guardian.mail.channels.webhook import webhook

if TYPE_CHECKING:
    from guardian.mail.channels.others import Other

_SERVICES: dict[str, tuple[str, Service]] = {
    "slack": ("Slack", slack),
    "workflows": ("Teams", teams),
    "workflow": ("Teams", teams),
    "discord": ("Discord", discord),
    "ntfys": ("ntfy", ntfy),
    "ntfy": ("ntfy", ntfy),
    "pagerduty": ("PagerDuty", pagerduty),
    "jsons": ("the webhook", webhook),
    "json": ("the webhook", webhook),
}
_REFUSED = {"format", "template", "emojis", "overflow", "redirect", "retry", "wait", "rto", "cto", "store"}
"""Options that Apprise allows in an address, but that would undo the escaping or the time limits."""
NOT_INSTALLED = "needs Apprise, which is not installed: pip install 'usage-guardian[channels]'"
_ANY = ChannelMessage("title", "text", url="https://guardian.example.com")


def make_sender(url: str) -> Sender | Other:
    """The sender for this address: one of ours, else Apprise's.

    Raises ValueError with one sentence, without the address: it is a secret.
    """
    scheme = scheme_of(url)
    if scheme not in _SERVICES and scheme != "https":
        return _through_apprise(url, scheme)
    address = read_address(url)
    for name in sorted(_REFUSED & address.options.keys() if address else ()):
        raise ValueError(f"the address has {name}=, which Guardian sets itself: take it out")
    if address and address.scheme in _SERVICES:
        name, service = _SERVICES[address.scheme]
        sender = Sender(name, partial(service, address), address.flag("verify", True))
        with suppress(Incomplete, InvalidURL):
            if _host(sender):
                return sender
    own = "; a webhook of your own is written as jsons://host/path" if scheme == "https" else ""
    raise ValueError(f"this is not a complete {scheme}:// address: see docs/channels.md{own}")


def scheme_of(url: str) -> str:
    """The scheme (before ://) in lower case; "" if there is none."""
    return url.partition("://")[0].strip().lower() if "://" in url else ""


def follows_each(url: str) -> bool:
    """Whether the receiver keeps an incident for each thread, as PagerDuty does and any program behind a webhook may.
    Then each incident gets its own messages."""
    return scheme_of(url) in ("pagerduty", "jsons", "json")


def _through_apprise(url: str, scheme: str) -> Other:
    known = ", ".join(f"{each}://" for each in _SERVICES)
    if scheme and find_spec("apprise") is None:
        raise ValueError(f"{scheme}:// {NOT_INSTALLED}; without it an address begins with one of {known}")
    if scheme:
        from guardian.mail.channels.others import Other, knows

        if knows(scheme):
            return Other(url)
    raise ValueError(f"this is not a channel's address: it begins with one of {known}")


def _host(sender: Sender) -> str:
    """The host that is asked first. Raises Incomplete, InvalidURL and ValueError as soon as the address is at fault."""
    return URL(next(sender.say(_ANY)).url).raw_host.decode()


def check_address(address: str, allow_private: bool) -> None:
    """Raises ValueError for an address without a possible sender, and for a private host that is not allowed. A host
    that Guardian cannot see, as with Apprise, counts as private.
    """
    sender = make_sender(address)
    if allow_private:
        return
    if not isinstance(sender, Sender):
        raise ValueError(
            f"{scheme_of(address)}:// goes through Apprise, which may reach private hosts too: "
            "set allow_private = true if this is meant"
        )
    if is_private_host(_host(sender)):
        raise ValueError("its host is private, which is refused: set allow_private = true if this is meant")

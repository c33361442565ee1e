"""The services that a channel may use, and what each needs said its own way. Imports Apprise: only where it is used."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from apprise import Apprise, AppriseAsset, NotifyBase

from guardian.mail.channels.addresses import is_private_host
from guardian.mail.channels.exchange import quiet
from guardian.mail.channels.message import ChannelMessage, Markup, harmless, shortened

LONGEST_TEXT, LONGEST_TITLE = 3000, 190
"""Characters, where the service does not allow fewer: more is folded or cut by the readers' programs."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how it reads text, how much of it, and whether its address names the server it is on."""

    name: str
    markup: Markup
    longest: int = LONGEST_TEXT
    hosted: bool = False
    linked: bool = False
    """Whether the message's `url` goes into a field of its own, instead of to the end of the text."""


_SERVICES = {
    "NotifySlack": Service("Slack", "slack"),
    "NotifyWorkflows": Service("Teams", "teams", hosted=True),
    "NotifyDiscord": Service("Discord", "discord"),
    # Apprise sends what is over 7,800 bytes of JSON as a file; a character can be six of them.
    "NotifyNtfy": Service("ntfy", "plain", longest=1000, hosted=True, linked=True),
    "NotifyPagerDuty": Service("PagerDuty", "plain", linked=True),
    "NotifyJSON": Service("the webhook", "plain", hosted=True, linked=True),
}
_SCHEMES = ("slack", "workflows", "workflow", "discord", "ntfys", "ntfy", "pagerduty", "jsons", "json", "https")
_OWN = {"format", "template", "emojis", "overflow", "redirect", "retry", "wait", "rto", "cto", "store"}
"""What Apprise lets an address say, and would undo the escaping or the time limits."""
_TYPES = {"info": "info", "warning": "warning", "critical": "failure"}


def service_of(plugin: NotifyBase) -> Service:
    """Which service it is. Raises KeyError for any but those above."""
    return _SERVICES[type(plugin).__name__]


def make_plugin(url: str) -> NotifyBase:
    """Apprise's sender for this address. It keeps what it learns from answers, so each message wants a new one.

    Raises ValueError with one sentence, without the address: it is a secret.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _SCHEMES:
        known = ", ".join(f"{each}://" for each in _SCHEMES[:-1])
        raise ValueError(f"this is not a channel's address: it begins with one of {known}")
    for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name.lower() in _OWN:
            raise ValueError(f"the address has {name.lower()}=, which Guardian sets itself: take it out")
    asset = AppriseAsset(
        app_id="Guardian", app_desc="Guardian", image_url_mask="", image_url_logo="",
        async_mode=False, http_redirects=False, storage_mode="memory",
    )  # fmt: skip
    with quiet():
        plugin = Apprise.instantiate(url, asset=asset)
    if plugin is None or type(plugin).__name__ not in _SERVICES:
        own = "; a webhook of your own is written as jsons://host/path" if scheme == "https" else ""
        raise ValueError(f"this is not a complete {scheme}:// address: see docs/channels.md{own}")
    if len(plugin) != 1:
        raise ValueError("the address names several receivers: make each a channel of its own")
    return plugin


def is_private(plugin: NotifyBase) -> bool:
    """Whether the address names a private host, as it is written."""
    hosted = service_of(plugin).hosted and getattr(plugin, "mode", None) != "cloud"
    return hosted and is_private_host(plugin.host)


def notify(plugin: NotifyBase, message: ChannelMessage) -> bool:
    """Send the message, made harmless for the service; whether Apprise holds it for accepted."""
    service = service_of(plugin)

    def written(text: str) -> str:
        return harmless(text, service.markup)

    title = written(shortened(message.title, LONGEST_TITLE, written))
    tail = "" if service.linked or not message.url else f"\n\n{message.url}"
    room = min(service.longest, plugin.body_maxlen - len(title) - 4) - len(tail)
    body = written(shortened(message.text or message.title, room, written)) + tail
    if service.name == "PagerDuty":
        plugin.source = plugin.component = "Guardian"
        plugin.click, plugin.dedup = plugin.click or message.url, plugin.dedup or message.thread
        plugin.action = "resolve" if message.resolved and message.thread else plugin.action
    elif service.name == "ntfy":
        plugin.click = plugin.click or message.url
    elif service.name == "the webhook":
        facts = {"severity": message.severity, "url": message.url, "thread": message.thread}
        plugin.payload_extras = {**facts, "resolved": message.resolved, **plugin.payload_extras}
    kind = "success" if message.resolved else _TYPES.get(message.severity, "warning")
    # Text that is escaped already goes to Teams as the markdown it is; the others take it as plain text.
    form = "markdown" if service.markup == "teams" else "text"
    return bool(plugin.notify(body=body, title=title, notify_type=kind, body_format=form))

"""PagerDuty's Events API V2 (developer.pagerduty.com): one incident a thread, and its end."""

from __future__ import annotations

import hashlib
from typing import Any

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address
from guardian.mail.channels.sender import Conversation, Request, Say, filled, kind, written

_URLS = {"us": "https://events.pagerduty.com/v2/enqueue", "eu": "https://events.eu.pagerduty.com/v2/enqueue"}
_SEVERITIES = {"info": "info", "success": "info", "warning": "warning", "failure": "critical"}


def pagerduty(address: Address) -> Say | None:
    """How to say a message to this address, None for one that is not complete."""
    key, api = address.option("integrationkey") or address.user, address.option("apikey") or address.host
    url = _URLS.get(address.option("region").lower() or "us")
    forced, asked = address.option("severity").lower(), address.option("action").lower() or "trigger"
    severity = next((each for each in ("info", "warning", "critical", "error") if each.startswith(forced)), None)
    action = next((each for each in ("trigger", "map", "resolve") if each.startswith(asked)), None)
    if not key or not api or url is None or severity is None or action is None:
        return None
    details = dict(address.extras.get("+", {}))
    about = {"group": address.option("group"), "class": address.option("class"), "custom_details": details}

    def say(message: ChannelMessage) -> Conversation:
        title, text = written(message, "plain", 1024, titled=True, linked=True)
        dedup = address.option("dedup") or message.thread
        resolved = action == "resolve" or (message.over and bool(action == "map" or message.thread))
        if not dedup and action != "trigger":
            dedup = hashlib.sha256(title.strip().encode()).hexdigest()
        body: dict[str, Any] = {"routing_key": key, "event_action": "resolve", "dedup_key": dedup}
        if not resolved:
            summary = {"summary": f"{title}\r\n{text}", "source": "Guardian", "component": "Guardian"}
            summary["severity"] = severity if forced else _SEVERITIES[kind(message)]
            click = address.option("click") or message.url
            body |= {"event_action": "trigger", "client": "Guardian"}
            body["payload"] = summary | filled(about)
            body |= {"links": [{"href": click}]} if click else {}
        yield Request(url, filled(body), {"Authorization": f"Token token={api}"})

    return say

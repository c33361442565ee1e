"""PagerDuty's Events API V2 (developer.pagerduty.com): one incident a thread, and its end."""

from __future__ import annotations

import hashlib
from typing import Any

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, need
from guardian.mail.channels.sender import Conversation, Request, filled, kind, written

_URLS = {"us": "https://events.pagerduty.com/v2/enqueue", "eu": "https://events.eu.pagerduty.com/v2/enqueue"}
_SEVERITIES = {"info": "info", "success": "info", "warning": "warning", "failure": "critical"}


def pagerduty(address: Address, message: ChannelMessage) -> Conversation:
    """Opens, goes on with or ends the incident of the message's thread; see Service."""
    key, api = address.option("integrationkey") or address.user, address.option("apikey") or address.host
    url = _URLS.get(address.option("region").lower() or "us", "")
    severity = address.choice("severity", ("info", "warning", "critical", "error"), _SEVERITIES[kind(message)])
    action = address.choice("action", ("trigger", "map", "resolve"), "trigger")
    need(key, api, url, severity, action)
    title, text = written(message, "plain", 1024, titled=True, linked=True)
    resolved = action == "resolve" or (message.over and (action == "map" or message.thread))
    dedup = address.option("dedup") or message.thread
    if not dedup and action != "trigger":
        dedup = hashlib.sha256(title.strip().encode()).hexdigest()
    body: dict[str, Any] = {"routing_key": key, "event_action": "resolve", "dedup_key": dedup}
    if not resolved:
        about = {
            "group": address.option("group"),
            "class": address.option("class"),
            "custom_details": address.extras["+"],
        }
        summary = {"summary": f"{title}\r\n{text}", "source": "Guardian", "component": "Guardian", "severity": severity}
        click = address.option("click") or message.url
        body |= {"event_action": "trigger", "client": "Guardian", "payload": summary | filled(about)}
        body["links"] = [{"href": click}] if click else []
    yield Request(url, filled(body), {"Authorization": f"Token token={api}"})

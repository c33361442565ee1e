"""Microsoft Teams, through a workflow that posts what its webhook gets: an Adaptive Card (learn.microsoft.com)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, need
from guardian.mail.channels.sender import Conversation, Request, written


def teams(address: Address, message: ChannelMessage) -> Conversation:
    """Has the workflow post the message; see Service."""
    workflow, signed, *_ = [*filter(None, [address.option("workflow", "id")]), *address.path, "", ""]
    signature, route = address.option("signature", "sig") or signed, address.option("route", "routeid")
    need(address.host, *(re.fullmatch(r"[\w-]+", each) for each in (workflow, signature)), (route or "0").isdecimal())
    automate = address.flag("powerautomate", address.flag("pa", False))
    version = address.option("api-version", "ver") or ("2022-03-01-preview" if automate else "2016-06-01")
    base = ("/powerautomate/automations/direct" + (f"/cu/{route}" if route else "")) if automate else ""
    query = urlencode({"api-version": version, "sp": "/triggers/manual/run", "sv": "1.0", "sig": signature})
    title, text = written(message, "teams", 1000, titled=True)
    head = {"type": "TextBlock", "text": title, "style": "heading", "weight": "Bolder", "size": "Large", "id": "title"}
    body = {"type": "TextBlock", "text": text, "style": "default", "wrap": address.flag("wrap", True), "id": "body"}
    url = f"https://{address.place}{base}/workflows/{workflow}/triggers/manual/paths/invoke?{query}"
    yield Request(url, _card([head, body]))


def _card(body: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": body, "msteams": {"width": "full"},
    }  # fmt: skip
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [card]}

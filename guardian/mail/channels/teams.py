"""Microsoft Teams, through a workflow that posts what its webhook gets: an Adaptive Card (learn.microsoft.com)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address
from guardian.mail.channels.sender import Conversation, Request, Say, written

_AUTOMATE = "/powerautomate/automations/direct"
_SHOWN = re.compile(
    rf"(?P<pa>{_AUTOMATE}(?:/cu/(?P<route>\d+))?)?/workflows/(?P<id>[\w-]+)/triggers/manual/paths/invoke/?", re.I
)


def shown(address: Address) -> Address | None:
    """The address that Teams shows for the workflow, in our own form; None for another page's."""
    found = _SHOWN.fullmatch(address.route)
    if found is None:
        return None
    told = {"id": found["id"], "pa": "yes" if found["pa"] else "", "route": found["route"] or ""}
    return replace(address, scheme="workflows", route="", options={**address.options, **told})


def teams(address: Address) -> Say | None:
    """How to say a message to this address, None for one that is not complete."""
    words = address.path
    workflow = address.option("workflow", "id") or "".join(words[:1])
    rest = words if address.option("workflow", "id") else words[1:]
    signature, route = address.option("signature", "sig") or "".join(rest[:1]), address.option("route", "routeid")
    if not address.host or not re.fullmatch(r"[\w-]+", workflow) or not re.fullmatch(r"[\w-]+", signature):
        return None
    if route and not route.isdecimal():
        return None
    automate = address.flag("powerautomate", address.flag("pa", False))
    version = address.option("api-version", "ver") or ("2022-03-01-preview" if automate else "2016-06-01")
    base = (_AUTOMATE + (f"/cu/{route}" if route else "")) if automate else ""
    query = urlencode({"api-version": version, "sp": "/triggers/manual/run", "sv": "1.0", "sig": signature})
    url = f"https://{address.place}{base}/workflows/{workflow}/triggers/manual/paths/invoke?{query}"

    def say(message: ChannelMessage) -> Conversation:
        title, text = written(message, "teams", 1000, titled=True)
        head = {"type": "TextBlock", "text": title, "style": "heading", "weight": "Bolder", "size": "Large"}
        body = {"type": "TextBlock", "text": text, "style": "default", "wrap": address.flag("wrap", True)}
        yield Request(url, _card([head | {"id": "title"}, body | {"id": "body"}]))

    return say


def _card(body: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": body, "msteams": {"width": "full"},
    }  # fmt: skip
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [card]}

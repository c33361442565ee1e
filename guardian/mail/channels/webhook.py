"""Any webhook that takes JSON: see docs/channels.md for what it gets."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address
from guardian.mail.channels.sender import Conversation, Request, Say, basic, kind, written

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name: RFC 9110 (5.1)."""
_METHODS = ("POST", "GET", "DELETE", "PUT", "HEAD", "PATCH", "UPDATE", "OPTIONS")


def webhook(address: Address) -> Say | None:
    """How to say a message to this address, None for one that is not complete."""
    method = address.option("method").upper() or "POST"
    given = address.extras.get("+", {})
    if not address.host or method not in _METHODS or not all(_FIELD.fullmatch(name) for name in given):
        return None
    query = urlencode(address.extras.get("-", {}))
    scheme = "https" if address.scheme == "jsons" else "http"
    url = f"{scheme}://{address.place}{address.route or '/'}" + (f"?{query}" if query else "")
    headers = basic(address.user, address.password) | dict(given)

    def say(message: ChannelMessage) -> Conversation:
        title, text = written(message, "plain", linked=True)
        body: dict[str, Any] = {"version": "1.0", "title": title, "message": text, "attachments": []}
        body["type"] = kind(message)
        facts: dict[str, Any] = {"severity": message.severity, "url": message.url, "thread": message.thread}
        facts |= {"resolved": message.resolved, "over": message.over, "change": message.change}
        extras = {**facts, **address.extras.get(":", {})}
        for name, value in extras.items():
            if name not in body:
                body[name] = value
            else:  # one of the first five is renamed, or left out
                said = body.pop(name)
                body |= {str(value): said} if value else {}
        yield Request(url, body, headers, method)

    return say

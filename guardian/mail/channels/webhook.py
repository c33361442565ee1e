"""Any webhook that takes JSON: see docs/channels.md for what it gets."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, need
from guardian.mail.channels.sender import Conversation, Request, basic, kind, written

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name: RFC 9110 (5.1)."""
_METHODS = ("POST", "GET", "DELETE", "PUT", "HEAD", "PATCH", "UPDATE", "OPTIONS")


def webhook(address: Address, message: ChannelMessage) -> Conversation:
    """Posts the message and its facts; see Service."""
    method, given = address.option("method").upper() or "POST", address.extras["+"]
    need(address.host, method in _METHODS, all(_FIELD.fullmatch(name) for name in given))
    scheme, query = "https" if address.scheme == "jsons" else "http", urlencode(address.extras["-"])
    url = f"{scheme}://{address.place}{address.route or '/'}" + (f"?{query}" if query else "")
    facts = asdict(message) | dict(zip(("title", "text"), written(message, "plain", linked=True), strict=True))
    body: dict[str, Any] = {"version": "1.0", "title": facts.pop("title"), "message": facts.pop("text")}
    body |= {"attachments": [], "type": kind(message)}
    for name, value in (facts | dict(address.extras[":"])).items():
        if name not in body:
            body[name] = value
        else:  # one of the first five is renamed, or left out
            said = body.pop(name)
            body |= {value: said} if value else {}
    yield Request(url, body, basic(address.user, address.password) | dict(given), method)

"""Slack: incoming webhooks, a bot's chat.postMessage, and the webhooks of workflows (docs.slack.dev)."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import urlencode

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, need, only, parted
from guardian.mail.channels.sender import Answer, Conversation, Request, kind, written
from guardian.mail.transport import DeliveryError, PermanentError

_API = "https://slack.com/api/"
_MODES = {  # how many words the token has, each word's form, and where it is sent to
    "hook": (3, r"[A-Z0-9]+", "https://hooks.slack.com/services/"),
    "gov-hook": (3, r"[A-Z0-9]+", "https://hooks.slack-gov.com/services/"),
    "workflow": (4, r"[\w-]+", "https://hooks.slack.com/workflows/"),
    "trigger": (3, r"[\w-]+", "https://hooks.slack.com/triggers/"),
    "bot": (1, r"(xoxe\.)?xox[abp]-[A-Z0-9-]+", ""),
}
_COLORS = {"info": "#3AA3E3", "success": "#3AA337", "warning": "#CACF29", "failure": "#A32037"}
_CHANNEL = re.compile(r"([+#@]?[A-Z0-9_-]{1,32})(?::([0-9.]+))?", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LATER = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
"""Slack's web API always answers 200; these of its errors are temporary (docs.slack.dev, chat.postMessage)."""


def slack(address: Address, message: ChannelMessage) -> Conversation:
    """Says the message in the one channel; a receiver that is an email address is looked up first. See Service."""
    token = parted(address.option("token")) or address.words
    mode = address.choice("mode", _MODES, "bot" if token and token[0].startswith("xo") else "hook")
    need(mode)
    count, form, url = _MODES[mode]
    target = only([each for word in address.words[count:] for each in parted(word)] + parted(address.option("to")))
    target = target or ("general" if mode == "bot" else "")
    channel, email = _CHANNEL.fullmatch(target), mode == "bot" and _EMAIL.fullmatch(target)
    need(len(token) >= count, *(re.fullmatch(form, each, re.IGNORECASE) for each in token[:count]))
    need(not target or email or (channel and mode not in ("workflow", "trigger")))
    headers = {"Accept": "application/json", "Content-Type": "application/json; charset=utf-8"}
    headers |= {"Authorization": f"Bearer {token[0]}"} if mode == "bot" else {}
    url = url + "/".join(token[:count]) if url else f"{_API}chat.postMessage"
    title, text = (html.escape(each, quote=False) for each in written(message, "slack"))
    if mode in ("workflow", "trigger"):
        yield Request(url, {"text": f"{title}: {text}"}, headers)
        return
    body = _body(address, title, text, _COLORS[kind(message)])
    if email:
        asked = f"{_API}users.lookupByEmail?{urlencode({'email': target})}"
        user = _well((yield Request(asked, None, headers, "GET"))).get("user")
        body["channel"] = user.get("id", "") if isinstance(user, dict) else ""
    elif channel:
        name, thread = channel.groups()
        body |= {"thread_ts": thread} if thread else {}
        body["channel"] = name[1:] if name[0] == "+" else name if name[0] in "#@" else f"#{name}"
    answer = yield Request(url, body, headers)
    if mode == "bot" or answer.content.strip() != b"ok":
        _well(answer)


def _body(address: Address, title: str, text: str, color: str) -> dict[str, Any]:
    """What is said, where Slack formats nothing of it."""
    user, footer = {"username": address.user} if address.user else {}, address.flag("footer", True)
    if not address.flag("blocks", False):
        attachment = {"title": title, "text": text, "color": color} | ({"footer": "Guardian"} if footer else {})
        return {"mrkdwn": False, "attachments": [attachment], **user}
    head, said, foot = ({"type": "plain_text", "text": each} for each in (title, text, "Guardian"))
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {**head, "emoji": True}}]
    blocks += [{"type": "section", "text": said}, *([{"type": "context", "elements": [foot]}] if footer else [])]
    return {"attachments": [{"blocks": blocks, "color": color}], **user}


def _well(answer: Answer) -> dict[str, Any]:
    """The answer's JSON if it says ok. Otherwise raises an error with Slack's code, and never with other text."""
    try:
        found = json.loads(answer.content)
        if found["ok"] is True:
            return dict(found)
        code = str(found["error"])
    except (ValueError, TypeError, KeyError):
        code = ""
    if not re.fullmatch(r"[a-z_]{1,60}", code):
        raise DeliveryError("Slack answered with an answer that is not its ok")
    raise (DeliveryError if code in _LATER else PermanentError)(f"Slack answered with {code}")

"""Slack: incoming webhooks, a bot's chat.postMessage, and the webhooks of workflows (docs.slack.dev)."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, only
from guardian.mail.channels.sender import Answer, Conversation, Request, Say, color, written
from guardian.mail.transport import DeliveryError, PermanentError

_API = "https://slack.com/api/"
_MODES = {  # how many words the token has, each word's form, and where it is sent to
    "hook": (3, r"[A-Z0-9]+", "https://hooks.slack.com/services/"),
    "gov-hook": (3, r"[A-Z0-9]+", "https://hooks.slack-gov.com/services/"),
    "workflow": (4, r"[\w-]+", "https://hooks.slack.com/workflows/"),
    "trigger": (3, r"[\w-]+", "https://hooks.slack.com/triggers/"),
    "bot": (1, r"(xoxe\.)?xox[abp]-[A-Z0-9-]+", ""),
}
_SHOWN = {url.removeprefix("https://"): mode for mode, (_, _, url) in _MODES.items() if url}
_CHANNEL = re.compile(r"([+#@]?[A-Z0-9_-]{1,32})(?::([0-9.]+))?", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LATER = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
"""Slack's web API says 200 to all; these of its errors pass (docs.slack.dev, chat.postMessage)."""


def shown(address: Address) -> Address | None:
    """The address that Slack's page shows, in our own form; None for another page's."""
    mode = _SHOWN.get(f"{address.host}/{''.join(address.path[:1])}/")
    if mode is None:
        return None
    options = {**address.options, "mode": mode}
    return replace(address, scheme="slack", host="", route="/".join(address.path[1:]), options=options)


def slack(address: Address) -> Say | None:
    """How to say a message to this address, None for one that is not complete.

    Raises ValueError for several receivers.
    """
    words, token = [each for each in (address.host, *address.path) if each], _split(address.option("token"))
    bot = (token or words or [""])[0].startswith("xo")
    wanted = address.option("mode") or ("bot" if bot else "hook")
    mode = next((each for each in _MODES if each.startswith(wanted)), None)
    if mode is None:
        return None
    count, form, url = _MODES[mode]
    words = token[:count] + words[1 if bot else count :] if token else words
    targets = sorted({each for word in words[count:] for each in re.split(r"[\s,;|]+", word) if each})
    targets += _split(address.option("to"))
    if len(words) < count or not all(re.fullmatch(form, each, re.IGNORECASE) for each in words[:count]):
        return None
    target = only(targets) or ("general" if mode == "bot" else "")
    email = mode == "bot" and _EMAIL.fullmatch(target)
    if target and (mode in ("workflow", "trigger") or not (email or _CHANNEL.fullmatch(target))):
        return None
    headers = {"Accept": "application/json", "Content-Type": "application/json; charset=utf-8"}
    headers |= {"Authorization": f"Bearer {words[0]}"} if mode == "bot" else {}

    def say(message: ChannelMessage) -> Conversation:
        title, text = (html.escape(each, quote=False) for each in written(message, "slack"))
        if mode in ("workflow", "trigger"):
            yield Request(url + "/".join(words), {"text": f"{title}: {text}"}, headers)
            return
        body = _blocks(address, title, text) if address.flag("blocks", False) else _attachment(address, title, text)
        body["attachments"][0]["color"] = color(message)
        body |= {"username": address.user} if address.user else {}
        if email:
            asked = f"{_API}users.lookupByEmail?{urlencode({'email': target})}"
            found = _well((yield Request(asked, None, headers, "GET")))
            user = found.get("user")
            body["channel"] = user.get("id", "") if isinstance(user, dict) else ""
        elif target:
            name, thread = _CHANNEL.fullmatch(target).groups()  # type: ignore[union-attr]
            body |= {"thread_ts": thread} if thread else {}
            body["channel"] = name[1:] if name[0] == "+" else name if name[0] in "#@" else f"#{name}"
        answer = yield Request(url + "/".join(words[:count]) if url else f"{_API}chat.postMessage", body, headers)
        if url == "" or answer.content.strip() != b"ok":
            _well(answer)

    return say


def _split(text: str) -> list[str]:
    return [each for each in re.split(r"[\s,#\\/]+", text) if each]


def _attachment(address: Address, title: str, text: str) -> dict[str, Any]:
    footer = {"footer": "Guardian"} if address.flag("footer", True) else {}
    return {"mrkdwn": False, "attachments": [{"title": title, "text": text, **footer}]}


def _blocks(address: Address, title: str, text: str) -> dict[str, Any]:
    def plain(said: str) -> dict[str, Any]:
        return {"type": "plain_text", "text": said}

    head = {"type": "header", "text": plain(title) | {"emoji": True}}
    foot = [{"type": "context", "elements": [plain("Guardian")]}] if address.flag("footer", True) else []
    return {"attachments": [{"blocks": [head, {"type": "section", "text": plain(text)}, *foot]}]}


def _well(answer: Answer) -> dict[str, Any]:
    """The answer's JSON where it says ok. Raises what it says instead: a code of Slack's, never other text."""
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

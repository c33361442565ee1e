"""ntfy, at ntfy.sh or a server of one's own (docs.ntfy.sh, Publish as JSON)."""

from __future__ import annotations

import re
from dataclasses import replace
from posixpath import basename
from urllib.parse import quote, urlsplit

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, only
from guardian.mail.channels.sender import Conversation, Request, Say, basic, filled, kind, written

_TOPIC = re.compile(r"[a-z0-9_-]{1,64}", re.IGNORECASE)
_PRIORITIES = {
    "l": "low", "mo": "low", "n": "", "h": "high", "e": "max", "mi": "min", "ma": "max", "d": "",
    "1": "min", "2": "low", "3": "", "4": "high", "5": "max",
}  # fmt: skip
"""What a priority may begin with, and ntfy's name for it: "" is its default."""


_LOUD = {"failure": "max", "warning": "high"}
"""The priority of a message by its sort, where the address sets none; that of good news and of info is the default."""
_EMOJI = {"failure": "rotating_light", "warning": "warning", "success": "white_check_mark"}
"""The tag that ntfy shows as a picture, by the message's sort."""


def shown(address: Address) -> Address | None:
    """The address of a topic's page at ntfy.sh, in our own form; None for another page's."""
    if address.host.lower() != "ntfy.sh":
        return None
    return replace(address, scheme="ntfys", options={**address.options, "mode": "cloud"})


def ntfy(address: Address) -> Say | None:
    """How to say a message to this address, None for one that is not complete.

    Raises ValueError for several topics.
    """
    topics = address.path + [each for each in re.split(r"[\s,;|/]+", address.option("to")) if each]
    mode = address.option("mode").lower() or ("private" if address.host and topics else "cloud")
    if mode == "cloud" and "ntfy.sh" not in address.host.lower():
        topics.append(address.host)
    topics = sorted({each for each in topics if _TOPIC.fullmatch(each)})
    login = _login(address)
    if not topics or login is None or mode not in ("private", "cloud") or (mode == "private" and not address.host):
        return None
    topic = only(topics)
    url = f"{'https' if address.scheme == 'ntfys' else 'http'}://{address.place}/"
    url, login = (url, login) if mode == "private" else ("https://ntfy.sh/", {})
    priority = address.option("priority").lower()
    fixed = {
        "X-Delay": address.option("delay"),
        "X-Email": address.option("email"),
        "X-Actions": address.option("actions"),
        "X-Icon": address.option("avatar_url") if address.flag("image", True) else "",
    }
    forced = next((name for start, name in _PRIORITIES.items() if priority.startswith(start)), "") if priority else None
    tags = sorted(filter(None, re.split(r"[\s,;|/]+", address.option("xtags", "tags"))))
    attach = address.option("attach")
    file = basename(address.option("filename") or urlsplit(attach).path) if attach else ""
    attached = filled({"attach": attach, "filename": file})

    def say(message: ChannelMessage) -> Conversation:
        # What is over 4,096 bytes ntfy makes a file of; as JSON, a character can be six bytes.
        title, text = written(message, "plain", 1000, linked=True)
        click = quote(address.option("click") or message.url, safe=":/?@&=#%+,;[]!$'()*~")
        loud = {"X-Priority": _LOUD.get(kind(message), "") if forced is None else forced}
        loud["X-Tags"] = ",".join([*filter(None, [_EMOJI.get(kind(message), "")]), *tags])
        headers = filled({**fixed, **loud, "X-Click": click})
        yield Request(url, {"topic": topic, **attached, "title": title, "message": text}, headers | login)

    return say


def _login(address: Address) -> dict[str, str] | None:
    """The header that logs in, None where a token is asked for and none is given."""
    token, auth = address.option("token"), address.option("auth").lower()
    if not auth:
        auth = "token" if token or (address.user.lower().startswith("tk_") and not address.password) else "basic"
    if auth == "basic":
        return basic(address.user, address.password)
    token = token or address.password or address.user
    return {"Authorization": f"Bearer {token}"} if auth == "token" and token else None

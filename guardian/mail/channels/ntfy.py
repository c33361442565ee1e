"""ntfy, at ntfy.sh or a server of one's own (docs.ntfy.sh, Publish as JSON)."""

from __future__ import annotations

import re
from posixpath import basename
from urllib.parse import quote, urlsplit

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, need, only, parted
from guardian.mail.channels.sender import Conversation, Request, basic, filled, kind, written

_TOPIC = re.compile(r"[a-z0-9_-]{1,64}", re.IGNORECASE)
_PRIORITIES = {"l": "low", "mo": "low", "h": "high", "e": "max", "mi": "min", "ma": "max"}
_PRIORITIES |= {"1": "min", "2": "low", "4": "high", "5": "max"}
"""The prefixes of a priority, and ntfy's name for it; any other means ntfy's default."""
_SORTS = {"failure": ("max", "rotating_light"), "warning": ("high", "warning"), "success": ("", "white_check_mark")}
"""For each kind of message, its priority if the address sets none, and the tag that ntfy shows as an emoji."""


def ntfy(address: Address, message: ChannelMessage) -> Conversation:
    """Publishes the message to the one topic; see Service."""
    topics = address.path + parted(address.option("to"))
    cloud = address.choice("mode", ("private", "cloud"), "private" if address.host and topics else "cloud") == "cloud"
    if cloud and "ntfy.sh" not in address.host.lower():
        topics.append(address.host)
    login = _login(address)
    topic = only(filter(_TOPIC.fullmatch, topics))
    need(topic, cloud or address.host, address.option("mode").lower() in ("", "private", "cloud"))
    url = f"{'https' if address.scheme == 'ntfys' else 'http'}://{address.place}/"
    loud, picture = _SORTS.get(kind(message), ("", ""))
    if priority := address.option("priority").lower():
        loud = next((name for start, name in _PRIORITIES.items() if priority.startswith(start)), "")
    # ntfy turns more than 4,096 bytes into an attachment; in JSON, a character can take six bytes.
    title, text = written(message, "plain", 1000, linked=True)
    headers = {
        "X-Delay": address.option("delay"),
        "X-Email": address.option("email"),
        "X-Actions": address.option("actions"),
        "X-Icon": address.option("avatar_url") if address.flag("image", True) else "",
        "X-Priority": loud,
        "X-Tags": ",".join(filter(None, [picture, *sorted(parted(address.option("xtags", "tags")))])),
        "X-Click": quote(address.option("click") or message.url, safe=":/?@&=#%+,;[]!$'()*~"),
    }
    attach = address.option("attach")
    file = basename(address.option("filename") or urlsplit(attach).path) if attach else ""
    body = {"topic": topic, **filled({"attach": attach, "filename": file}), "title": title, "message": text}
    yield Request("https://ntfy.sh/" if cloud else url, body, filled(headers) | ({} if cloud else login))


def _login(address: Address) -> dict[str, str]:
    """The Authorization header. Raises Incomplete if a token is required and missing."""
    token, auth = address.option("token"), address.option("auth").lower()
    bare = address.user.lower().startswith("tk_") and not address.password
    if auth == "basic" or not (auth or token or bare):
        return basic(address.user, address.password)
    token = token or address.password or address.user
    need(token, auth in ("", "token"))
    return {"Authorization": f"Bearer {token}"}

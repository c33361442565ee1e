"""A channel's message: how the outbox stores it, and escaping its text for each service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from guardian.core.bidi import balanced, bare

Markup = Literal["plain", "slack", "discord", "teams"]
"""How a service reads text: literally, or with mentions and markup that have to be escaped."""

_NO_SPACE = "\u200b"
"""ZERO WIDTH SPACE: invisible, but ends a word."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")
# Like escape_mentions in discord.py: Discord finds mentions despite a backslash.
_MENTION = re.compile(r"@(?=everyone|here|channel|[!&]?\d)", re.IGNORECASE)
_SHORTCODE = re.compile(r":(?=[\w+'-]+:)")
# CommonMark (2.4): a backslash before punctuation makes it literal.
_PUNCTUATION = re.compile(r"[\\`*_~|<>\[\](){}#+\-.!&:]")


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """What one message says. `severity` is info, warning or critical; `url` is where to look, "" for nowhere. Messages
    with the same `thread` belong together, and one with `over` is the last of them. `resolved` says that all is well
    again, which is unknown for something no longer watched. `change` is what happened to the one incident that it is
    about, "" for several.
    """

    title: str
    text: str
    severity: str = "info"
    url: str = ""
    thread: str = ""
    resolved: bool = False
    over: bool = False
    change: str = ""

    def packed(self) -> bytes:
        """The body of an outbox row: a JSON object with these fields, as plain text without control characters."""
        text = balanced(_CONTROL.sub("", self.text).strip())
        said = asdict(self) | {"title": _line(self.title), "text": text, "over": self.over or self.resolved}
        return json.dumps(said, ensure_ascii=False).encode()


def read_message(body: bytes) -> ChannelMessage:
    """The message of a body that `packed` made. Raises ValueError with one sentence where it is none."""
    try:
        return ChannelMessage(**json.loads(body))
    except (ValueError, TypeError):
        raise ValueError("this is not a channel's message") from None


def _line(text: str) -> str:
    return bare(" ".join(_CONTROL.sub(" ", text).split()))


def harmless(text: str, markup: Markup) -> str:
    """The text escaped so that it appears literally: no mentions, no formatting, no emoji from :names:.

    Slack's &, < and > are not touched: its sender writes them as entities.
    """
    if markup == "plain":
        return text
    text = _MENTION.sub("@" + _NO_SPACE, text)
    if markup == "slack":
        return _SHORTCODE.sub(":" + _NO_SPACE, text)  # Slack has no escape for :name:
    text = _PUNCTUATION.sub(r"\\\g<0>", text)
    return text.replace("\n", "\n\n") if markup == "teams" else text


def shortened(text: str, room: int, written: Callable[[str], str]) -> str:
    """The text, or its beginning and "…", such that `written` turns it into at most `room` characters."""
    if len(written(text)) <= room:
        return text
    low, high = 0, len(text)  # bisection: a shorter beginning never gets longer by `written`
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(written(text[:middle])) < room else (low, middle - 1)
    return text[:low].rstrip() + "…"

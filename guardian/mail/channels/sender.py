"""The interface of a service's sender: a sans-I/O conversation of requests and answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from guardian.mail.channels.message import ChannelMessage, Markup, harmless, shortened
from guardian.mail.channels.parts import Address

LONGEST_TEXT, LONGEST_TITLE = 3000, 190
"""Characters, where the service does not allow fewer: more is folded or cut by the readers' programs."""
_TYPES = {"info": "info", "critical": "failure"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: `body` goes out as JSON, None as nothing."""

    url: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    def content(self) -> bytes:
        """The bytes that are sent."""
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `content` is the beginning of the answer's body, as it was sent."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""


Conversation = Generator[Request, Answer, None]
"""A generator of the requests that a message needs. It is sent the 2xx answer to each, and raises DeliveryError or
PermanentError if the body reports an error after all."""
Service = Callable[[Address, ChannelMessage], Conversation]
"""How a service is told a message at an address. Before its first request it raises, whatever the message, Incomplete
for an address that it cannot use, and ValueError with one sentence for one with several receivers."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A service at one address. `name` is its name; `verify` whether its TLS certificate must be trusted."""

    name: str
    say: Callable[[ChannelMessage], Conversation]
    verify: bool = True


def written(
    message: ChannelMessage, markup: Markup, longest: int = LONGEST_TEXT, *, titled: bool = False, linked: bool = False
) -> tuple[str, str]:
    """Title and text, escaped, with at most `longest` characters of text (with `titled`: of title and text). With
    `linked` the message's URL is sent separately instead of at the end of the text.
    """

    def shown(text: str) -> str:
        return harmless(text, markup)

    title = shown(shortened(message.title, LONGEST_TITLE, shown))
    tail = "" if linked or not message.url else f"\n\n{message.url}"
    room = min(LONGEST_TEXT, longest - (len(title) + 4 if titled else 0)) - len(tail)
    return title, shown(shortened(message.text or message.title, room, shown)) + tail


def kind(message: ChannelMessage) -> str:
    """The kind of message: info, success (resolved), warning or failure (critical)."""
    return "success" if message.resolved else _TYPES.get(message.severity, "warning")


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not empty."""
    return {name: value for name, value in values.items() if value}


def basic(user: str, password: str | None) -> dict[str, str]:
    """The header that logs in with a password (RFC 7617), none without a user."""
    login = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    return {"Authorization": f"Basic {login}"} if user else {}

"""Links in mails that act on an incident: signed, expiring, each with a nonce, so that it works once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from itsdangerous import BadData, URLSafeSerializer

from guardian.alerting.actions import Action, parse_action
from guardian.core.language import marked

LIFETIME = timedelta(days=7)
"""How long a link that acts on an incident works."""

UNSUBSCRIBE_LIFETIME = timedelta(days=366)
"""How long an unsubscribe link works: people unsubscribe from old mails too."""

WORDS: dict[Action, str] = {
    "acknowledge": marked("Acknowledge"),
    "silence-1h": marked("Silence for 1 hour"),
    "silence-8h": marked("Silence for 8 hours"),
    "silence-morning": marked("Silence until morning"),
    "fixed": marked("Mark as fixed"),
    "resolve": marked("Resolve"),
}
"""What the buttons say."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link means: an action on an incident by the person whom the mail was sent to."""

    incident: str
    action: Action
    by: str
    expires: int
    nonce: str


class BadLink(ValueError):
    """The link cannot be used; the message is one sentence for the person who followed it."""


class LinkUsed(BadLink):
    """The link had been used before."""

    def __init__(self) -> None:
        super().__init__(marked("This link has already been used, and what it does is done."))


def fresh_nonce() -> str:
    """A new nonce for one link."""
    return secrets.token_urlsafe(9)


def make_link(
    public_url: str,
    key: str,
    incident: str,
    action: Action,
    by: str,
    now: datetime,
    nonce: Callable[[], str] = fresh_nonce,
) -> str:
    """The URL of an action, for one mail; it works once, for `LIFETIME` from now. `nonce` makes it unique."""
    expires = int((now + LIFETIME).timestamp())
    token = _serializer(key).dumps([incident, action, by, expires, nonce()])
    return f"{public_url.rstrip('/')}/a/{token}"


def read_link(key: str, token: str, now: datetime) -> Link:
    """What the token of a link means. Raises BadLink if it was tampered with or has expired."""
    try:
        incident, action, by, expires, nonce = _serializer(key).loads(token)
        link = Link(str(incident), parse_action(action), str(by), int(expires), str(nonce))
    except (BadData, ValueError, TypeError):
        raise BadLink(marked("This link is not one of ours, or was cut short: open it again from the mail.")) from None
    if link.expires < now.timestamp():
        raise BadLink(marked("This link is more than a week old: use the one of a newer mail, or 'guardian alerts'."))
    return link


def _serializer(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="guardian.alert-action")


def make_unsubscribe_link(public_url: str, key: str, schedule: str, recipient: str, now: datetime) -> str:
    """The address that ends the reports of a schedule for one recipient; it works for `UNSUBSCRIBE_LIFETIME` from now,
    any number of times. It names nobody, since URLs are kept in logs and browser histories."""
    expires = int((now + UNSUBSCRIBE_LIFETIME).timestamp())
    token = _unsubscribing(key).dumps([_pair(key, schedule, recipient), expires])
    return f"{public_url.rstrip('/')}/u/{token}"


def read_unsubscribe_link(key: str, token: str, now: datetime, pairs: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The (schedule, recipient) pair that a token was made for, found among `pairs`, which must be all there are.
    Raises BadLink."""
    try:
        first, second = _unsubscribing(key).loads(token)
    except (BadData, ValueError, TypeError):
        raise BadLink(marked("This link is not one of ours, or was cut short: open it again from the mail.")) from None
    if isinstance(second, str):  # from a mail of an older version: it never expired, and named schedule and recipient
        return str(first), second
    if second < now.timestamp():
        raise BadLink(marked("This link is more than a year old: use the one of a newer mail."))
    for pair in pairs:
        if _pair(key, *pair) == first:
            return pair
    raise BadLink(marked("These reports are no longer sent to you: there is nothing to unsubscribe from."))


def _pair(key: str, schedule: str, recipient: str) -> str:
    """A keyed hash of a schedule and a recipient: without the key, it reveals neither."""
    text = f"{schedule}\n{recipient.lower()}".encode()
    return blake2b(text, key=key.encode()[:64], digest_size=16, person=b"unsubscribe").hexdigest()


def _unsubscribing(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="guardian.unsubscribe")

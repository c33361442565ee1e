"""A message on its way: rendered once, stored, and sent until it is settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from guardian.core.mentions import Mention


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A rendered message to be delivered.

    `key` is unique, and a second message with the same key is not stored. It begins with what the message is about and
    ends with `recipient`: `report/{schedule}/{start}/{end}` (`~2` after the end of one that is made again),
    `watchdog/…` of a report that is late, `incident/{thread}/{notice}`,
    `undelivered/{channel}/{moment}/{kind}/{phase}/{channel}`, `transport-warning/{transport}/{day}`,
    `transport-expiry/{transport}/{moment}`. Keys with a random part (`test/…`, `sign-in/…`) or the present time
    (`report/direct/…`) never meet another. `recipient` is one address, or a channel's name. `body` is the whole RFC
    5322 message for channel "mail", else what the channel takes. `kind` is report, alert, digest, test, sign-in or
    warning (about Guardian itself). `people` says whom it names and where; the outbox keeps that, and does not return
    it. `unwritten` says why there is no `body`: the outbox keeps such a message as dead, with the reason, and never
    sends it. None for all others.
    """

    key: str
    recipient: str
    body: bytes
    kind: str = "report"
    channel: str = "mail"
    severity: str = "info"
    subject: str = ""
    people: tuple[Mention, ...] = field(default=(), compare=False, repr=False)
    unwritten: str | None = None


SECRET = frozenset({"sign-in"})
"""The kinds of message whose text is for the recipient alone: no page and no list shows it."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """An `Outgoing` with its fate: status is pending, sent, dead or dropped.

    `attempts` counts tries so far; `next_attempt_at` says when the next may start; `transport` names the one whose last
    try ended "unknown", which alone may try again; None where any may.
    """

    id: int
    message: Outgoing
    status: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    sent_at: datetime | None = None
    transport: str | None = None
    last_error: str | None = None

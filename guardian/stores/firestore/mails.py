"""The outbox documents: one for each message, found by its key."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.core.time import moment
from guardian.stores.firestore.database import name_of, next_number
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.packing import pack_people, read_people

OUTBOX = "guardian_outbox"
LIGHT = (
    "id", "key", "recipient", "kind", "channel", "severity", "subject", "status", "attempts", "created_us", "next_us",
    "sent_us", "transport", "last_error", "holder", "lease_us", "unwritten",
)  # fmt: skip
"""The fields of a message except the long ones."""


def place_of(key: str) -> str:
    """The name of the document of the message with this key."""
    return name_of(key)


async def put_mails(draft: Draft, mails: Sequence[Outgoing], at_us: int) -> int:
    """Add messages to the outbox, those that could not be written as dead. Returns how many had a new key."""
    first = {mail.key: mail for mail in reversed(mails)}
    known = await draft.get_all(OUTBOX, map(place_of, first), ["id"])
    new = [mail for mail in mails if first[mail.key] is mail and place_of(mail.key) not in known]
    if not new:
        return 0
    number = await next_number(draft, "mails", len(new))
    for place, mail in enumerate(new):
        fields = {
            "id": number + place, "key": mail.key, "recipient": mail.recipient, "kind": mail.kind,
            "channel": mail.channel, "severity": mail.severity, "status": "dead" if mail.unwritten else "pending",
            "attempts": 0, "created_us": at_us, "next_us": at_us, "sent_us": None, "transport": None,
            "last_error": mail.unwritten, "holder": None, "lease_us": None, "unwritten": not mail.body,
        }  # fmt: skip
        draft.put(OUTBOX, place_of(mail.key), {**fields, **await text_of(draft, mail)})
    return len(new)


async def text_of(draft: Draft, mail: Outgoing) -> Fields:
    """The fields for a message's content and the people it names."""
    people = pack_people(mail.people)
    return {"subject": mail.subject, "people": people, **await draft.keep(zlib.compress(mail.body))}


def item_of(fields: Fields, body: bytes) -> OutboxItem:
    """The outbox item of these fields; `body` as stored, or b"" if it is not needed."""
    message = Outgoing(
        fields["key"], fields["recipient"], zlib.decompress(body) if body else b"", fields["kind"], fields["channel"],
        fields["severity"], fields["subject"],
    )  # fmt: skip
    return OutboxItem(
        id=fields["id"],
        message=message,
        status=fields["status"],
        attempts=fields["attempts"],
        created_at=moment(fields["created_us"]),
        next_attempt_at=moment(fields["next_us"]),
        sent_at=None if fields["sent_us"] is None else moment(fields["sent_us"]),
        transport=fields["transport"],
        last_error=fields["last_error"],
    )


def message_of(fields: Fields, body: bytes) -> Outgoing:
    """The message, with its notes about the people it names."""
    message = item_of(fields, body).message
    return Outgoing(
        message.key, message.recipient, message.body, message.kind, message.channel, message.severity, message.subject,
        read_people(fields["people"]),
    )  # fmt: skip

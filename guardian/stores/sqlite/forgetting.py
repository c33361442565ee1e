"""Finding one person in what was saved or mailed, so that erasing them leaves nothing behind."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from collections.abc import Iterable
from email import message_from_bytes, policy
from typing import Any

from guardian.stores.sqlite.schema import pack, unpack

ERASED = "(erased)"
"""What stands in a saved report where a person's address stood."""


def _pattern(email: str) -> re.Pattern[str]:
    # bob@example.com is not found in jbob@example.com, nor in bob@example.com.au
    return re.compile(rf"(?<![\w.+-]){re.escape(email)}(?![\w-]|\.\w)", re.IGNORECASE)


def without_person(value: Any, email: str) -> Any:
    """A JSON value with the address replaced by `ERASED` in every key and text, whatever its case."""
    return _replace(value, _pattern(email))


def _replace(value: Any, pattern: re.Pattern[str]) -> Any:
    match value:
        case str():
            return pattern.sub(ERASED, value)
        case dict():
            return {pattern.sub(ERASED, key): _replace(item, pattern) for key, item in value.items()}
        case list():
            return [_replace(item, pattern) for item in value]
    return value


def names_person(texts: Iterable[str], body: bytes, email: str) -> bool:
    """Whether the address stands in one of the texts or in a message: its headers, or any text part, decoded."""
    pattern = _pattern(email)
    message = message_from_bytes(body, policy=policy.default)
    parts = [part.get_payload(decode=True) or b"" for part in message.walk() if part.get_content_maintype() == "text"]
    found = [*texts, *map(str, message.values()), *(part.decode("utf-8", "replace") for part in parts)]
    return any(pattern.search(text) or pattern.search(html.unescape(text)) for text in found)


def erase(db: sqlite3.Connection, email: str) -> int:
    """Delete the mails that name the person and the incidents about them, and take the name out of saved reports and of
    other incidents, inside the caller's transaction.

    How many rows went or changed.
    """
    incidents = _erase_from_incidents(db, email)
    mails = db.execute("SELECT id, recipient, subject, body FROM guardian_outbox")
    gone = [(number,) for number, *texts, body in mails if names_person(texts, body, email)]
    db.executemany("DELETE FROM guardian_outbox WHERE id = ?", gone)
    changed = []
    for number, body in db.execute("SELECT id, body FROM guardian_report"):
        before = unpack(body)
        after = without_person(before, email)
        if after != before:
            changed.append((pack(after), number))
    db.executemany("UPDATE guardian_report SET body = ? WHERE id = ?", changed)
    return len(gone) + len(changed) + incidents


def _erase_from_incidents(db: sqlite3.Connection, email: str) -> int:
    """Incidents as they are listed, and what alerting remembers from minute to minute; both are JSON."""
    gone, changed = [], []
    for number, subject, body in db.execute("SELECT id, subject, body FROM guardian_incident"):
        before = json.loads(body)
        after = _unnamed(without_person(before, email))
        if without_person(subject, email) == ERASED:
            gone.append((number,))
        elif after != before:
            changed.append((json.dumps(after, ensure_ascii=False), number))
    db.executemany("DELETE FROM guardian_incident WHERE id = ?", gone)
    db.executemany("UPDATE guardian_incident SET body = ? WHERE id = ?", changed)
    for (body,) in db.execute("SELECT body FROM guardian_alert_state").fetchall():
        remembered = _unnamed(without_person(json.loads(body), email))
        remembered["held"] = [
            held for held in remembered.get("held", ()) if held["transition"]["incident"]["subject"] != ERASED
        ]
        db.execute("UPDATE guardian_alert_state SET body = ?", (json.dumps(remembered, ensure_ascii=False),))
    return len(gone) + len(changed)


def _unnamed(value: Any) -> Any:
    """The JSON value without what is said under the key of an erased person, and without them in lists of names."""
    match value:
        case dict():
            return {key: _unnamed(item) for key, item in value.items() if key != ERASED}
        case list():
            return [_unnamed(item) for item in value if item != ERASED]
    return value

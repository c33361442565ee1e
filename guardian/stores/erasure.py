"""What erasing a person needs from a store, and what it reports."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from guardian.core.mentions import ERASED
from guardian.core.outgoing import Outgoing
from tracker.names import clean_name


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows erasing a person touched: mails (rewritten, or removed if addressed to them), saved reports,
    incidents (changed or removed), and their unsubscriptions. `bodies` maps the digest of each changed mail to its new
    bytes (None: removed), for files that may be copies of it."""

    mails: int = 0
    reports: int = 0
    incidents: int = 0
    unsubscribed: int = 0
    bodies: Mapping[bytes, bytes | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def rows(self) -> int:
        """How many rows were changed or removed."""
        return self.mails + self.reports + self.incidents + self.unsubscribed

    def __add__(self, other: Forgotten) -> Forgotten:
        return Forgotten(
            self.mails + other.mails,
            self.reports + other.reports,
            self.incidents + other.incidents,
            self.unsubscribed + other.unsubscribed,
            {**self.bodies, **other.bodies},
        )


def erased(people: Collection[str]) -> Callable[[str], str]:
    """A function that rewrites names once these people are erased."""
    return lambda name: ERASED if name in people else name


def named(mails: Iterable[Outgoing]) -> set[str]:
    """The people whom the mails name."""
    return {each.name for mail in mails for each in mail.people}


def read_at(report: Mapping[str, Any] | None, now: datetime) -> datetime:
    """The earliest time at which a report's events were read; `now` if the report does not say."""
    made = None if report is None else report.get("generated_at")
    return now if made is None else datetime.fromisoformat(made)


def digest(body: bytes) -> bytes:
    """A hash that identifies a mail's bytes."""
    return blake2b(body, digest_size=16).digest()


def as_kept(name: str) -> str:
    """The name as it is stored: trimmed, in NFC, an address in lower case."""
    return clean_name(name) or unicodedata.normalize("NFC", name.strip())


def spellings(names: Collection[str]) -> frozenset[str]:
    """The names as they are stored."""
    return frozenset(filter(None, map(as_kept, names)))

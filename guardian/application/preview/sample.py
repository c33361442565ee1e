"""What a sample mail is, and the time and the addresses that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from guardian.core.outgoing import Outgoing

NOW = datetime(2026, 3, 17, 8, 0, tzinfo=UTC)
"""When all of it happens: a Tuesday morning in Zurich."""
ZONE = ZoneInfo("Europe/Zurich")
SENDER, ADMIN = "Guardian <guardian@example.com>", "you@example.com"
URL = "https://guardian.example.com"


@dataclass(frozen=True, slots=True)
class Sample:
    """A mail, the name of its files, and one sentence on when it is sent."""

    name: str
    when: str
    mail: Outgoing

"""The time range of a page: the last hours or days, or a given window. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.core.language import Language, marked

HOURS = {"2h": 2, "24h": 24, "7d": 168, "30d": 720}
"""The ranges that have a name, and how long they are."""
NAMES = {
    "2h": marked("2 hours"),
    "24h": marked("24 hours"),
    "7d": marked("7 days"),
    "30d": marked("30 days"),
}
DEFAULT = "24h"
LONGEST = timedelta(days=400)
FORM = "%Y-%m-%dT%H:%M"
"""How a browser's field for a time writes it, in the zone of the page."""
BAD_TIME = marked("That window cannot be read: give two times, the earlier first. The last 24 hours are shown.")
TOO_LONG = marked("A window can be at most 400 days long. The last 24 hours are shown.")


@dataclass(frozen=True, slots=True)
class Range:
    """[`start`, `end`), aware UTC. `key` is one of HOURS, or "own"; `compare` says whether the period before is shown;
    `trouble` is why another range is shown than was asked for, "" where it is that one."""

    key: str
    start: datetime
    end: datetime
    compare: bool = True
    trouble: str = ""

    @property
    def hours(self) -> int | None:
        """How many hours up to now; None for one of its own."""
        return HOURS.get(self.key)

    @property
    def query(self) -> dict[str, str]:
        """What the address of a page has of it; nothing of what is the default."""
        found = {} if self.key == DEFAULT else {"range": self.key}
        if self.key == "own":
            found |= {"start": self.start.strftime(FORM) + "Z", "end": self.end.strftime(FORM) + "Z"}
        return found if self.compare else {**found, "compare": "off"}


def read_range(query: Mapping[str, str], now: datetime, zone: ZoneInfo) -> Range:
    """The range that the address of a page asks for; the last 24 hours, and why, where that is none."""
    compare = query.get("compare") != "off"
    key = query.get("range", DEFAULT)
    if key in HOURS:
        return Range(key, now - timedelta(hours=HOURS[key]), now, compare)
    otherwise = Range(DEFAULT, now - timedelta(hours=24), now, compare, BAD_TIME)
    try:
        start, end = (_moment(query.get(edge, ""), zone) for edge in ("start", "end"))
    except (ValueError, OverflowError):
        return otherwise
    end = min(end, now)
    if not start < end or start.year < 1990:
        return otherwise
    if end - start > LONGEST:
        return Range(DEFAULT, otherwise.start, now, compare, TOO_LONG)
    return Range("own", start, end, compare)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def range_words(chosen: Range, lang: Language, zone: ZoneInfo) -> str:
    """The window in words, with its zone."""
    return f"{lang.span(chosen.start, chosen.end, zone)} ({zone.key})"

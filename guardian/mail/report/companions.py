"""Companion reports in a mail: a line each at the top, and the whole below. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.grade import grade
from guardian.core.language import Language, marked
from guardian.mail.companions import Companion, Malformed
from guardian.mail.report.section import Section
from guardian.mail.report.wording import short

MOST = 12
STATUSES = (marked("OK"), marked("WARNING"), marked("CRITICAL"))
"""What the status of a mail may be, for the catalogues."""


def summarised(companions: Sequence[Companion | Malformed], lang: Language) -> list[dict[str, str]]:
    """Each companion as the head of the mail shows it, the gravest first; `counts` is what it adds to the status of the
    whole, `sentence` what the headline says of it."""
    return sorted((_summarised(each, lang) for each in companions), key=lambda o: (-grade(o["counts"]), o["title"]))


def shown(companions: Sequence[Companion | Malformed], lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """The section's values: `others` and how many more there are, `companions` and `malformed` ones."""
    others = summarised(companions, lang)
    good = [each for each in companions if isinstance(each, Companion)]
    good.sort(key=lambda each: (-grade(_counts(each)), each.title))
    broken = sorted((each for each in companions if isinstance(each, Malformed)), key=lambda each: short(each.name))
    more = len(others) - MOST
    return {
        "others": others[:MOST],
        "more_others": lang.plural("and %(n)s more report", "and %(n)s more reports", more) if more > 0 else "",
        "companions": [replace(c, timestamp=_moment(c.timestamp, lang, zone)) for c in good[:MOST]],
        "malformed": broken[:MOST],
    }


def _counts(companion: Companion) -> str:
    return grade(companion.grave).status


def _summarised(each: Companion | Malformed, lang: Language) -> dict[str, str]:
    if isinstance(each, Malformed):
        name = short(each.name)
        return {
            "title": name,
            "status": lang("unreadable"),
            "grave": "UNKNOWN",
            "counts": "WARNING",
            "sentence": lang("%(name)s could not be shown: %(why)s.", name=name, why=lang(each.reason)),
        }
    title = short(each.title)
    return {
        "title": title,
        "status": each.status,
        "grave": each.grave,
        "counts": _counts(each),
        "sentence": lang("%(name)s reports %(status)s.", name=title, status=each.status),
    }


def _moment(text: str, lang: Language, zone: ZoneInfo) -> str:
    """A companion's time in the reader's zone, where it is an ISO time with an offset; else as it is written."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if when.tzinfo is None else lang.moment(when, zone)


SECTION = Section("companions", {"others": (), "more_others": "", "companions": (), "malformed": ()})

"""The privacy receipt: what is stored, since when, and what was lost. Pure."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Report
from guardian.mail.report.notes import said
from guardian.mail.report.section import Section


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`privacy`, a few sentences; "" if nothing is known about the store."""
    receipt = report.privacy
    if receipt.events is None:
        return {"privacy": ""}
    text = lang.plural(
        "Stored: %(n)s event: who used which feature when, and what failed; never what anybody wrote.",
        "Stored: %(n)s events: who used which feature when, and what failed; never what anybody wrote.",
        receipt.events,
    )
    if receipt.oldest:
        text += " " + lang("The oldest is from %(day)s.", day=lang.day(receipt.oldest, zone))
    if receipt.purged_events:
        text += " " + lang.plural(
            "%(n)s older one has been deleted.", "%(n)s older ones have been deleted.", receipt.purged_events
        )
        if receipt.totals_since:
            day = lang.day(receipt.totals_since, zone)
            text += " " + lang("The totals of each user since %(day)s are kept.", day=day)
    if receipt.dropped_events and not said(report, "dropped", lang):
        text += " " + lang.plural(
            "%(n)s event was lost this week, because the tracker's buffer was full.",
            "%(n)s events were lost this week, because the tracker's buffer was full.",
            receipt.dropped_events,
        )
    return {"privacy": text}


SECTION = Section("privacy", {"privacy": ""}, words, templates=False)

"""What failed: the requests by status, the most frequent first. Pure."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language, marked
from guardian.core.report.model import Report
from guardian.mail.report.section import Section
from guardian.mail.report.wording import error_phrase

MOST = 8


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`errors`, each with its `code`, `phrase`, `count`, and its `share` of the most frequent."""
    counts = sorted(report.error_breakdown.items(), key=lambda pair: (-pair[1], pair[0]))
    most = max((count for _, count in counts), default=1)
    return {
        "errors": [
            {"code": code, "phrase": error_phrase(code, lang), "count": lang.number(count), "share": count / most}
            for code, count in counts[:MOST]
        ]
    }


SECTION = Section("failures", {"errors": ()}, words, nothing=marked("no request failed"))

"""The chart of active users through the period. Pure."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Report
from guardian.mail.chart import chart_of
from guardian.mail.report.section import Section


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`chart`, a `guardian.mail.chart.Chart`; None where there is nothing to draw."""
    return {"chart": chart_of(report.timeline, report.period_end, lang, zone)}


SECTION = Section("chart", {"chart": None}, words)

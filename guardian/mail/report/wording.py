"""Wording shared by the sections of a report: names, statuses, errors. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from guardian.core.bidi import isolated, one_line
from guardian.core.language import Language
from guardian.core.mentions import shortening
from guardian.core.report.model import FailedRequest, Report, Step
from tracker.error_text import reason_phrase

MAX_NAME = 120


def short(text: str, longest: int = MAX_NAME) -> str:
    """A name on one line, limited in length, since clients and authors may use any; right-to-left ones are isolated."""

    def cut(text: str) -> str:
        line = one_line(text[: 4 * longest])
        return line if len(line) <= longest else line[: longest - 1] + "…"

    return isolated(shortening(text, cut))


def compared_day(report: Report, lang: Language, zone: ZoneInfo) -> str:
    """What the report is compared with, where that is no period right before it: "last Saturday" for a day of the
    zone's calendar, else "a week before"; "" for the period before."""
    if report.comparison is None or report.comparison.kind != "weekday":
        return ""
    if not is_day(report.period_start, report.period_end, zone):
        return lang("a week before")
    return lang("last %(weekday)s", weekday=lang.weekday(report.period_start, zone))


def is_day(start: datetime, end: datetime, zone: ZoneInfo) -> bool:
    """Whether [start, end) is one day of the zone's calendar."""
    start, end = start.astimezone(zone), end.astimezone(zone)
    return start.time() == end.time() == time() and start.date() + timedelta(days=1) == end.date()


def error_phrase(code: str, lang: Language) -> str:
    """What a status of `error_breakdown` is called: in RFC 9110's words, or that the app noted it as failed."""
    return reason_phrase(int(code)) if int(code) >= 400 else lang("noted as failed")


def code_of(met: FailedRequest | Step, lang: Language) -> str:
    """The status of an error or a step; where it does not show that it failed, with that."""
    return lang("%(code)s (failed)", code=met.code) if met.failed else str(met.code)


def error_text(text: str) -> str:
    """An error in words; "Internal Server Error" is left out for exceptions."""
    return short(text.removesuffix(": Internal Server Error"))

"""The values that the report mail shows: sentences and figures in the reader's language. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.grade import grade, gravest
from guardian.core.language import Language
from guardian.core.report.judge import unusual
from guardian.core.report.model import Report
from guardian.mail.companions import Companion, Malformed
from guardian.mail.report.companions import shown, summarised
from guardian.mail.report.headline import headline, verdict
from guardian.mail.report.notes import noted
from guardian.mail.report.sections import SECTIONS, blank
from guardian.mail.report.wording import is_day


def report_view(
    report: Report | None,
    companions: Sequence[Companion | Malformed],
    *,
    lang: Language,
    zone: ZoneInfo,
    next_report: tuple[datetime, Any] | None = None,
    app: str = "",
    more_users: str = "",
) -> dict[str, Any]:
    """Everything that the templates print. `report` None means a mail of companion reports only.

    `app` is what the app is called, "" where the settings do not say; `more_users` the sentence of `users_file`. The
    status of the whole, OK, WARNING or CRITICAL, is the worst of all parts. A companion that is UNKNOWN or that cannot
    be read counts as WARNING, since nobody knows whether all is well.
    """
    head = {"period": "", "day": "", "notes": (), "more_notes": "", "grave": "OK", "headline": "", "verdict": ""}
    view: dict[str, Any] = {**head, **blank(), "next_report": "", "unsubscribe": None}
    view["sections"] = [section.name for section in SECTIONS if section.templates]
    if report is not None:
        view.update(_head(report, lang, zone))
        for section in SECTIONS:
            view.update(section.words(report, lang, zone))
        view["more_users"] = more_users
    view.update(shown(companions, lang, zone))
    others = summarised(companions, lang)
    own = view["grave"]
    grave = gravest([own, *(each["counts"] for each in others)], own)
    if report is None or (own != grave and others):
        view["headline"] = others[0]["sentence"] if grave != "OK" else lang("All is well.")
    view["grave"] = grave
    if next_report is not None:
        at, covers = next_report
        view["next_report"] = lang(
            "The next report goes out on %(at)s and covers %(span)s.",
            at=lang.moment(at, zone),
            span=_span(covers[0], covers[1], lang, zone),
        )
        if report is None:  # else the period names the zone
            view["next_report"] += f" ({zone.key})"
    said = view["headline"].rstrip(".").replace("\u2068", "").replace("\u2069", "")
    view["subject"] = f"{grade(grave).mark}{f'{app}: ' if app else ''}{said} – Guardian"
    view["app"] = app
    view["preheader"] = " · ".join(f"{f['label']} {f['value']}" for f in view["figures"][:3]) or view["headline"]
    return view


def _span(start: datetime, end: datetime, lang: Language, zone: ZoneInfo) -> str:
    """A window in words; a calendar day of the zone by its name."""
    return lang.day(start, zone) if is_day(start, end, zone) else lang.span(start, end, zone)


def _head(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """The values above the sections. A report without a status gets one from its errors."""
    failing = report.total_requests and unusual(report.server_errors / report.total_requests, None)
    status = report.status or ("WARNING" if failing else "OK")
    first = headline(report, status, lang, zone)
    period = f"{_span(report.period_start, report.period_end, lang, zone)} ({zone.key})"
    if report.only_features:
        period += " · " + lang("only %(features)s", features=", ".join(report.only_features))
    return {
        "grave": status,
        "headline": first,
        "verdict": verdict(report, status, lang),
        **noted(report, first, lang),
        "period": period,
        "day": lang.day(report.period_end, zone),
    }

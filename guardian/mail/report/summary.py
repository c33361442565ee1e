"""The key figures, next to those of the period compared with. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Previous, Report
from guardian.mail.report.section import Section
from guardian.mail.report.wording import compared_day, is_day

ENOUGH, STEADY = 20, 0.1
"""Figures are called steady only with at least this many requests, and if they changed by at most this share."""


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`figures`, each with `label`, `value`, `change` (empty with nothing to compare with), `tone` (worse, better or
    empty); `first`, a sentence where there is nothing to compare with, and `held`, one on what did not move, else "".

    None of them where nobody came, neither now nor before: there is nothing to say.
    """
    before, day = report.baseline, compared_day(report, lang, zone)
    old_requests = before.total_requests if before else 0
    requests, errors = report.total_requests, report.total_errors
    if not requests and not old_requests:
        return {"figures": [], "first": "", "held": ""}
    rate = errors / requests if requests else None
    old_rate = before.total_errors / old_requests if before and old_requests else None
    change = tone = ""
    if rate is not None and old_rate is not None:
        change, tone = _change(rate, old_rate, lang.percent, lang, day), _tone(rate - old_rate, 0.01)
    failed = "–" if rate is None else lang.percent(rate)
    found = [
        _figure(lang("Active users"), report.active_users, before.active_users if before else None, lang, day),
        _figure(lang("Requests"), requests, before.total_requests if before else None, lang, day),
        {"label": lang("Failed"), "value": failed, "change": change, "tone": tone},
    ]
    if report.latency_ms.p95 is not None:
        found.append(_latency(report.latency_ms.p95, before, lang, day, busy=_busy(report)))
    return {"figures": found, "first": _first(report, lang, zone), "held": _held(report, lang)}


def _first(report: Report, lang: Language, zone: ZoneInfo) -> str:
    """The sentence that there is nothing to compare with: no such period was recorded in full."""
    made = report.comparison
    if made is None or made.kind != "nothing" or made.recorded_since is None:
        return ""
    since = made.recorded_since
    if report.privacy.purged_events:
        return lang("The period before is no longer stored in full, so there is nothing to compare this one with.")
    if since > report.period_start:
        return lang("Recording began within this period, on %(time)s.", time=lang.moment(since, zone))
    if not is_day(report.period_start, report.period_end, zone):
        return lang("Nothing to compare with yet: recording began on %(time)s.", time=lang.moment(since, zone))
    if since > report.period_start - timedelta(days=1):
        return lang("This is the first full day: there is nothing to compare it with yet.")
    day = lang.weekday(report.period_start, zone)
    return lang("This is the first full %(weekday)s: there is nothing to compare it with yet.", weekday=day)


def _held(report: Report, lang: Language) -> str:
    """Which of the key figures are within a tenth of those before, in a sentence; "" for none, or too few requests."""
    before = report.baseline
    if before is None or not _busy(report):
        return ""
    now, then = report.total_errors / report.total_requests, before.total_errors / before.total_requests
    same = [
        (lang("active users"), before.active_users and abs(report.active_users / before.active_users - 1) <= STEADY),
        (lang("requests"), abs(report.total_requests / before.total_requests - 1) <= STEADY),
        (lang("the share that failed"), abs(now - then) <= STEADY * max(now, then)),
        (lang("latency"), abs(_slower(report.latency_ms.p95, before.p95_ms)) <= STEADY),
    ]
    names = [name for name, steady in same if steady]
    return lang("Steady, within 10 %%: %(what)s.", what=", ".join(names)) if names else ""


def _figure(label: str, now: int, before: int | None, lang: Language, day: str) -> dict[str, str]:
    change = "" if before is None else _change(now, before, lang.number, lang, day)
    return {"label": label, "value": lang.number(now), "change": change, "tone": ""}


def _latency(now: float, before: Previous | None, lang: Language, day: str, *, busy: bool) -> dict[str, str]:
    """What 95 % of the requests kept to, in milliseconds; slower or faster where enough were made to say so."""
    change = tone = ""
    if before and before.p95_ms is not None:
        change = _change(now, before.p95_ms, lang.milliseconds, lang, day)
        tone = _tone(_slower(now, before.p95_ms), STEADY) if busy else ""
    return {"label": lang("95 % within"), "value": lang.milliseconds(now), "change": change, "tone": tone}


def _slower(now: float | None, before: float | None) -> float:
    """By which share it takes longer; infinite where that cannot be told."""
    return now / before - 1 if now is not None and before else inf


def _busy(report: Report) -> bool:
    """Whether there are enough requests, now and before, to call anything steady."""
    before = report.baseline
    return before is not None and min(before.total_requests, report.total_requests) >= ENOUGH


def _change(now: float, before: float, say: Callable[[float], str], lang: Language, day: str) -> str:
    """The visible change: two values that look alike count as unchanged since the period before (or the `day`)."""
    shown = say(before)
    if say(now) == shown:
        return lang("as %(day)s", day=day) if day else lang("as before")
    if day:
        text = lang("↑ from %(before)s %(day)s") if now > before else lang("↓ from %(before)s %(day)s")
        return text % {"before": shown, "day": day}
    return lang("↑ from %(before)s", before=shown) if now > before else lang("↓ from %(before)s", before=shown)


def _tone(difference: float, least: float) -> str:
    return "worse" if difference > least else "better" if difference < -least else ""


SECTION = Section("summary", {"figures": (), "first": "", "held": ""}, words)

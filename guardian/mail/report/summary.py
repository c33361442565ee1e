"""The key figures beside those of the period before. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Report
from guardian.mail.report.section import Section


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`figures`, each with `label`, `value`, `change` (empty without a period before), `tone` (worse, better or empty).

    None of them where nobody came, neither now nor before: there is nothing to say.
    """
    before = report.previous
    old_requests = before.total_requests if before else 0
    requests, errors = report.total_requests, report.total_errors
    if not requests and not old_requests:
        return {"figures": []}
    rate = errors / requests if requests else None
    old_rate = before.total_errors / old_requests if before and old_requests else None
    change = tone = ""
    if rate is not None and old_rate is not None:
        change, tone = _change(rate, old_rate, lang.percent, lang), _tone(rate - old_rate, 0.01)
    failed = "–" if rate is None else lang.percent(rate)
    found = [
        _figure(lang("Active users"), report.active_users, before.active_users if before else None, lang),
        _figure(lang("Requests"), requests, before.total_requests if before else None, lang),
        {"label": lang("Failed"), "value": failed, "change": change, "tone": tone},
    ]
    if report.latency_ms.p95 is not None:
        value = lang.milliseconds(report.latency_ms.p95)
        found.append({"label": lang("95 % within"), "value": value, "change": "", "tone": ""})
    return {"figures": found}


def _figure(label: str, now: int, before: int | None, lang: Language) -> dict[str, str]:
    change = "" if before is None else _change(now, before, lang.number, lang)
    return {"label": label, "value": lang.number(now), "change": change, "tone": ""}


def _change(now: float, before: float, say: Callable[[float], str], lang: Language) -> str:
    """The change as it can be seen: two values that are shown alike are as before."""
    shown = say(before)
    if say(now) == shown:
        return lang("as before")
    return lang("↑ from %(before)s", before=shown) if now > before else lang("↓ from %(before)s", before=shown)


def _tone(difference: float, least: float) -> str:
    return "worse" if difference > least else "better" if difference < -least else ""


SECTION = Section("summary", {"figures": ()}, words)

"""Rules: each in words, with its last 30 days; another threshold replays the past. Nothing is saved here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from math import isfinite
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from guardian.alerting.cause_words import cause_lines
from guardian.alerting.incidents import Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.rule_words import rule_in_words
from guardian.application.judging.backtest import STRIP, Backtest, RuleReplay, run_backtests
from guardian.core.grade import grade
from guardian.core.language import marked
from guardian.core.off_loop import in_thread
from guardian.core.storage import StorageError
from guardian.core.time import micros, moment
from guardian.settings.rules import watching
from guardian.web.endpoint import Refusal
from guardian.web.pages.frame import framed
from guardian.web.pages.page import Page, View
from guardian.web.pages.svg import Mark, strip
from guardian.web.pages.tables import Cell, Table

log = logging.getLogger("guardian.web")

DAYS = 30
SEVERITIES = {"info": marked("info"), "warning": marked("warning"), "critical": marked("critical")}
NO_FIT = marked("A rule of this kind cannot have this threshold: choose another one.")
AGAIN = marked("The database does not answer just now: try again in a minute.")
STEPS = 20
"""The slider's steps on each side of the current threshold, up to four times its value."""


async def run(view: View) -> Mapping[str, Any] | Response:
    """Every rule with its strip; with `rule` and `threshold` in the address, the past with that threshold beside it."""
    since = view.now - timedelta(days=DAYS)
    found = await view.app.stores.alerts.incidents(since=since, limit=1000)
    rules = view.app.settings.rules
    tried = await _tried(view)
    return await framed(
        view,
        {
            "rows": [
                {
                    "name": name,
                    "words": rule_in_words(watching(rule, view.app.settings.critical_features), view.lang),
                    "severity": view.lang(SEVERITIES[rule.severity]),
                    "style": grade(rule.severity).look.style if rule.enabled else "unknown",
                    "enabled": rule.enabled,
                    "number": sum(each.rule == name for each in found),
                    "strip": recorded_strip(name, [each for each in found if each.rule == name], view),
                    "slider": slider(name, rule, view),
                    "tried": tried if tried and tried["rule"] == name else None,
                }
                for name, rule in rules.items()
            ],
            "alerts_on": view.app.settings.alerts.enabled,
            "days": DAYS,
        },
        tables=[
            Table("rules", ("rule", "severity", "enabled", "incidents"),
                  [(n, r.severity, r.enabled, sum(each.rule == n for each in found)) for n, r in rules.items()]),
            *([Table("replay", ("threshold", "subject", "start", "end", "peak", "cause"), tried["replayed"])]
              if tried else ()),
        ],
    )  # fmt: skip


def recorded_strip(name: str, incidents: Sequence[Incident], view: View) -> Markup:
    """The incidents that a rule had in the last 30 days, on a band. Pure."""
    lang, zone = view.lang, view.zone
    start = micros(view.now - timedelta(days=DAYS))
    length = micros(view.now) - start
    marks = []
    for each in incidents:
        end = micros(view.now) if each.over_us is None else each.over_us
        said = lang.span(moment(each.first_us), moment(max(end, each.first_us)), zone)
        marks.append(
            Mark((each.first_us - start) / length, (end - start) / length, "bad", f"{said} {each.subject}".strip())
        )
    title = lang.plural("%(n)s incident in 30 days", "%(n)s incidents in 30 days", len(incidents))
    return strip(f"{name}: {title}", marks, _days(view))


def _days(view: View) -> list[str]:
    return [view.lang.short_day(view.now - timedelta(days=days), view.zone) for days in (30, 20, 10, 0)]


def slider(name: str, rule: Any, view: View) -> dict[str, Any] | None:
    """The ends and steps of the slider of a rule's threshold; None for a rule that has none of one number."""
    threshold = kind_of(rule).threshold
    if threshold is None:
        return None
    now = float(getattr(rule, threshold.key))
    asked = _asked(view, name)
    return {
        "key": threshold.key,
        "least": _short(threshold.unit), "most": _short(max(now * 4, threshold.unit * STEPS)),
        "step": _short(threshold.unit if now >= threshold.unit else now / 4),
        "value": _short(now if asked is None else asked),
        "said": threshold.said(now if asked is None else asked, view.lang),
        "now": threshold.said(now, view.lang),
    }  # fmt: skip


def _short(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _asked(view: View, name: str) -> float | None:
    if view.query.get("rule") != name or not view.query.get("threshold"):
        return None
    try:
        value = float(view.query["threshold"])
    except ValueError:
        value = -1.0
    if not isfinite(value) or not 0 < value <= 1e9:
        raise Refusal(422, view.lang("The threshold is not a number above 0."))
    return value


async def _tried(view: View) -> dict[str, Any] | None:
    """The past with the threshold that the address asks for, beside that of the settings; None where it asks for
    none."""
    name = view.query.get("rule", "")
    rule = view.app.settings.rules.get(name)
    value = None if rule is None else _asked(view, name)
    if rule is None or value is None:
        return None
    threshold = kind_of(rule).threshold
    if threshold is None:
        return None
    change = f"{name}.{threshold.key}={_short(value)}"
    app, now = view.app, view.now
    if await app.repository.newest_event() is None:
        return {"rule": name, "trouble": view.lang("No request was recorded yet: there is nothing to replay."),
                "parts": (), "line": "", "replayed": ()}  # fmt: skip
    try:
        done: Sequence[Backtest] = await app.glances.take(
            ("replay", change),
            lambda: in_thread(run_backtests, app.settings, days=DAYS, changes=[change], now=now),
            now=now, fresh=timedelta(minutes=2),
        )  # fmt: skip
    except (StorageError, ValueError) as error:
        log.info("The rule %r cannot be replayed with %s: %s", name, change, error)
        trouble = NO_FIT if isinstance(error, ValueError) else AGAIN
        return {"rule": name, "trouble": view.lang(trouble), "parts": (), "line": "", "replayed": ()}
    titles = (view.lang("As it is"), view.lang("With %(value)s", value=threshold.said(value, view.lang)))
    parts = [
        _part(title, result, next((each for each in result.rules if each.rule == name), None), view)
        for title, result in zip(titles, done, strict=False)
    ]
    return {
        "rule": name,
        "threshold": _short(value),
        "trouble": "",
        "parts": [part for part in parts if part],
        "line": f"[rules.{name}]\n{threshold.key} = {_short(value)}",
        "replayed": [
            row for at, result in zip((float(getattr(rule, threshold.key)), value), done, strict=False)
            for row in _replayed(name, at, result, view)
        ],
    }  # fmt: skip


def _replayed(name: str, threshold: float, result: Backtest, view: View) -> Iterator[Sequence[Cell]]:
    """The incidents that the rule would have had with this threshold; one that was open to the last has no end."""
    for incident, start, end in result.spans():
        if incident.rule == name:
            why = result.why.get(incident.id)
            cause = "; ".join(cause_lines(why, view.lang)) if why else ""
            yield threshold, incident.subject, start, end, incident.peak, cause


def _part(title: str, result: Backtest, part: RuleReplay | None, view: View) -> dict[str, Any] | None:
    lang = view.lang
    if part is None:
        return None
    said = [
        lang.plural("%(n)s incident", "%(n)s incidents", part.incidents),
        lang.plural("%(n)s message", "%(n)s messages", part.messages),
    ]
    if part.incidents:
        said.append(lang("open for %(time)s", time=lang.duration(part.open_seconds)))
    length = result.end - result.start
    days = [lang.short_day(result.start + length * cell / STRIP, view.zone) for cell in range(STRIP)]
    marks = [
        Mark(cell / STRIP, (cell + 1) / STRIP, "bad", days[cell], share)
        for cell, share in enumerate(part.strip)
        if share
    ]
    ends = [lang.short_day(at, view.zone) for at in (result.start, result.end)]
    return {"title": title, "said": " · ".join(said), "strip": strip(f"{title}: {said[0]}", marks, ends),
            "unseen": lang(part.unseen) if part.unseen else ""}  # fmt: skip


PAGE = Page("/rules", marked("Rules"), run, "rules.html", nav=True, key="6")

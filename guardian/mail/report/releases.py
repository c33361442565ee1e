"""The releases in the period, and what changed since, as far as requests show it. Pure."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import Any
from zoneinfo import ZoneInfo

from guardian.alerting.cause_words import release_name
from guardian.core.language import Language
from guardian.core.releases import Release, Since
from guardian.core.report.comparing import CLOCK_CHANGE, DAY, WEEK
from guardian.core.report.model import Report
from guardian.mail.report.section import Section

MOST = 3
"""How many of the newest releases are listed."""


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`releases`, sentences, the newest first, and `releases_from`, what they are compared with, "" where none is."""
    found = list(reversed(report.releases or ()))
    lines = [_line(each, lang, zone) for each in found[:MOST]]
    if more := len(found[MOST:]):
        lines.append(lang.plural("and %(n)s release more", "and %(n)s releases more", more))
    compared = next((each.since.start - each.before.start for each in found if each.before and each.compared), None)
    return {"releases": lines, "releases_from": "" if compared is None else _compared_with(compared, lang)}


def _compared_with(back: timedelta, lang: Language) -> str:
    if abs(back - WEEK) <= CLOCK_CHANGE:
        return lang("Since then, compared with the same time a week before:")
    if abs(back - DAY) <= CLOCK_CHANGE:
        return lang("Since then, compared with the same time the day before:")
    return lang("Since then, compared with the same time in the period before:")


def _line(each: Release, lang: Language, zone: ZoneInfo) -> str:
    released = lang(
        "%(release)s, released %(time)s", release=release_name(each.release), time=lang.moment(each.since.start, zone)
    )
    if each.before is None or not each.compared:
        return f"{released}."
    since, before = each.since, each.before
    told = [_said(name, since, before, lang) for name in each.moved]
    whole = set(each.compared) == {"errors", "latency", "requests"}
    if not told and not whole:
        return f"{released}."
    if not told:
        requests = lang.plural("%(n)s request", "%(n)s requests", since.requests)
        said = lang("nothing moved (%(requests)s, %(share)s failed)", requests=requests,
                    share=lang.percent(since.errors / since.requests))  # fmt: skip
        return lang("%(what)s: %(said)s.", what=released, said=said)
    if whole and len(told) < 3:
        told.append(lang("nothing else moved"))
    said = reduce(lambda one, other: lang("%(one)s; %(other)s", one=one, other=other), told)
    return lang("%(what)s: %(said)s.", what=released, said=said)


def _said(name: str, since: Since, before: Since, lang: Language) -> str:
    if name == "errors":
        now, old = since.errors / since.requests, before.errors / before.requests
        shares = {"now": lang.percent(now), "old": lang.percent(old)}
        if not old:
            return lang("%(now)s of the requests failed, none before", now=shares["now"])
        if now > old:
            times = lang.number(now / old, 1 if now < 10 * old else 0)
            return lang("errors %(times)s× (%(now)s of the requests, before %(old)s)", times=times, **shares)
        return lang("fewer errors (%(now)s of the requests, before %(old)s)", **shares)
    if name == "latency":
        now, old = since.p95_ms or 0, before.p95_ms or 0
        limits = {"now": lang.milliseconds(now), "old": lang.milliseconds(old)}
        if now > old:
            return lang("slower (95 %% within %(now)s, before %(old)s)", **limits)
        return lang("faster (95 %% within %(now)s, before %(old)s)", **limits)
    numbers = {"now": lang.number(since.requests), "old": lang.number(before.requests)}
    if since.requests > before.requests:
        return lang("more requests (%(now)s, before %(old)s)", **numbers)
    return lang("fewer requests (%(now)s, before %(old)s)", **numbers)


SECTION = Section("releases", {"releases": (), "releases_from": ""}, words)

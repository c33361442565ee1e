"""`error_rate`: the share of failed requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from guardian.alerting.columns import Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, Threshold, counted_s, now, worst
from guardian.alerting.minutes import Calm, Minutes, Said
from guardian.alerting.statistics import wilson_lower, wilson_lowers
from guardian.alerting.verdicts import Since, Verdict, enough_users, least, subjects
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings

if TYPE_CHECKING:
    from pydantic import AfterValidator

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Share, Window


def _can_be_exceeded(threshold: float) -> float:
    if threshold >= 1:
        raise ValueError("more than 100% is never reached: write a smaller share, such as 10%")
    return threshold


class ErrorRate(KindSettings):
    """The share of failed requests in a window is above `threshold`; `feature` limits it to one feature, or judges each
    that a pattern matches."""

    kind: Literal["error_rate"] = "error_rate"
    threshold: Annotated[Share, AfterValidator(_can_be_exceeded)] = 0.10
    window: Window = 3600
    count: Literal["all", "server"] = "all"
    feature: str | None = None


def _judge(rule: ErrorRate, snapshot: Snapshot, since: Since) -> list[Verdict]:
    """Fires above the threshold, not at it; and only if Wilson's lower bound exceeds half the threshold, so that a
    handful of failures among few requests stays quiet."""
    verdicts = []
    for subject in subjects(rule.feature, snapshot):
        start = since.get(subject, 0)
        counts = snapshot.counts(rule.window, subject or None, since_us=start)
        bad = counts.bad(rule.count)
        if counts.requests < least(rule, well=not bad and snapshot.begins_inside(rule.window, start)):
            verdicts.append(Verdict(rule.name, subject, "no_data", None, counts))
            continue
        rate = bad / counts.requests
        firing = _above(rule, bad, counts.requests) and wilson_lower(bad, counts.requests) > rule.threshold / 2
        met = {"since_us": start, "failed": True, "count": rule.count}
        firing = firing and enough_users(rule, snapshot, rule.window, subject, **met)
        verdicts.append(Verdict(rule.name, subject, "firing" if firing else "ok", rate, counts))
    return verdicts


def _above(rule: ErrorRate, bad: Any, requests: Any) -> Any:
    """Whether the threshold is exceeded, for numbers or arrays. Compared as integers, so that exactly 10 % does not
    become 10.000000000000002 %."""
    return bad * 1_000_000 > round(rule.threshold * 1_000_000) * requests


def _calm(rule: ErrorRate, minutes: Minutes) -> Calm:
    said = []
    for subject in subjects(rule.feature, minutes):
        counts = minutes.counts(rule.window, subject or None)
        bad, requests = counts.bad(rule.count), np.maximum(counts.requests, 1)
        enough = counts.requests >= least(rule)
        firing = enough & _above(rule, bad, requests) & (wilson_lowers(bad, requests) > rule.threshold / 2)
        said.append(Said(subject, firing, enough, None if rule.min_users else np.where(firing, bad / requests, np.nan)))
    return Calm.of(minutes, said)


def _words(rule: ErrorRate, lang: Language) -> str:
    words = {
        "share": lang.percent(rule.threshold),
        "errors": lang("server errors") if rule.count == "server" else lang("errors"),
        "time": lang.duration(rule.window),
        "half": lang.percent(rule.threshold / 2),
    }
    if rule.feature:
        return lang(
            "More than %(share)s %(errors)s in %(feature)s within %(time)s, and more than %(half)s even allowing for "
            "chance.",
            feature=rule.feature, **words,
        )  # fmt: skip
    return lang(
        "More than %(share)s %(errors)s within %(time)s, and more than %(half)s even allowing for chance.", **words
    )


def _title(rule: ErrorRate, subject: str, lang: Language) -> str:
    share = lang.percent(rule.threshold)
    if subject:
        return lang("Error rate of %(feature)s above %(share)s", feature=subject, share=share)
    return lang("Error rate above %(share)s", share=share)


def _sentence(rule: ErrorRate, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "%(share)s of the requests failed: %(bad)s of %(all)s in %(span)s.",
        share=lang.percent(incident.value or 0),
        bad=lang.number(counts.bad(rule.count)),
        all=lang.number(counts.requests),
        span=lang.lately(counted_s(incident, rule.window)),
    )


def _at_worst(rule: ErrorRate, incident: Incident, peak: float, lang: Language) -> str:
    return lang(
        "At worst, %(share)s of the requests failed in %(time)s.",
        share=lang.percent(peak),
        time=lang.duration(rule.window),
    )


def _gist(rule: ErrorRate, incident: Incident, lang: Language) -> str:
    said = {"share": lang.percent(rule.threshold), "span": lang.lately(rule.window), "feature": incident.subject}
    if rule.count == "server":
        if incident.subject:
            return lang("server error rate of %(feature)s above %(share)s in %(span)s", **said)
        return lang("server error rate above %(share)s in %(span)s", **said)
    if incident.subject:
        return lang("error rate of %(feature)s above %(share)s in %(span)s", **said)
    return lang("error rate above %(share)s in %(span)s", **said)


def _reading(rule: ErrorRate, incident: Incident, counts: Counts | None, lang: Language) -> str:
    if counts is None:
        return worst(lang.percent(incident.peak or 0), lang)
    return now(lang.percent(incident.value or 0), lang)


ERROR_RATE = Kind(
    ErrorRate,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    threshold=Threshold("threshold", 0.01, lambda value, lang: lang.percent(value)),
)
"""See the module."""

"""`latency`: a slow feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from guardian.alerting.columns import Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, Threshold, all_its_users, now, nowhere, worst
from guardian.alerting.minutes import Calm, Minutes, Said
from guardian.alerting.sample import Sample
from guardian.alerting.statistics import quantile
from guardian.alerting.turning import Onset, Series
from guardian.alerting.verdicts import Since, Verdict, enough_users, least
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Window
    from guardian.settings.rules import GroupInterval


class Latency(KindSettings):
    """A quantile of the durations of a feature's good requests is above `threshold_ms`."""

    kind: Literal["latency"] = "latency"
    group_interval: GroupInterval = 600
    feature: str = "*"
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    threshold_ms: Annotated[float, Field(gt=0)] = 2000
    window: Window = 900


def _judge(rule: Latency, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts, stretches = [], snapshot.history.stretches
    usual, fewest = least(rule), least(rule, well=True)
    for subject in snapshot.features([rule.feature]):
        start = since.get(subject, 0)
        # Counting is cheap, and most features are quiet most of the time.
        counts = snapshot.counts(rule.window, subject, since_us=start)
        fixed = start > 0 and snapshot.begins_inside(rule.window, start)
        many = counts.requests - counts.failed >= (fewest if fixed else usual)
        span = (snapshot.start_us(rule.window, start), snapshot.now_us, subject)
        number, over = stretches.timed(*span, _limit_us(rule)) if many else (0, 0)
        value = quantile(stretches.good_us(*span), rule.quantile) / 1000 if _may_be_slow(rule, number, over) else None
        slow = value is not None and value > rule.threshold_ms
        if number < (fewest if fixed and not slow else usual):
            verdicts.append(Verdict(rule.name, subject, "no_data", None, counts))
            continue
        firing = slow and enough_users(rule, snapshot, rule.window, subject, since_us=start)
        verdicts.append(Verdict(rule.name, subject, "firing" if firing else "ok", value, counts))
    return verdicts


def _limit_us(rule: Latency) -> float:
    """The µs above which a request may be slow: a little below the threshold, so that rounding cannot lift a quantile
    of requests below it above the threshold."""
    return rule.threshold_ms * 1000 * (1 - 1e-9)


def _may_be_slow(rule: Latency, number: Any, over: Any) -> Any:
    """Whether `over` slow requests out of `number` are enough to lift the quantile over the limit. Takes numbers or
    arrays."""
    above = ((number - 1) * rule.quantile) // 1 + 1  # the upper of its two neighbours
    return (over > 0) & (over >= number - above)


def _calm(rule: Latency, minutes: Minutes) -> Calm:
    usual, said = least(rule), []
    columns, stretches = minutes.history.columns, minutes.history.stretches
    for subject in minutes.features([rule.feature]):
        counts = minutes.counts(rule.window, subject)
        many = counts.requests - counts.failed >= usual
        if not many.any():
            continue
        rows = stretches.good_rows(subject)
        number = minutes.sums(columns.at_us[rows], rule.window)
        over = minutes.sums(columns.at_us[rows[columns.duration_us[rows] > _limit_us(rule)]], rule.window)
        enough = many & (number >= usual)
        said.append(Said(subject, enough & _may_be_slow(rule, number, over), enough))
    return Calm.of(minutes, said)


def _words(rule: Latency, lang: Language) -> str:
    return lang(
        "It takes more than %(limit)s to answer %(share)s of the successful requests to %(feature)s within %(time)s.",
        share=lang.percent(rule.quantile),
        feature=rule.feature,
        limit=lang.milliseconds(rule.threshold_ms),
        time=lang.duration(rule.window),
    )


def _title(rule: Latency, subject: str, lang: Language) -> str:
    return lang("%(feature)s is slow", feature=subject)


def _sentence(rule: Latency, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "%(share)s of the requests took up to %(value)s; the limit is %(limit)s.",
        share=lang.percent(rule.quantile),
        value=lang.milliseconds(incident.value or 0),
        limit=lang.milliseconds(rule.threshold_ms),
    )


def _at_worst(rule: Latency, incident: Incident, peak: float, lang: Language) -> str:
    return lang(
        "At worst, %(share)s of the requests took up to %(value)s; the limit is %(limit)s.",
        share=lang.percent(rule.quantile),
        value=lang.milliseconds(peak),
        limit=lang.milliseconds(rule.threshold_ms),
    )


def _slow(rule: Latency, incident: Incident, snapshot: Snapshot, start_us: int) -> Series:
    """The good requests since `start_us`; those that took too long count as bad."""
    columns, rows = snapshot.history.columns, snapshot.history.rows(start_us, snapshot.now_us, incident.subject)
    status, took_us = columns.status[rows], columns.duration_us[rows]
    timed = (status < 400) & (status != 101) & (took_us >= 0)
    slow = (took_us[timed] > rule.threshold_ms * 1000).astype(np.int64)
    return Series(columns.at_us[rows][timed], 1 - slow, slow)


def _onset(rule: Latency, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    return _slow(rule, incident, snapshot, start_us).onset(1 - rule.quantile)


def _recovery(rule: Latency, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    return _slow(rule, incident, snapshot, start_us).recovery(1 - rule.quantile)


def _too_slow(rule: Latency, incident: Incident, sample: Sample) -> np.ndarray:
    timed = (sample.status < 400) & (sample.status != 101) & (sample.duration_us >= 0)
    return np.where(timed, sample.duration_us > rule.threshold_ms * 1000, -1).astype(np.int8)


def _gist(rule: Latency, incident: Incident, lang: Language) -> str:
    return lang(
        "the slowest %(share)s of the successful requests to %(feature)s above %(limit)s in %(span)s",
        share=lang.percent(1 - rule.quantile),
        feature=incident.subject,
        limit=lang.milliseconds(rule.threshold_ms),
        span=lang.lately(rule.window),
    )


def _reading(rule: Latency, incident: Incident, counts: Counts | None, lang: Language) -> str:
    if counts is None:
        return worst(lang.milliseconds(incident.peak or 0), lang)
    return now(lang.milliseconds(incident.value or 0), lang)


LATENCY = Kind(
    Latency,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    users=all_its_users,
    features=nowhere,
    onset=_onset,
    recovery=_recovery,
    bad=_too_slow,
    slow=lambda rule: rule.threshold_ms * 1000,
    threshold=Threshold("threshold_ms", 10.0, lambda value, lang: lang.milliseconds(value)),
)
"""See the module."""

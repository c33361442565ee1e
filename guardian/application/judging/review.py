"""Finds a better threshold for the noisiest rule, and verifies it on the recorded events before it is proposed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import Surroundings
from guardian.alerting.history import History
from guardian.alerting.incidents import Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.review import Better, noisiest
from guardian.application.judging.backtest import replay
from guardian.application.judging.live import lookback, surroundings
from guardian.core.storage import StorageError
from guardian.settings.rules import Rule
from guardian.settings.schema import Settings
from guardian.stores.opening import backend, open_book

log = logging.getLogger("guardian.alerting")

TRIES = 5
"""How many thresholds are tried between the present one and the worst that the useful incidents reached."""


def find_better(settings: Settings, incidents: Sequence[Incident], start: datetime, end: datetime) -> Better | None:
    """The threshold for the noisiest rule of [start, end), tried out on the recorded events; None where there is none,
    as where nobody acted on any of its incidents, where its kind has no threshold, or where the events cannot be read.
    """
    noise = noisiest(incidents, start)
    rule = settings.rules.get(noise.rule) if noise and noise.acted_on else None
    if rule is None or kind_of(rule).threshold is None:
        return None
    first, last = (int(at.timestamp()) // 60 for at in (start, end))
    minutes, single = lookback([rule])
    past = backend(settings.database).history(open_book(settings.alias, settings.database))
    try:
        history = past.read(first - minutes, last, single_events=(last - first) * 60 + single)
    except StorageError as error:
        log.warning("No threshold can be tried out, since %s", error)
        return None
    useful = [i for i in incidents if i.rule == rule.name and i.acted and (i.opened_us or 0) >= first * MINUTE_US]
    return better_threshold(rule, useful, history, surroundings(settings), first, last)


def better_threshold(
    rule: Rule, useful: Sequence[Incident], history: History, around: Surroundings, first: int, last: int
) -> Better | None:
    """The highest of some thresholds with which a replay of the minutes first … last has an incident wherever one of
    the useful ones was open, and fewer in all than with the present one; None where there is none."""

    def opened(tried: Rule) -> tuple[Incident, ...]:
        return replay(history, replace(around, rules=(tried,)), first, last).incidents

    tuned = kind_of(rule).threshold
    if tuned is None:
        return None
    present = len(opened(rule))
    for threshold in _thresholds(getattr(rule, tuned.key), tuned.unit, useful):
        found = opened(rule.model_copy(update={tuned.key: threshold}))
        if len(found) < present and all(any(_overlap(each, one) for one in found) for each in useful):
            return Better(rule, threshold, present - len(found))
    return None


def _thresholds(now: float, unit: float, useful: Sequence[Incident]) -> Iterator[float]:
    """From just under the weakest useful incident's worst value down to the present threshold, in round numbers."""
    peaks = [incident.peak for incident in useful if incident.peak is not None]
    low, high = round(now / unit), int(min(peaks, default=0.0) / unit - 1e-9)
    steps = [low + (high - low) * n // TRIES for n in range(TRIES, -1, -1)]
    yield from (round(above * unit, 6) for above, below in pairwise(steps) if above > max(below, low))


def _overlap(one: Incident, other: Incident) -> bool:
    """Whether both are about the same subject, and were open at the same time."""
    return one.subject == other.subject and all(
        (a.opened_us or 0) <= (b.resolved_us or b.fired_us) for a, b in ((one, other), (other, one))
    )

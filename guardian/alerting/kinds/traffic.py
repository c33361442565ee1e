"""What `traffic_drop` and `traffic_spike` share: traffic compared with the same hour of earlier weeks."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from guardian.alerting.columns import MINUTE_US, Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import its_subject
from guardian.alerting.minutes import Calm, Minutes, Said
from guardian.alerting.turning import Onset, first_request
from guardian.alerting.verdicts import WEEK, Since, State, Verdict, earlier_weeks, enough_users, subjects
from guardian.alerting.wanted import Compared
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Window


class Traffic(KindSettings):
    """The requests of the latest `window`, compared with the median of the same window in the `weeks` before, at least
    `min_weeks` of which must be recorded. For one `feature`, or for the whole app."""

    window: Window = 3600
    weeks: Annotated[int, Field(ge=2, le=8)] = 4
    min_weeks: Annotated[int, Field(ge=1)] = 2
    feature: str | None = None

    def needs_back(self) -> tuple[int, str]:
        """See RuleBase."""
        return self.min_weeks * WEEK + self.window, "min_weeks"

    def unfit(self) -> str | None:
        """See RuleBase."""
        if self.min_weeks <= self.weeks:
            return None
        fit = f"make it {self.weeks} or less"
        return f"min_weeks = {self.min_weeks} is more than weeks = {self.weeks}: {fit}"


def judge_traffic(
    rule: Traffic, snapshot: Snapshot, since: Since, unusual: Callable[[Any, Any], Any], *, back: int
) -> list[Verdict]:
    """The verdicts: `unusual` decides from (requests, usual number) whether the rule fires. `min_users` is checked
    against the window that ended `back` seconds ago."""
    verdicts = []
    for subject in subjects(rule.feature, snapshot):
        counts = snapshot.counts(rule.window, subject or None)
        earlier = earlier_weeks(snapshot, rule.weeks, rule.window, subject)
        usual = median(earlier) if len(earlier) >= rule.min_weeks else None
        # A window that "marked as fixed" cuts short cannot be compared with whole ones.
        if usual is None or snapshot.begins_inside(rule.window, since.get(subject, 0)):
            verdicts.append(Verdict(rule.name, subject, "no_data", None, counts))
            continue
        firing = unusual(counts.requests, usual)
        firing = firing and enough_users(rule, snapshot, rule.window, subject, back=back)
        state: State = "firing" if firing else "ok"
        verdicts.append(Verdict(rule.name, subject, state, float(counts.requests), counts, {"usual": usual}))
    return verdicts


def calm_traffic(rule: Traffic, minutes: Minutes, unusual: Callable[[Any, Any], Any]) -> Calm:
    """The same for many minutes at once; `unusual` takes arrays."""
    said = []
    for subject in subjects(rule.feature, minutes):
        counts = minutes.counts(rule.window, subject or None)
        earlier, covered = minutes.earlier_weeks(rule.weeks, rule.window, subject)
        usual = np.full(len(minutes), np.nan)
        for number in range(rule.min_weeks, rule.weeks + 1):
            usual[covered == number] = np.median(earlier[:number, covered == number], axis=0)
        firing = unusual(counts.requests, usual)
        values = None if rule.min_users else np.where(firing, counts.requests, np.nan)
        said.append(Said(subject, firing, covered >= rule.min_weeks, values))
    return Calm.of(minutes, said)


def traffic_compares(rule: Traffic) -> Compared:
    """The windows of earlier weeks that the rule compares with."""
    return Compared(rule.weeks, rule.window, None if rule.feature is None else (rule.feature,))


def traffic_sentence(rule: Traffic, incident: Incident, counts: Counts, lang: Language) -> str:
    """How many requests there are, and how many are usual."""
    return lang(
        "%(now)s requests in %(span)s; %(usual)s are usual at this hour of the week.",
        now=lang.number(incident.value or 0),
        span=lang.lately(rule.window),
        usual=lang.number(incident.facts.get("usual", 0)),
    )


def traffic_at_worst(rule: Traffic, incident: Incident, peak: float, lang: Language) -> str:
    """How many requests there were, and how many are usual."""
    return lang(
        "There were %(n)s requests in %(time)s; %(usual)s are usual.",
        n=lang.number(peak), time=lang.duration(rule.window), usual=lang.number(incident.facts.get("usual", 0)),
    )  # fmt: skip


def _minutes(
    rule: Traffic, incident: Incident, snapshot: Snapshot, start_us: int, limit: float, sign: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each minute since `start_us`: its start (µs), its requests, and by how many they exceed `limit` times the
    usual number (with `sign` 1) or fall short of it (-1)."""
    start_us -= start_us % MINUTE_US
    minutes = -(-(snapshot.now_us - start_us) // MINUTE_US)
    at_us = start_us + np.arange(minutes) * MINUTE_US
    backs = [snapshot.now_us // 1_000_000 - int(at) // 1_000_000 - 60 for at in at_us]
    number = np.array([snapshot.counts(60, its_subject(incident), back=back).requests for back in backs], dtype=float)
    usual = float(incident.facts.get("usual", 0)) * limit / (rule.window / 60)
    return at_us, number, sign * (number - usual)


def traffic_onset(
    rule: Traffic, incident: Incident, snapshot: Snapshot, start_us: int, limit: float, sign: int
) -> Onset | None:
    """The start of the stretch that deviates most in total; where its first or second minute has no request, the last
    request before that minute."""
    at_us, number, beyond = _minutes(rule, incident, snapshot, start_us, limit, sign)
    if not len(beyond):
        return None
    excess = np.cumsum(beyond)
    before = np.concatenate(([0.0], excess[:-1]))
    lowest = np.minimum.accumulate(before)
    worst = int(np.argmax(excess - lowest))
    first = int(np.flatnonzero(before[: worst + 1] == lowest[worst])[-1])
    empty = [
        int(at)
        for at, requests in zip(at_us[first : first + 2], number[first : first + 2], strict=True)
        if not requests
    ]
    earlier = snapshot.history.columns.at_us[snapshot.history.rows(0, empty[0] if empty else 0, its_subject(incident))]
    return Onset(int(earlier[-1]) if len(earlier) else int(at_us[first]))


def traffic_recovery(
    rule: Traffic, incident: Incident, snapshot: Snapshot, start_us: int, limit: float, sign: int
) -> int | None:
    """The first request after the deviation ended."""
    start_us = max(start_us, snapshot.now_us - 2 * rule.window * 1_000_000)
    at_us, number, beyond = _minutes(rule, incident, snapshot, start_us, limit, sign)
    after = int(np.argmax(np.cumsum(beyond))) + 1 if len(beyond) else 0
    used = [int(at) for at, requests in zip(at_us[after:], number[after:], strict=True) if requests]
    return first_request(snapshot, its_subject(incident), used[0]) if used else None

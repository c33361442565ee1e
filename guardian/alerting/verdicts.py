"""Judging: one pure function a kind of rule, from a rule and a snapshot to verdicts.

Adding a kind is one function here, one model in `rules`, one sentence in `wording`, and one table in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from guardian.alerting.columns import NOTHING, Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.statistics import quantile, wilson_lower
from guardian.settings.rules import (
    BurnRate,
    ErrorRate,
    FeatureDown,
    Latency,
    NewError,
    Rule,
    TrackerSilent,
    TrafficDrop,
    TrafficSpike,
    UserBurst,
)

DAY, WEEK = 86400, 7 * 86400
SILENCE_WEEKS = 4
"""With how many earlier weeks a silence is compared."""
AFTER_FIX = 5
"""So many requests after "marked as fixed", all of them good, are enough to call it well."""
NEW_FOR = DAY
"""An error counts as new for so many seconds after its first sighting."""
State = Literal["firing", "ok", "no_data"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of one subject: a feature, a user, an error, or "" for everything.

    `value` is what was measured, in the unit of the rule's threshold; None where nothing could be. `counts` are the
    totals of the rule's window. `facts` holds what the words of the mail need beyond that.
    """

    rule: str
    subject: str
    state: State
    value: float | None = None
    counts: Counts = NOTHING
    facts: Mapping[str, Any] = field(default_factory=dict)


Since = Mapping[str, int]
"""Per subject, the moment (µs) it was marked as fixed: what lies before does not count."""


def judge(rule: Rule, snapshot: Snapshot, since: Since | None = None) -> list[Verdict]:
    """The verdicts of one rule. A subject that is not among them is ok if there is any traffic, else without data."""
    return JUDGES[rule.kind](rule, snapshot, {} if since is None else since)


def _least(rule: Rule, *, well: bool = False) -> int:
    """How many requests can be judged by; `well` says that all since a fix, which cut the window, went well."""
    least = max(rule.min_requests, 1)
    return min(least, AFTER_FIX) if well else least


def _enough_users(rule: Rule, snapshot: Snapshot, window: int, subject: str, **which: Any) -> bool:
    """Whether `min_users` are concerned; `which` says whom `Snapshot.users` counts."""
    return not rule.min_users or len(snapshot.users(window, subject or None, **which)) >= rule.min_users


def _subjects(feature: str | None, snapshot: Snapshot) -> list[str]:
    return [""] if feature is None else snapshot.features([feature])


def _error_rate(rule: ErrorRate, snapshot: Snapshot, since: Since) -> list[Verdict]:
    """Fires above the threshold, not at it; and only when half of it is beyond doubt (Wilson's lower bound), so that a
    handful of failures among few requests stays quiet."""
    verdicts = []
    for subject in _subjects(rule.feature, snapshot):
        start = since.get(subject, 0)
        counts = snapshot.counts(rule.window, subject or None, since_us=start)
        bad = counts.bad(rule.count)
        if counts.requests < _least(rule, well=not bad and snapshot.begins_inside(rule.window, start)):
            verdicts.append(Verdict(rule.name, subject, "no_data", None, counts))
            continue
        rate = bad / counts.requests
        # Compared as integers, so that exactly 10 % is not 10.000000000000002 %.
        above = bad * 1_000_000 > round(rule.threshold * 1_000_000) * counts.requests
        firing = above and wilson_lower(bad, counts.requests) > rule.threshold / 2
        met = {"since_us": start, "failed": True, "count": rule.count}
        firing = firing and _enough_users(rule, snapshot, rule.window, subject, **met)
        verdicts.append(Verdict(rule.name, subject, "firing" if firing else "ok", rate, counts))
    return verdicts


def _feature_down(rule: FeatureDown, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts = []
    for subject in snapshot.features(rule.features):
        start = since.get(subject, 0)
        counts = snapshot.counts(rule.window, subject, since_us=start)
        bad = counts.bad(rule.count)
        facts: dict[str, Any] = {"why": "failing"}
        if counts.requests and bad < counts.requests:
            state: State = "ok"
        elif counts.requests >= rule.min_requests:
            state = "firing" if _enough_users(rule, snapshot, rule.window, subject, since_us=start) else "no_data"
        elif not counts.requests and _silent(rule, snapshot, subject, start, facts):
            state = "firing"
        else:
            state = "no_data"
        rate = bad / counts.requests if counts.requests else None
        verdicts.append(Verdict(rule.name, subject, state, rate, counts, facts))
    if rule.probe:
        verdicts.append(_probed(rule, snapshot, since.get("probe", 0)))
    return verdicts


def _silent(rule: FeatureDown, snapshot: Snapshot, subject: str, since_us: int, facts: dict[str, Any]) -> bool:
    """No request for `silence`, where each of at least two earlier weeks was busy in the same span."""
    if not rule.silence or snapshot.begins_inside(rule.silence, since_us):
        return False
    if snapshot.counts(rule.silence, subject).requests:
        return False
    usual = _earlier(snapshot, SILENCE_WEEKS, rule.silence, subject)
    facts.update(why="silent", usual=round(median(usual)) if usual else 0)
    return len(usual) >= 2 and min(usual) >= rule.silence_requests


def _earlier(snapshot: Snapshot, weeks: int, window: int, subject: str) -> list[int]:
    """The requests of the same window, by the clock on the wall, of each of so many weeks that was recorded."""
    backs = [snapshot.weeks_ago(week) for week in range(1, weeks + 1)]
    covered = [back for back in backs if snapshot.covers(back + window)]
    return [snapshot.counts(window, subject or None, back=back).requests for back in covered]


def _probed(rule: FeatureDown, snapshot: Snapshot, since_us: int) -> Verdict:
    assert rule.probe is not None
    answers = [good for at, good in snapshot.history.probes.get(rule.name, []) if since_us <= at < snapshot.now_us]
    last = answers[-rule.probe.failures :]
    if not last:
        state: State = "no_data"
    elif last[-1]:
        state = "ok"
    else:
        state = "firing" if len(last) == rule.probe.failures and not any(last) else "no_data"
    return Verdict(rule.name, "probe", state, None, facts={"why": "probe", "url": rule.probe.url})


def _user_burst(rule: UserBurst, snapshot: Snapshot, since: Since) -> list[Verdict]:
    seen = max(rule.window, 60)  # a minute is judged once: what was complete at its beginning too
    found = snapshot.bursts(rule.errors, rule.window, seen)
    found = {user: span for user, span in found.items() if span[0] >= since.get(user, 0)}
    active = {user for user in found if not rule.min_requests or len(snapshot.rows_of(user, seen)) >= rule.min_requests}
    state: State = "firing" if len(active) >= rule.min_users else "ok"
    verdicts = []
    for user, (began_us, ended_us) in found.items():
        facts = {"began_us": began_us, "ended_us": ended_us}
        said = state if user in active else "no_data"
        verdicts.append(Verdict(rule.name, user, said, float(rule.errors), facts=facts))
    return verdicts


def _latency(rule: Latency, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts = []
    least, fewest = _least(rule), _least(rule, well=True)
    for subject in snapshot.features([rule.feature]):
        start = since.get(subject, 0)
        # Counting is cheap, and most features are quiet most of the time.
        counts = snapshot.counts(rule.window, subject, since_us=start)
        fixed = start > 0 and snapshot.begins_inside(rule.window, start)
        many = counts.requests - counts.failed >= (fewest if fixed else least)
        durations = snapshot.durations_ms(rule.window, subject, since_us=start) if many else ()
        value = quantile(durations, rule.quantile) if len(durations) else 0.0
        slow = value > rule.threshold_ms
        if len(durations) < (fewest if fixed and not slow else least):
            verdicts.append(Verdict(rule.name, subject, "no_data", None, counts))
            continue
        firing = slow and _enough_users(rule, snapshot, rule.window, subject, since_us=start)
        verdicts.append(Verdict(rule.name, subject, "firing" if firing else "ok", value, counts))
    return verdicts


def _traffic(rule: TrafficDrop | TrafficSpike, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts = []
    for subject in _subjects(rule.feature, snapshot):
        counts = snapshot.counts(rule.window, subject or None)
        earlier = _earlier(snapshot, rule.weeks, rule.window, subject)
        usual = median(earlier) if len(earlier) >= rule.min_weeks else None
        # A window that was cut short by "marked as fixed" cannot be compared with a whole one.
        if usual is None or snapshot.begins_inside(rule.window, since.get(subject, 0)):
            verdicts.append(Verdict(rule.name, subject, "no_data", None, counts))
            continue
        if isinstance(rule, TrafficDrop):
            # The users who stay away cannot be counted, those of a week ago can.
            back, firing = snapshot.weeks_ago(1), usual >= rule.min_requests and counts.requests < usual * rule.below
        else:
            back, firing = 0, counts.requests >= rule.min_requests and counts.requests > usual * rule.above
        firing = firing and _enough_users(rule, snapshot, rule.window, subject, back=back)
        state: State = "firing" if firing else "ok"
        verdicts.append(Verdict(rule.name, subject, state, float(counts.requests), counts, {"usual": usual}))
    return verdicts


def _new_error(rule: NewError, snapshot: Snapshot, since: Since) -> list[Verdict]:
    """An error that is no longer new opens nothing; but while it keeps coming, nobody may say that it is over."""
    if not snapshot.covers(rule.warmup):
        return []
    first_seen, verdicts = snapshot.history.first_seen, []
    warm_us = (snapshot.history.first_event_us or 0) + rule.warmup * 1_000_000
    new_us = max(warm_us, snapshot.now_us - max(NEW_FOR, rule.window) * 1_000_000)
    for kind, place in snapshot.failures(rule.window):
        subject = f"{kind} at {place}"
        counts = snapshot.failure_counts(rule.window, (kind, place), since_us=since.get(subject, 0))
        bad = counts.bad(rule.count)
        if not bad:
            continue
        state: State = "no_data"
        if first_seen.get((kind, place), 0) >= new_us and bad >= rule.min_requests:
            met = {"since_us": since.get(subject, 0), "failed": True, "count": rule.count, "failure": (kind, place)}
            state = "firing" if _enough_users(rule, snapshot, rule.window, "", **met) else "ok"
        facts = {"kind": kind, "place": place}
        verdicts.append(Verdict(rule.name, subject, state, float(counts.requests), counts, facts))
    return verdicts


def _tracker_silent(rule: TrackerSilent, snapshot: Snapshot, since: Since) -> list[Verdict]:
    history = snapshot.history
    if history.alive_us is None or history.first_event_us is None:
        return [Verdict(rule.name, "", "no_data")]
    counts = snapshot.counts(rule.window)
    start = snapshot.now_us - rule.window * 1_000_000
    alive = counts.requests > 0 or any(at >= start for at in history.alive_us)
    waited = max(history.first_event_us, since.get("", 0)) <= start
    used = snapshot.counts(DAY, back=rule.window).requests >= rule.min_requests
    used = used and _enough_users(rule, snapshot, DAY, "", back=rule.window)
    state: State = "ok" if alive else "firing" if waited and used else "no_data"
    return [Verdict(rule.name, "", state, None, counts)]


BURN_WINDOWS = ((3600, 300, 14.4), (6 * 3600, 1800, 6.0), (3 * DAY, 6 * 3600, 1.0))
"""(long window, short window, burn rate): Google, The Site Reliability Workbook, chapter 5, table 5-8."""


def _burn_rate(rule: BurnRate, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts = []
    for subject in _subjects(rule.feature, snapshot):
        start = since.get(subject, 0)
        worst: tuple[float, Counts, int, float] | None = None
        enough = False
        for long, short, factor in BURN_WINDOWS:
            counts = snapshot.counts(long, subject or None, since_us=start)
            recent = snapshot.counts(short, subject or None, since_us=start)
            well = not counts.bad(rule.count) and snapshot.begins_inside(long, start)
            if counts.requests < _least(rule, well=well) or not (well or recent.requests):
                continue
            enough = True
            burns = [c.bad(rule.count) / max(c.requests, 1) / (1 - rule.objective) for c in (counts, recent)]
            met = {"since_us": start, "failed": True, "count": rule.count}
            if min(burns) > factor and not worst and _enough_users(rule, snapshot, long, subject, **met):
                worst = (burns[0], counts, long, factor)
        if worst:
            facts = {"window": worst[2], "factor": worst[3]}
            verdicts.append(Verdict(rule.name, subject, "firing", worst[0], worst[1], facts))
        else:
            verdicts.append(Verdict(rule.name, subject, "ok" if enough else "no_data"))
    return verdicts


JUDGES: Mapping[str, Callable[[Any, Snapshot, Since], list[Verdict]]] = {
    "error_rate": _error_rate,
    "feature_down": _feature_down,
    "user_burst": _user_burst,
    "latency": _latency,
    "traffic_drop": _traffic,
    "traffic_spike": _traffic,
    "new_error": _new_error,
    "tracker_silent": _tracker_silent,
    "burn_rate": _burn_rate,
}
"""Which function judges which kind."""

"""What an alert mail knows about its incident: who is affected, where, since when, and how the last hours went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from guardian.alerting.columns import MINUTE_US, NOTHING, Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import SECOND, Incident, Transition
from guardian.alerting.rules import Rule
from guardian.alerting.wording import at_worst, rule_in_words, sentence, title
from guardian.language import Language

CHART_BUCKETS, CHART_BUCKET_MINUTES = 36, 10
"""The chart of an alert: the last six hours in buckets of ten minutes."""
STEPS = 12
"""How many of a user's last steps an alert tells."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a user did: when, which feature, and the status that came back."""

    at: datetime
    feature: str
    status: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One column of the chart; `start` is aware UTC."""

    start: datetime
    requests: int
    failed: int


@dataclass(frozen=True, slots=True)
class Briefing:
    """Everything that one incident's part of a mail says.

    `users` counts the verified users who met an error in the rule's window (of a slow feature, all its users; of a
    user's burst, that user), `names` are the first few. `earlier` counts the incidents of the same rule and subject
    before this one. `features` are (name, failed, requests), worst first. `last_good` is None where none was seen;
    `ended` and `duration` (seconds) are None while it goes on. `steps` are a user's last ones, oldest first.
    """

    incident: Incident
    change: str
    rule: Rule
    title: str
    sentence: str
    rule_in_words: str
    users: int
    names: tuple[str, ...]
    earlier: int
    features: tuple[tuple[str, int, int], ...]
    since: datetime
    last_good: datetime | None
    ended: datetime | None
    duration: float | None
    chart: tuple[Bucket, ...]
    steps: tuple[Step, ...]


def moment(us: int) -> datetime:
    """Unix microseconds as an aware UTC datetime."""
    return datetime.fromtimestamp(us / SECOND, UTC)


def brief(transition: Transition, rule: Rule, snapshot: Snapshot, lang: Language) -> Briefing:
    """The briefing for one transition, from the snapshot in which it came."""
    incident = transition.incident
    window = max(getattr(rule, "window", 3600), (snapshot.now_us - incident.since_us) // SECOND)
    feature = incident.subject if _is_feature(rule, incident) else None
    user = incident.subject if rule.kind == "user_burst" else None
    hit = {user} if user else snapshot.users(window, feature, failed=rule.kind != "latency")
    counts = snapshot.counts(getattr(rule, "window", 3600), feature)
    if rule.kind == "new_error":
        counts = snapshot.failure_counts(window, (incident.facts.get("kind", ""), incident.facts.get("place", "")))
    fires = incident.fired_us == snapshot.now_us and incident.status != "resolved"
    ended = incident.well_since_us if incident.status == "resolved" else None
    return Briefing(
        incident=incident,
        change=transition.change,
        rule=rule,
        title=title(rule, incident.subject, lang),
        sentence=sentence(rule, incident, counts, lang) if fires else at_worst(rule, incident, lang),
        rule_in_words=rule_in_words(rule, lang),
        users=len(hit),
        names=tuple(sorted(hit)[:5]),
        earlier=incident.earlier,
        features=_features(snapshot, window, feature, user),
        since=moment(incident.since_us),
        last_good=None if incident.last_good_us is None else moment(incident.last_good_us),
        ended=None if ended is None else moment(ended),
        duration=None if ended is None else (ended - incident.since_us) / SECOND,
        chart=_chart(snapshot, feature),
        steps=_steps(snapshot, user),
    )


def _is_feature(rule: Rule, incident: Incident) -> bool:
    return rule.kind not in ("user_burst", "new_error", "tracker_silent") and incident.subject not in ("", "probe")


def _features(
    snapshot: Snapshot, window: int, feature: str | None, user: str | None
) -> tuple[tuple[str, int, int], ...]:
    """Where it failed: (feature, failed, requests), worst first, at most six."""
    if user is not None:
        columns = snapshot.history.columns
        rows = _rows_of(snapshot, user, window)
        found: dict[str, Counts] = {}
        for code, status in zip(columns.feature[rows], columns.status[rows], strict=True):
            name, bad = columns.features[code], int(status >= 400)
            old = found.get(name, NOTHING)
            found[name] = Counts(old.requests + 1, old.failed + bad, 0)
    else:
        names = [feature] if feature else snapshot.history.counts.features
        found = {name: snapshot.counts(window, name) for name in names}
    failing = [(name, counts.failed, counts.requests) for name, counts in found.items() if counts.failed]
    return tuple(sorted(failing, key=lambda row: (-row[1], row[0]))[:6])


def _rows_of(snapshot: Snapshot, user: str, window: int) -> np.ndarray:
    columns = snapshot.history.columns
    if user not in columns.users:
        return np.array([], dtype=np.int64)
    mine = columns.user == columns.users.index(user)
    return np.flatnonzero(
        mine & (columns.at_us < snapshot.now_us) & (columns.at_us >= snapshot.now_us - window * SECOND)
    )


def _steps(snapshot: Snapshot, user: str | None) -> tuple[Step, ...]:
    if user is None:
        return ()
    columns = snapshot.history.columns
    rows = _rows_of(snapshot, user, 3600)[-STEPS:]
    return tuple(
        Step(moment(int(columns.at_us[i])), columns.features[columns.feature[i]], int(columns.status[i])) for i in rows
    )


def _chart(snapshot: Snapshot, feature: str | None) -> tuple[Bucket, ...]:
    buckets = []
    for i in range(CHART_BUCKETS, 0, -1):
        back = (i - 1) * CHART_BUCKET_MINUTES * 60
        counts = snapshot.counts(CHART_BUCKET_MINUTES * 60, feature, back=back)
        start = (snapshot.minute - i * CHART_BUCKET_MINUTES) * MINUTE_US
        buckets.append(Bucket(moment(start), counts.requests, counts.failed))
    return tuple(buckets)

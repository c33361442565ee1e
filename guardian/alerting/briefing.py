"""What an alert mail knows about its incident: who is affected, where, since when, and how the last hours went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from guardian.alerting.affected import Failing, features, looked_at
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.evidence import Evidence, evidence
from guardian.alerting.explaining import UNEXPLAINED, Explanation
from guardian.alerting.forgetting import people_named
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import SECOND, Incident, Transition
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import counted, counted_s, window_of
from guardian.alerting.rule_words import rule_in_words, rule_line
from guardian.alerting.wording import at_worst, sentence, title
from guardian.core.language import Language
from guardian.core.time import moment

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

CHART_BUCKETS, CHART_BUCKET_MINUTES = 36, 10
"""The chart of an alert: the last six hours in buckets of ten minutes."""
STEPS = 12
"""How many of a user's latest steps an alert lists."""


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
    """Everything that a mail says about one incident.

    `line` is its rule with the threshold and the value. `users` counts the verified users known to be affected, `names`
    has the first few; `more_users` is true where earlier events are no longer in memory, so there may be more.
    `earlier` counts the incidents of the same rule and subject before this one. `features` are (name, failed,
    requests), worst first. They and the `evidence` cover the same time: while the rule fires, the time that the
    sentence speaks of, which may be the last `lately` seconds; otherwise (`lately` None) from `start` to the end.
    `again` is when it last started again, None if it never ended in between. `last_good` is None where none was seen;
    `ended` and `duration` (seconds, not counting the times when it was over) are None while it goes on.
    `silenced_until` is None unless it is silenced now. `steps` are the user's latest ones, oldest first. `why` is what
    is known about the cause.
    """

    incident: Incident
    change: str
    rule: Rule
    title: str
    sentence: str
    rule_in_words: str
    line: str
    users: int
    names: tuple[str, ...]
    more_users: bool
    earlier: int
    features: tuple[Failing, ...]
    evidence: Evidence
    lately: int | None
    start: datetime
    since: datetime
    again: datetime | None
    last_good: datetime | None
    silenced_until: datetime | None
    ended: datetime | None
    duration: int | None
    chart: tuple[Bucket, ...]
    steps: tuple[Step, ...]
    why: Explanation = UNEXPLAINED


def brief(
    transition: Transition,
    rule: Rule,
    snapshot: Snapshot,
    lang: Language,
    *,
    name: Callable[[str], str] = str,
    why: Explanation = UNEXPLAINED,
    in_full: bool = True,
) -> Briefing:
    """The briefing for one transition, from the snapshot in which it happened and what is known about the cause
    (`why`). People's names are passed through `name`. Without `in_full` no requests are searched: the sentence gives
    the worst value, and features, evidence, chart and steps are empty."""
    incident, now_us = transition.incident, snapshot.now_us
    kind, over = kind_of(rule), incident.status == "resolved"
    fires = incident.fired_us == now_us and not over
    then, seconds, lately = _looked_at(rule, incident, snapshot, fires)
    fires = fires and in_full
    counts = kind.measured(rule, incident, then, seconds) if fires else None
    said = people_named(incident, name, of_user=kind.of_one_user)
    return Briefing(
        incident=said,
        change=transition.change,
        rule=rule,
        title=title(rule, said.subject, lang),
        sentence=at_worst(rule, said, lang) if counts is None else sentence(rule, said, counts, lang),
        rule_in_words=rule_in_words(rule, lang),
        line=rule_line(rule, said, counts, lang),
        users=incident.users,
        names=said.names,
        more_users=not snapshot.holds(looked_at(rule, incident, snapshot)),
        earlier=incident.earlier,
        features=features(rule, incident, then, seconds) if in_full else (),
        evidence=evidence(rule, incident, then, seconds).named(name) if in_full else Evidence(seconds),
        lately=lately,
        start=moment(then.now_us - seconds * SECOND),
        since=moment(incident.first_us),
        again=_moment(incident.again_us),
        last_good=_moment(incident.last_good_us),
        silenced_until=_moment(incident.silenced_until_us) if incident.silenced(now_us) and not over else None,
        ended=_moment(incident.over_us),
        duration=incident.lasted_s,
        chart=_chart(snapshot, kind.feature(incident), counted(rule)) if in_full else (),
        steps=_steps(snapshot, incident.subject if kind.of_one_user and in_full else None),
        why=why.named(name),
    )


def _looked_at(rule: Rule, incident: Incident, snapshot: Snapshot, fires: bool) -> tuple[Snapshot, int, int | None]:
    """The end of the time that a briefing covers, its length in seconds, and the same length again if the sentence
    names it, else None. While the rule fires, this is the time that the sentence speaks of; otherwise it runs from the
    incident's start to now, or to its end.
    """
    span = kind_of(rule).span(rule, incident) if fires else None
    if span is not None:
        seconds = counted_s(incident, span)
        return snapshot, seconds, seconds
    minute = snapshot.minute if incident.over_us is None else min(snapshot.minute, -(-incident.over_us // MINUTE_US))
    begin = incident.first_us // MINUTE_US
    if incident.onset_us is None:  # the first firing verdict rests on the window before it
        begin -= window_of(rule) // 60
    return snapshot.history.at(minute), max(minute - begin, 1) * 60, None


def _moment(us: int | None) -> datetime | None:
    return None if us is None else moment(us)


def _steps(snapshot: Snapshot, user: str | None) -> tuple[Step, ...]:
    if user is None:
        return ()
    columns = snapshot.history.columns
    rows = snapshot.rows_of(user, 3600)[-STEPS:]
    return tuple(
        Step(moment(int(columns.at_us[i])), columns.features[columns.feature[i]], int(columns.status[i])) for i in rows
    )


def _chart(snapshot: Snapshot, feature: str | None, count: str) -> tuple[Bucket, ...]:
    buckets = []
    for i in range(CHART_BUCKETS, 0, -1):
        back = (i - 1) * CHART_BUCKET_MINUTES * 60
        counts = snapshot.counts(CHART_BUCKET_MINUTES * 60, feature, back=back)
        start = (snapshot.minute - i * CHART_BUCKET_MINUTES) * MINUTE_US
        buckets.append(Bucket(moment(start), counts.requests, counts.bad(count)))
    return tuple(buckets)

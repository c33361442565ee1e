"""Which users and features an incident concerns, from a snapshot. Only requests that its rule counts matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import TYPE_CHECKING

from guardian.alerting.history import History, Snapshot
from guardian.alerting.incidents import GOING_ON, SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import counted, window_of
from guardian.alerting.users import Gathered
from guardian.alerting.whom import Past, who_failed

if TYPE_CHECKING:
    from guardian.alerting.engine import AlertState
    from guardian.settings.rules import Rule

NAMES, FEATURES = 5, 6
"""How many users are named, and how many features."""
Failing = tuple[str, int, int]
"""A feature, its failed requests, and all of them."""


def looked_at(rule: Rule, incident: Incident, snapshot: Snapshot) -> int:
    """How many seconds back the incident reaches: to the start of the window in which it first fired."""
    return window_of(rule) + max(0, (snapshot.now_us - incident.since_us) // SECOND)


def noted(rule: Rule, incident: Incident, snapshot: Snapshot) -> Incident:
    """The incident with the users it concerns, if they are more than it had: the number never falls, since old events
    leave the memory."""
    hit = kind_of(rule).users(rule, incident, snapshot, looked_at(rule, incident, snapshot))
    return _with(incident, len(hit), tuple(nsmallest(NAMES, hit)))


def _with(incident: Incident, users: int, names: tuple[str, ...]) -> Incident:
    return replace(incident, users=users, names=names) if users >= incident.users else incident


@dataclass(slots=True)
class _Met:
    """The users whom an incident has hit before the minute `end`. `of` is what they depend on besides the events: where
    it changes, they are counted again. `late` are minutes that have received more events since."""

    of: tuple[Rule, int, int]
    end: int
    people: Gathered
    late: set[int]


class Met:
    """The users whom firing incidents have hit, updated minute by minute: only the new minutes are searched. `past`
    answers for the time before the single events in memory, as after a restart or a full re-read of the history."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._met: dict[str, _Met] = {}

    def follow(self, history: History) -> None:
        """Take over the next history. Has to be called with each one, in order. Where the history was read in full
        (somebody may have been erased), everybody is counted again."""
        if history.late is None:
            self._met = {}
        for met in self._met.values():
            met.late.update(history.late or ())

    def noted(self, state: AlertState, rules: Iterable[Rule], snapshot: Snapshot) -> AlertState:
        """The state in which each firing incident has the users it has hit so far. Unlike the function `noted` this
        goes back to the incident's start, however long ago, and includes the time between an end and the next start.
        Raises StorageError."""
        mine = {rule.name: rule for rule in rules}
        there = state.incidents()
        firing = [i for i in there if i.fired_us == snapshot.now_us and i.status in GOING_ON and i.rule in mine]
        of_many = [i for i in firing if not kind_of(mine[i.rule]).of_one_user]
        self._met = {i.id: self._met[i.id] for i in there if i.id in self._met}
        self._met |= {i.id: self._counted(mine[i.rule], i, snapshot) for i in of_many}
        changed = []
        for incident in firing:
            met = self._met.get(incident.id)
            hit = (1, (incident.subject,)) if met is None else (len(met.people), met.people.first)
            if hit != (incident.users, incident.names):
                changed.append(_with(incident, *hit))
        return state.changed(*changed)

    def _counted(self, rule: Rule, incident: Incident, snapshot: Snapshot) -> _Met:
        met, of = self._met.get(incident.id), (rule, incident.since_us, incident.judged_from_us)
        seconds = looked_at(rule, incident, snapshot)
        if met is None or met.of != of or met.end > snapshot.minute:
            met, spans = _Met(of, snapshot.minute, Gathered(NAMES), set()), [(snapshot, seconds)]
        else:
            first = snapshot.minute - seconds // 60
            late = [snapshot.history.at(minute + 1) for minute in met.late if first <= minute < met.end]
            spans = [(snapshot, (snapshot.minute - met.end) * 60), *((each, 60) for each in late)]
            met.late = set()
        for span in spans:
            for users in self._found(rule, incident, *span):
                met.people.add(users)
        met.end = snapshot.minute
        return met

    def _found(self, rule: Rule, incident: Incident, snapshot: Snapshot, seconds: int) -> Iterator[Set[str]]:
        """The users hit in the last `seconds`."""
        yield kind_of(rule).users(rule, incident, snapshot, seconds)
        start_us = snapshot.start_us(seconds, incident.judged_from_us)
        end_us = min(snapshot.now_us, snapshot.history.singles_us)
        if start_us < end_us:
            yield who_failed(rule, incident, start_us, end_us, self._past)


def timed(rule: Rule, incident: Incident, before: Incident | None, snapshot: Snapshot, since_us: int) -> Incident:
    """The incident with its start and end as requests show them. They are looked for in the minute of the first verdict
    that it fires, fires again, or is well. `before` is the incident a minute ago; nothing before `since_us` (µs)
    counts."""
    kind, now_us = kind_of(rule), snapshot.now_us
    if incident.fired_us == now_us:
        if incident.judged_from_us != since_us:
            incident = replace(incident, judged_from_us=since_us)
        start_us = max(now_us - kind.looks_back(rule) * SECOND, since_us)
        if incident.since_us == now_us:
            if found := kind.onset(rule, incident, snapshot, start_us):
                good_us = incident.last_good_us if found.last_good_us is None else found.last_good_us
                good_us = None if good_us is not None and good_us > found.at_us else good_us
                incident = replace(incident, onset_us=found.at_us, last_good_us=good_us)
        elif incident.again_us == now_us and before is not None and before.over_us is not None:
            found = kind.onset(rule, incident, snapshot, max(start_us, before.over_us))
            if found and before.over_us <= found.at_us < now_us:
                good_us = incident.last_good_us if found.last_good_us is None else found.last_good_us
                calm_us = before.calm_us + found.at_us - before.over_us
                incident = replace(incident, again_us=found.at_us, calm_us=calm_us, last_good_us=good_us)
    elif incident.well_since_us == now_us and incident.recovery_us is None:
        start_us = incident.again_us or incident.first_us
        at_us = kind.recovery(rule, incident, snapshot, start_us)
        if at_us is not None and start_us <= at_us <= now_us:
            incident = replace(incident, recovery_us=at_us)
    return incident


def features(rule: Rule, incident: Incident, snapshot: Snapshot, seconds: int) -> tuple[Failing, ...]:
    """The features that failed in the last `seconds`, worst first, at most `FEATURES`; empty for rules that are not
    about failures."""
    found = kind_of(rule).features(rule, incident, snapshot, seconds)
    which = counted(rule)
    failing = [(name, counts.bad(which), counts.requests) for name, counts in found.items() if counts.bad(which)]
    return tuple(sorted(failing, key=lambda row: (-row[1], row[0]))[:FEATURES])

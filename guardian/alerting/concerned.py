"""Whom an incident concerns and where, from a snapshot: only what its rule counts is counted."""

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
    """How many seconds the incident looks back: from the beginning of the window in which it first fired on."""
    return window_of(rule) + max(0, (snapshot.now_us - incident.since_us) // SECOND)


def noted(rule: Rule, incident: Incident, snapshot: Snapshot) -> Incident:
    """The incident with the users it concerns, the most so far: later nobody can look them up any more."""
    hit = kind_of(rule).users(rule, incident, snapshot, looked_at(rule, incident, snapshot))
    return _with(incident, len(hit), tuple(nsmallest(NAMES, hit)))


def _with(incident: Incident, users: int, names: tuple[str, ...]) -> Incident:
    return replace(incident, users=users, names=names) if users >= incident.users else incident


@dataclass(slots=True)
class _Met:
    """The users whom an incident has met before the minute `end`; `of` is what they depend on beside the events. `late`
    are minutes that have more events since."""

    of: tuple[Rule, int, int]
    end: int
    people: Gathered
    late: set[int]


class Met:
    """Whom the incidents that fire have met, counted on from minute to minute: only who is new is looked for. In `past`
    are those of before the single events at hand: after a restart, or where the history was read anew."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._met: dict[str, _Met] = {}

    def follow(self, history: History) -> None:
        """Go on with this history, which was grown from the one before; each one is to be told. Where it was read anew,
        for somebody may have been erased, all are counted anew."""
        if history.late is None:
            self._met = {}
        for met in self._met.values():
            met.late.update(history.late or ())

    def noted(self, state: AlertState, rules: Iterable[Rule], snapshot: Snapshot) -> AlertState:
        """The state in which each incident that fires counts whom it has met by now, as the function `noted` does, but
        however long ago it began; of one that fires again also whom it met in between. Raises StorageError."""
        mine = {rule.name: rule for rule in rules}
        there = state.incidents()
        firing = [i for i in there if i.fired_us == snapshot.now_us and i.status in GOING_ON]
        self._met = {i.id: self._met[i.id] for i in there if i.id in self._met}
        self._met |= {i.id: self._counted(mine[i.rule], i, snapshot) for i in firing if i.rule in mine}
        changed = []
        for incident in firing:
            met = self._met.get(incident.id)
            if met is not None and (len(met.people), met.people.first) != (incident.users, incident.names):
                changed.append(_with(incident, len(met.people), met.people.first))
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
        """Whom it met in the last so many seconds."""
        yield kind_of(rule).users(rule, incident, snapshot, seconds)
        start_us = snapshot.start_us(seconds, incident.judged_from_us)
        end_us = min(snapshot.now_us, snapshot.history.singles_us)
        if start_us < end_us:
            yield who_failed(rule, incident, start_us, end_us, self._past)


def timed(rule: Rule, incident: Incident, before: Incident | None, snapshot: Snapshot, since_us: int) -> Incident:
    """The incident with its beginning and end as requests show them, in the minute in which a verdict first says that
    it fires, fires again, or is well. `before` is the incident a minute ago; what lies before `since_us` (µs) no longer
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
    """Where it failed in the last so many seconds, worst first, at most `FEATURES`; nothing where failures are not what
    the rule is about."""
    found = kind_of(rule).features(rule, incident, snapshot, seconds)
    which = counted(rule)
    failing = [(name, counts.bad(which), counts.requests) for name, counts in found.items() if counts.bad(which)]
    return tuple(sorted(failing, key=lambda row: (-row[1], row[0]))[:FEATURES])

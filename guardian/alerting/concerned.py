"""Whom an incident concerns and where, from a snapshot: only what its rule counts is counted."""

from __future__ import annotations

from dataclasses import replace
from heapq import nsmallest
from typing import TYPE_CHECKING

from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import counted, window_of

if TYPE_CHECKING:
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
    if len(hit) >= incident.users:
        incident = replace(incident, users=len(hit), names=tuple(nsmallest(NAMES, hit)))
    return incident


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

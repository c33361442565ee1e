"""Whom an incident concerns and where, from a snapshot: only what its rule counts is counted."""

from __future__ import annotations

from dataclasses import replace
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
    """The incident with the users it concerns, the most so far, and with what the single events say of its beginning:
    later nobody can look them up any more."""
    kind = kind_of(rule)
    hit = kind.users(rule, incident, snapshot, looked_at(rule, incident, snapshot))
    if len(hit) >= incident.users:
        incident = replace(incident, users=len(hit), names=tuple(sorted(hit)[:NAMES]))
    return kind.begun(rule, incident, snapshot) if incident.fired_us == snapshot.now_us else incident


def features(rule: Rule, incident: Incident, snapshot: Snapshot) -> tuple[Failing, ...]:
    """Where it failed, worst first, at most `FEATURES`; nothing for rules that are not about failures."""
    found = kind_of(rule).features(rule, incident, snapshot, looked_at(rule, incident, snapshot))
    which = counted(rule)
    failing = [(name, counts.bad(which), counts.requests) for name, counts in found.items() if counts.bad(which)]
    return tuple(sorted(failing, key=lambda row: (-row[1], row[0]))[:FEATURES])

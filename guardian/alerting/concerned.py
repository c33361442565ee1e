"""Whom an incident concerns and where, from a snapshot: only what its rule counts is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from guardian.alerting.columns import NOTHING, Counts, lowest_bad
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import SECOND, Incident
from guardian.settings.rules import FeatureDown, Rule

NAMES, FEATURES = 5, 6
"""How many users are named, and how many features."""
Failing = tuple[str, int, int]
"""A feature, its failed requests, and all of them."""


def looked_at(rule: Rule, incident: Incident, snapshot: Snapshot) -> int:
    """How many seconds the incident looks back: from the beginning of the window in which it first fired on."""
    return getattr(rule, "window", 3600) + max(0, (snapshot.now_us - incident.since_us) // SECOND)


def counted(rule: Rule) -> str:
    """Which errors the rule counts: "all" or "server"."""
    return getattr(rule, "count", "all")


def feature_of(rule: Rule, incident: Incident) -> str | None:
    """The feature that the incident is about, None where it is about none or all."""
    other = rule.kind in ("user_burst", "new_error", "tracker_silent") or incident.subject in ("", "probe")
    return None if other else incident.subject


def noted(rule: Rule, incident: Incident, snapshot: Snapshot) -> Incident:
    """The incident with the users it concerns, the most so far, and with what the single events say of its beginning:
    later nobody can look them up any more."""
    hit = users(rule, incident, snapshot)
    if len(hit) >= incident.users:
        incident = replace(incident, users=len(hit), names=tuple(sorted(hit)[:NAMES]))
    if incident.fired_us != snapshot.now_us:
        return incident
    if rule.kind == "user_burst" and incident.began_us is None:
        return replace(incident, began_us=incident.facts.get("began_us"))
    if isinstance(rule, FeatureDown) and incident.facts.get("why") == "failing":
        return _since_the_last_good(rule, incident, snapshot)
    return incident


def users(rule: Rule, incident: Incident, snapshot: Snapshot) -> set[str]:
    """The verified users who met an error that the rule counts; of a slow or busy feature, all its users; of a user's
    burst, that user."""
    if rule.kind == "user_burst":
        return {incident.subject}
    window = looked_at(rule, incident, snapshot)
    if rule.kind in ("latency", "traffic_drop", "traffic_spike"):
        return snapshot.users(window, feature_of(rule, incident))
    what = (incident.facts["kind"], incident.facts["place"]) if "place" in incident.facts else None
    return snapshot.users(window, feature_of(rule, incident), failed=True, count=counted(rule), failure=what)


def _since_the_last_good(rule: FeatureDown, incident: Incident, snapshot: Snapshot) -> Incident:
    columns = snapshot.history.columns
    rows = np.arange(len(columns))[snapshot.history.rows(0, snapshot.now_us, incident.subject)]
    good = np.flatnonzero(columns.status[rows] < lowest_bad(rule.count))
    if not len(good):
        return incident
    last, failed = rows[good[-1]], rows[good[-1] + 1 :]
    incident = replace(incident, last_good_us=int(columns.at_us[last]))
    if incident.began_us is None and len(failed):
        incident = replace(incident, began_us=int(columns.at_us[failed[0]]))
    return incident


def features(rule: Rule, incident: Incident, snapshot: Snapshot) -> tuple[Failing, ...]:
    """Where it failed, worst first, at most `FEATURES`; nothing for rules that are not about failures."""
    if rule.kind in ("latency", "traffic_drop", "traffic_spike", "tracker_silent"):
        return ()
    window = looked_at(rule, incident, snapshot)
    if rule.kind == "user_burst":
        found = _features_of_user(snapshot, incident.subject, window)
    else:
        feature = feature_of(rule, incident)
        names = [feature] if feature else snapshot.history.counts.features
        found = {name: snapshot.counts(window, name) for name in names}
    which = counted(rule)
    failing = [(name, counts.bad(which), counts.requests) for name, counts in found.items() if counts.bad(which)]
    return tuple(sorted(failing, key=lambda row: (-row[1], row[0]))[:FEATURES])


def _features_of_user(snapshot: Snapshot, user: str, window: int) -> dict[str, Counts]:
    columns, found = snapshot.history.columns, dict[str, Counts]()
    rows = snapshot.rows_of(user, window)
    for code, status in zip(columns.feature[rows], columns.status[rows], strict=True):
        name, old = columns.features[code], found.get(columns.features[code], NOTHING)
        found[name] = Counts(old.requests + 1, old.failed + int(status >= 400), old.server + int(status >= 500))
    return found

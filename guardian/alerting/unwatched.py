"""Incidents that a changed rule no longer watches, or calls well only because it was changed: announced as unwatched,
never as resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import Memory, Transition
from guardian.alerting.kinds import judge, kind_of
from guardian.alerting.verdicts import Since, State, Verdict

if TYPE_CHECKING:
    from guardian.settings.rules import Rule


def without_unwatched(
    memory: Memory,
    rule: Rule,
    verdicts: Sequence[Verdict],
    former: Mapping[str, Rule],
    snapshot: Snapshot,
    since: Since,
    alive: bool,
) -> tuple[Memory, list[Transition]]:
    """Ends the incidents that the rule no longer watches. Returns its memory and the ends as transitions.

    `former` holds, by `Incident.under`, the rules that incidents fired by: until such an incident fires by the current
    rule, it is well only if its own rule says so too. `alive`: see `life.after_verdicts`.
    """
    unsaid: State = "ok" if alive else "no_data"
    said: dict[str, State] = {verdict.subject: verdict.state for verdict in verdicts}
    before: dict[str, dict[str, State]] = {}
    latest, changes = dict(memory.latest), []
    for subject, incident in memory.latest.items():
        old = former.get(incident.under)
        if incident.status == "resolved" or (old is None and kind_of(rule).watches(rule, subject)):
            continue
        if old is not None and _watched(rule, old, subject):
            now = said.get(subject, unsaid)
            if now == "firing":
                continue
            if incident.under not in before:
                before[incident.under] = {v.subject: v.state for v in judge(old, snapshot, since, memory.latest)}
            then = before[incident.under].get(subject, unsaid)
            if then == now or then == "ok":
                continue
        if incident.status == "pending":
            del latest[subject]
            continue
        latest[subject] = ended = incident.ended("unwatched", snapshot.now_us)
        changes.append(Transition(ended, "unwatched", snapshot.now_us))
    return (replace(memory, latest=latest) if latest != memory.latest else memory), changes


def _watched(rule: Rule, old: Rule, subject: str) -> bool:
    """Whether the rule is still of the same kind and still watches this subject."""
    return kind_of(rule) is kind_of(old) and kind_of(rule).watches(rule, subject)


def edited(
    memory: Memory, old: Rule | None, rule: Rule, former: Mapping[str, Rule]
) -> tuple[Memory, Mapping[str, Rule]]:
    """If the rule was changed since the last minute, notes the old one: under each incident that goes on, and in
    `former`."""
    if old is None or old == rule or not memory.latest:
        return memory, former
    key = f"{rule.name} {blake2b(repr(old).encode(), digest_size=6).hexdigest()}"
    latest = {s: i if i.under or i.status == "resolved" else replace(i, under=key) for s, i in memory.latest.items()}
    return replace(memory, latest=latest), {**former, key: old}


def removed(memory: Memory, now_us: int) -> tuple[Memory, list[Transition]]:
    """What is left of the memory of a rule that was removed from the settings, and the ends of its open incidents."""
    latest = {s: i for s, i in memory.latest.items() if i.status != "pending" and i.kept(now_us)}
    changes = [
        Transition(incident.ended("removed", now_us), "removed", now_us)
        for incident in latest.values()
        if incident.status != "resolved"
    ]
    latest |= {change.incident.subject: change.incident for change in changes}
    return replace(memory, latest=latest), changes

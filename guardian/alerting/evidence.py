"""What failed in an incident, with figures, from a snapshot: the most frequent failures, and the users hit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from guardian.alerting.affected import looked_at
from guardian.alerting.columns import MINUTE_US, lowest_bad
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import counted, nowhere
from tracker.event import ANONYMOUS, NOTED

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

CAUSES, HITS, NEWCOMERS = 3, 5, 5
"""How many kinds of failure are listed, how many of the users hit most, and how many of those newly hit."""
_LINE = re.compile(r":\d+ ")
"""Found only in a place in the code; otherwise the place is a feature."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to fail: `failed` requests (of `Evidence.failed`) answered `status` with an error of this kind, such as
    "KeyError" or "HTTP 413". `place` is "file:line function", "" where no exception was seen: such failures are grouped
    by kind alone, whatever the feature."""

    status: int
    kind: str
    place: str
    failed: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rule counts as failed in the last `seconds`: how many requests, their `causes` (most frequent first),
    how many verified `users` were hit, the few it `hits` most and how often, and the users newly hit since the last
    message: how many, and the first few by name. `whole` says whether the single events of all that time are in memory;
    if not, there may be more."""

    seconds: int
    failed: int = 0
    causes: tuple[Cause, ...] = ()
    users: int = 0
    hits: tuple[tuple[str, int], ...] = ()
    newcomers: int = 0
    new_names: tuple[str, ...] = ()
    whole: bool = True

    def named(self, name: Callable[[str], str]) -> Evidence:
        """The same with people written as `name` writes them."""
        hits = tuple((name(user), number) for user, number in self.hits)
        return replace(self, hits=hits, new_names=tuple(map(name, self.new_names)))


def evidence(rule: Rule, incident: Incident, snapshot: Snapshot, seconds: int) -> Evidence:
    """The evidence of the last `seconds` before the snapshot, leaving out what came before a fix or maintenance. For
    rules that are not about failures only the time is filled in."""
    kind, columns = kind_of(rule), snapshot.history.columns
    if kind.features is nowhere:
        return Evidence(seconds)
    start_us = max(snapshot.now_us - seconds * SECOND, incident.judged_from_us)
    found = snapshot.history.rows(start_us, snapshot.now_us, kind.feature(incident))
    bad = columns.status[found] >= lowest_bad(counted(rule))
    rows = np.flatnonzero(bad) + found.start if isinstance(found, slice) else found[bad]
    if kind.of_one_user:
        rows = rows[columns.user[rows] == snapshot.history.stretches.people.place(incident.subject)]
    if "place" in incident.facts:
        what = (incident.facts["kind"], incident.facts["place"])
        code = columns.failures.index(what) if what in columns.failures else len(columns.failures)
        rows = rows[columns.failure[rows] == code]
    known = rows[columns.user[rows] != snapshot.history.stretches.people.place(ANONYMOUS)]
    hit = _counted(columns.user[known])
    names = _newcomers(rule, incident, snapshot)
    most = sorted(((columns.users[code], number) for code, number in hit), key=lambda m: (-m[1], m[0]))
    causes = _causes(snapshot, rows)
    hits, new, whole = tuple(most[:HITS]), tuple(names[:NEWCOMERS]), snapshot.holds(seconds)
    return Evidence(seconds, len(rows), causes, len(hit), hits, len(names), new, whole)


def _causes(snapshot: Snapshot, rows: np.ndarray) -> tuple[Cause, ...]:
    columns = snapshot.history.columns
    pairs, numbers = np.unique(np.stack([columns.failure[rows], columns.status[rows]]), axis=1, return_counts=True)
    found: dict[tuple[int, str, str], int] = {}
    for failure, status, number in zip(*pairs.tolist(), numbers.tolist(), strict=True):
        kind, place = columns.failures[failure] if failure >= 0 else (f"HTTP {status % NOTED}", "")
        place = place if _LINE.search(place) else ""
        found[status % NOTED, kind, place] = found.get((status % NOTED, kind, place), 0) + number
    causes = [Cause(*key, number) for key, number in found.items()]
    return tuple(sorted(causes, key=lambda c: (-c.failed, c.status, c.kind, c.place))[:CAUSES])


def _counted(codes: np.ndarray) -> list[tuple[int, int]]:
    values, numbers = np.unique(codes, return_counts=True)
    return list(zip(values.tolist(), numbers.tolist(), strict=True))


def _newcomers(rule: Rule, incident: Incident, snapshot: Snapshot) -> list[str]:
    """The users hit for the first time since the last message, as far as the events in memory reach back to the
    start."""
    kind, seconds = kind_of(rule), looked_at(rule, incident, snapshot)
    if incident.told_us is None or not kind.says_users or not snapshot.holds(seconds):
        return []
    before = snapshot.history.at(incident.told_us // MINUTE_US)
    # Whoever was hit before a fix or maintenance is not new to it.
    known = kind.users(rule, replace(incident, judged_from_us=0), before, looked_at(rule, incident, before))
    return sorted(kind.users(rule, incident, snapshot, seconds) - known)

"""What failed in an incident, with the figures: the commonest failures, and whom it hits; from the snapshot at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from guardian.alerting.columns import lowest_bad
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import counted, nowhere
from tracker.event import ANONYMOUS, NOTED

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

CAUSES, NEWCOMERS = 3, 5
"""How many failures are told apart, and how many of those who are new to it are named."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to fail: `failed` requests (of `Evidence.failed`) answered `status` with an error of this kind, such as
    "KeyError" or "HTTP 413". `place` is "file:line function", or the feature where no exception was seen."""

    status: int
    kind: str
    place: str
    failed: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rule counts as failed in the last `seconds`: how many, the commonest `causes` first, how many `users`
    (verified) met it, who was hit most and how often (None: nobody by name), and who met it only since the last message
    about the incident: how many, and the first few by name."""

    seconds: int
    failed: int = 0
    causes: tuple[Cause, ...] = ()
    users: int = 0
    most: tuple[str, int] | None = None
    newcomers: int = 0
    new_names: tuple[str, ...] = ()

    def named(self, name: Callable[[str], str]) -> Evidence:
        """The same with people written as `name` writes them."""
        most = None if self.most is None else (name(self.most[0]), self.most[1])
        return replace(self, most=most, new_names=tuple(map(name, self.new_names)))


def evidence(rule: Rule, incident: Incident, snapshot: Snapshot, seconds: int) -> Evidence:
    """The evidence of the last so many seconds, without what came before a fix or maintenance; nothing but the time for
    rules that are not about failures."""
    kind, columns = kind_of(rule), snapshot.history.columns
    if kind.features is nowhere:
        return Evidence(seconds)
    start_us = max(snapshot.now_us - seconds * SECOND, incident.judged_from_us)
    rows = np.arange(len(columns))[snapshot.history.rows(start_us, snapshot.now_us, kind.feature(incident))]
    rows = rows[columns.status[rows] >= lowest_bad(counted(rule))]
    if kind.of_one_user:
        mine = columns.users.index(incident.subject) if incident.subject in columns.users else -1
        rows = rows[columns.user[rows] == mine]
    if "place" in incident.facts:
        what = (incident.facts["kind"], incident.facts["place"])
        code = columns.failures.index(what) if what in columns.failures else len(columns.failures)
        rows = rows[columns.failure[rows] == code]
    known = rows[columns.user[rows] != (columns.users.index(ANONYMOUS) if ANONYMOUS in columns.users else -1)]
    hit = _counted(columns.user[known])
    fresh = _newcomers(columns.user[known], columns.at_us[known], incident.told_us)
    names = sorted(columns.users[code] for code in fresh)
    most = min(((columns.users[code], number) for code, number in hit), key=lambda m: (-m[1], m[0]), default=None)
    causes = _causes(snapshot, rows)
    return Evidence(seconds, len(rows), causes, len(hit), most, len(names), tuple(names[:NEWCOMERS]))


def _causes(snapshot: Snapshot, rows: np.ndarray) -> tuple[Cause, ...]:
    columns = snapshot.history.columns
    pairs, numbers = np.unique(np.stack([columns.failure[rows], columns.status[rows]]), axis=1, return_counts=True)
    found = []
    for failure, status, number in zip(*pairs.tolist(), numbers.tolist(), strict=True):
        kind, place = columns.failures[failure] if failure >= 0 else (f"HTTP {status % NOTED}", "")
        found.append(Cause(status % NOTED, kind, place, number))
    return tuple(sorted(found, key=lambda c: (-c.failed, c.status, c.kind, c.place))[:CAUSES])


def _counted(codes: np.ndarray) -> list[tuple[int, int]]:
    values, numbers = np.unique(codes, return_counts=True)
    return list(zip(values.tolist(), numbers.tolist(), strict=True))


def _newcomers(users: np.ndarray, at_us: np.ndarray, told_us: int | None) -> set[int]:
    """Who met it only since the last message, of those whom the events at hand know."""
    if told_us is None:
        return set()
    return set(users[at_us >= told_us].tolist()) - set(users[at_us < told_us].tolist())

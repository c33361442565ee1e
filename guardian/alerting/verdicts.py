"""What judging a rule says, and what the judges of several kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from guardian.alerting.columns import NOTHING, Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.minutes import Minutes

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

DAY, WEEK = 86400, 7 * 86400
CLOCK_CHANGE = 3600
"""The same time of an earlier week lies so much further back where the clocks were put back since."""
AFTER_FIX = 5
"""So many requests after "marked as fixed", all of them good, are enough to call it well."""
State = Literal["firing", "ok", "no_data"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of one subject: a feature, a user, an error, or "" for everything.

    `value` is what was measured, in the unit of the rule's threshold; None where nothing could be, or had to be to call
    it ok. `counts` are the totals of the rule's window. `facts` holds what else the words of the mail need.
    """

    rule: str
    subject: str
    state: State
    value: float | None = None
    counts: Counts = NOTHING
    facts: Mapping[str, Any] = field(default_factory=dict)


Since = Mapping[str, int]
"""Per subject, the moment (µs) it was marked as fixed: what lies before does not count."""


class SinceMaintenance(dict[str, int]):
    """From when on each subject is judged afresh, the end of a maintenance window at the earliest."""

    def __init__(self, fixed_us: Mapping[str, int], maintained_us: int) -> None:
        super().__init__(fixed_us)
        self._at_least = maintained_us

    def get(self, subject: str, default: int = 0) -> int:  # type: ignore[override]
        """When what counts of a subject begins (µs)."""
        return max(super().get(subject, default), self._at_least)


def least(rule: Rule, *, well: bool = False) -> int:
    """How many requests can be judged by; `well` says that all since a fix, which cut the window, went well."""
    fewest = max(rule.min_requests, 1)
    return min(fewest, AFTER_FIX) if well else fewest


def enough_users(rule: Rule, snapshot: Snapshot, window: int, subject: str, **which: Any) -> bool:
    """Whether `min_users` are concerned; `which` says whom `Snapshot.users` counts."""
    return not rule.min_users or snapshot.has_users(rule.min_users, window, subject or None, **which)


def subjects(feature: str | None, snapshot: Snapshot | Minutes) -> list[str]:
    """What a rule with this `feature` judges: everything, or each feature that the pattern matches."""
    return [""] if feature is None else snapshot.features([feature])


def earlier_weeks(snapshot: Snapshot, weeks: int, window: int, subject: str) -> list[int]:
    """The requests of the same window, by the clock on the wall, of each of so many weeks that was recorded."""
    backs = [snapshot.weeks_ago(week) for week in range(1, weeks + 1)]
    covered = [back for back in backs if snapshot.covers(back + window)]
    return [snapshot.requests(window, subject or None, back=back) for back in covered]

"""The verdict of a rule, and what the judges of several kinds share."""

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
"""How many seconds further back the same time of an earlier week may lie, since clocks were put back."""
AFTER_FIX = 5
"""This many requests after "marked as fixed", all good, are enough to call the subject well."""
State = Literal["firing", "ok", "no_data"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of one subject: a feature, a user, an error, or "" for everything.

    `value` is what was measured, in the unit of the rule's threshold; None where it could not be measured, or was not
    needed for an ok. `counts` are the totals of the rule's window. `facts` holds whatever else the texts of the mail
    need.
    """

    rule: str
    subject: str
    state: State
    value: float | None = None
    counts: Counts = NOTHING
    facts: Mapping[str, Any] = field(default_factory=dict)


Since = Mapping[str, int]
"""Per subject, the moment (µs) before which nothing counts, as after "marked as fixed"."""


class SinceMaintenance(dict[str, int]):
    """`Since`, with nothing before the end of the latest maintenance counting for any subject."""

    def __init__(self, fixed_us: Mapping[str, int], maintained_us: int) -> None:
        super().__init__(fixed_us)
        self._at_least = maintained_us

    def get(self, subject: str, default: int = 0) -> int:  # type: ignore[override]
        """The moment (µs) before which nothing counts for the subject."""
        return max(super().get(subject, default), self._at_least)


def least(rule: Rule, *, well: bool = False) -> int:
    """The fewest requests that allow a verdict. `well`: the window was cut by a fix, and every request since then was
    good."""
    fewest = max(rule.min_requests, 1)
    return min(fewest, AFTER_FIX) if well else fewest


def enough_users(rule: Rule, snapshot: Snapshot, window: int, subject: str, **which: Any) -> bool:
    """Whether at least `min_users` are concerned; `which` is passed to `Snapshot.users`."""
    return not rule.min_users or snapshot.has_users(rule.min_users, window, subject or None, **which)


def subjects(feature: str | None, snapshot: Snapshot | Minutes) -> list[str]:
    """The subjects of a rule with this `feature`: everything, or each feature that the pattern matches."""
    return [""] if feature is None else snapshot.features([feature])


def earlier_weeks(snapshot: Snapshot, weeks: int, window: int, subject: str) -> list[int]:
    """The requests of the same window (by wall clock) in each of the `weeks` before that is recorded."""
    backs = [snapshot.weeks_ago(week) for week in range(1, weeks + 1)]
    covered = [back for back in backs if snapshot.covers(back + window)]
    return [snapshot.requests(window, subject or None, back=back) for back in covered]

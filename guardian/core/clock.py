"""The policy for wrong clocks: how far a stored future time is believed, and what counts as a clock step. Pure.

A stored future time has a known maximum: for a lease two of its lengths, for a mail's next attempt a day. Anything
later was stored by a clock that has since been set back, and counts as over. Events recorded as having *happened* in
the future are ignored: nobody waits for them, and they are no sign of life.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime, timedelta

STEP = timedelta(seconds=10)
"""A wall clock that moves more than this against the monotonic clock was stepped; NTP slews smaller differences."""

SLACK = timedelta(minutes=2)
"""Correct clocks differ by less than this, and so does one clock before and after a small correction."""

LONGEST_WAIT = timedelta(days=1)
"""No wait that Guardian notes for a mail is longer; the longest that a server can ask for is an hour."""

DOUBT_KEPT = timedelta(days=8)
"""A report made too early is marked if the clock was ahead by at most this. Anything later is not believed, but not
marked either: a machine without a clock battery starts in 1970 each time."""

LONGEST_PING_WAIT = timedelta(hours=1)
"""No wait between two pings is longer: the longest is 8 minutes."""


def is_over(until: datetime, now: datetime, longest: timedelta) -> bool:
    """Whether a wait until then has ended, or never was one, since it would last longer than `longest` from now."""
    return not now < until <= now + longest


def was_ahead(noted: datetime, now: datetime, slack: timedelta = SLACK) -> bool:
    """Whether what was noted to have happened then was noted by a clock that was ahead: by more than `slack`."""
    return noted > now + slack


def made_early(end: datetime, claimed: datetime, now: datetime) -> bool:
    """Whether a report of a period that ends then, entered in the ledger at `claimed`, was made by a wrong clock: the
    period has not ended by now, or it was made later than now."""
    return was_ahead(end, now, STEP) or was_ahead(claimed, now)


LONGEST_LOOK = timedelta(minutes=4)
"""Checks of waiting things are a minute apart; a longer gap means that the machine slept or its clock was set."""


class Waits:
    """How long things were seen to wait. A sleep or a step of the clock between two looks counts LONGEST_LOOK."""

    def __init__(self) -> None:
        self._looked: datetime | None = None
        self._waited: dict[Hashable, timedelta] = {}

    def look(self, waiting: Iterable[Hashable], now: datetime) -> Mapping[Hashable, timedelta]:
        """How long each of those that wait now has been seen to: zero at the first look; the others are forgotten."""
        passed = min(max(timedelta(), now - (self._looked or now)), LONGEST_LOOK)
        before, self._looked = self._waited, now
        self._waited = {each: before[each] + passed if each in before else timedelta() for each in waiting}
        return self._waited


class ClockWatch:
    """Compares the wall clock with the monotonic one, which nobody can set."""

    def __init__(self, wall: datetime, monotonic: float) -> None:
        self._offset = wall.timestamp() - monotonic

    def stepped(self, wall: datetime, monotonic: float) -> timedelta:
        """By how much the wall clock was set since the last call: zero where it was not, or by at most STEP."""
        offset = wall.timestamp() - monotonic
        step, self._offset = timedelta(seconds=offset - self._offset), offset
        return step if abs(step) > STEP else timedelta(0)

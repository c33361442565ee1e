"""Who came and went in a week (or a longer window): who is new, who came back, who went quiet, and which features were
taken up or given up. Pure. Stores say who was there (`Presence`), by number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from guardian.core.chance import LEVEL, beyond_chance, count_differs, shares_differ
from guardian.core.report.comparing import CLOCK_CHANGE, WEEK, earlier_periods
from guardian.core.unlinked import is_unlinked
from tracker.event import UNMATCHED

SHORTEST = WEEK - CLOCK_CHANGE
"""Shorter windows are left out: from one day to the next, people come and go anyway."""
AWAY_US = WEEK // timedelta(microseconds=1)
"""A person who had stayed away for this long (µs) has come back."""
MOST_BACK = timedelta(days=400)
"""A person not seen for this long before, as far as data is stored, is new."""
WINDOWS = 8
"""How many windows are examined: the report's, and those before it."""
NAMED = 5
"""How many people of a group are named, busiest first."""
COHORTS_FROM = 30
"""The fewest new people for which the table of returning people is shown."""
_NO_FEATURES = (UNMATCHED, "(other)")
"""The prefixes of names that are not real features."""
LEAST_MORE, LEAST_TIMES = 5, 1.5
"""A feature was taken up or given up if at least this many people more or fewer use it, and their share changed by this
factor."""


class Presence(NamedTuple):
    """Who was there: `there` has a row of flags for the time before all windows and one for each window, and a column a
    person. `requests` (rows: the window before the last, the last) counts each person's. `last_us` is when their last
    request before the last window finished, `first_us` when their first one in it began; 0 where that is not in the two
    last windows. `used` counts, in the same two rows, by each of `features`, how many people used it."""

    there: np.ndarray
    requests: np.ndarray
    last_us: np.ndarray
    first_us: np.ndarray
    used: np.ndarray
    features: Sequence[str]


class Group(NamedTuple):
    """A group of `number` people, a few of them by name. `feature` is the one whose error they met last, "" for
    none."""

    number: int = 0
    people: tuple[str, ...] = ()
    feature: str = ""


class Cohort(NamedTuple):
    """The `new` people of the window that began at `start`, and how many of them came in each window since."""

    start: datetime
    new: int
    back: tuple[int, ...]


class Usage(NamedTuple):
    """A feature that `people` used, and so many in the window before."""

    feature: str
    people: int
    before: int


@dataclass(frozen=True, slots=True)
class Turnover:
    """What became of people from the window before, of which `active_before` were there, to this one with `active`.

    `quiet` are those who came in each of the two windows before and not in this one, None where only one window before
    was recorded: groups by the feature whose error was the last they met, and last those who met none. `came_back` of
    the `came_new` who were new in the window before were there in this one; None where that is not known. `ordinary`
    says that nothing is out of the ordinary.
    """

    active: int
    active_before: int
    new: Group
    returned: Group
    quiet: tuple[Group, ...] | None
    came_new: int | None
    came_back: int | None
    cohorts: tuple[Cohort, ...] = ()
    adopted: tuple[Usage, ...] = ()
    abandoned: tuple[Usage, ...] = ()
    ordinary: bool = False

    def named(self, name: Callable[[str], str]) -> Turnover:
        """The same with people written as `name` writes them."""

        def group(each: Group) -> Group:
            return each._replace(people=tuple(map(name, each.people)))

        quiet = None if self.quiet is None else tuple(map(group, self.quiet))
        return replace(self, new=group(self.new), returned=group(self.returned), quiet=quiet)


def turnover_edges(start: datetime, end: datetime, zone: ZoneInfo, since: datetime | None) -> list[datetime]:
    """Where the windows begin that are looked at, the oldest first, then `end`: at most `WINDOWS`, each recorded in
    full `since` recording began (None: never). A week's begin at the same time of the zone's clock. Empty for a window
    that is too short, or where the one before was not recorded in full."""
    if since is None or end - start < SHORTEST:
        return []
    starts = [first for first, _ in earlier_periods(start, end, zone)[: WINDOWS - 1]]
    # Full 5 minutes can be read when single events are gone.
    begins = [first - (first - datetime.min.replace(tzinfo=first.tzinfo)) % timedelta(minutes=5) for first in starts]
    known = [first for first in begins if first >= since]
    return [*reversed(known), start, end] if known else []


def steady(there: np.ndarray) -> np.ndarray:
    """Whether each person came in each of the two windows before the last."""
    if len(there) < 4:
        return np.zeros(there.shape[1], bool)
    flags: np.ndarray = there[-2] & there[-3]
    return flags


def gone(there: np.ndarray) -> np.ndarray:
    """Whether each person came in each of the two windows before the last, and not in it."""
    flags: np.ndarray = steady(there) & ~there[-1]
    return flags


Names = Callable[[Sequence[int]], Mapping[int, str]]
"""Gives the names of these people."""


def turnover(found: Presence, failed: Mapping[int, str], edges: Sequence[datetime], names: Names) -> Turnover:
    """What became of people. `failed` has, of those who were `steady` and whose last thing in the window before the
    last was an error, in which feature; of those who are not `gone` it only counts how many they are."""
    there, now, before = found.there, found.there[-1], found.there[-2]
    fresh = [_first_in(there, row) for row in range(1, len(there))]
    came = now & there[:-1].any(axis=0) & (~before | (found.first_us - found.last_us >= AWAY_US))
    cohorts = _cohorts(there, fresh, edges)
    quiet = _quiet(found, failed, names) if len(there) >= 4 else None
    adopted, abandoned = _usage(found)
    known = len(fresh) > 2  # else the window before is the first that was recorded: everybody was new in it
    return Turnover(
        active=int(now.sum()),
        active_before=int(before.sum()),
        new=_group(np.flatnonzero(fresh[-1]), found.requests[1], names),
        returned=_group(np.flatnonzero(came), found.requests[1], names),
        quiet=quiet,
        came_new=int(fresh[-2].sum()) if known else None,
        came_back=int((fresh[-2] & now).sum()) if known else None,
        cohorts=cohorts if sum(each.new for each in cohorts) >= COHORTS_FROM else (),
        adopted=adopted,
        abandoned=abandoned,
        ordinary=not adopted and not abandoned and quiet is not None and _usual(there, fresh, failed),
    )


def _first_in(there: np.ndarray, row: int) -> np.ndarray:
    """Who was there for the first time in this window."""
    flags: np.ndarray = there[row] & ~there[:row].any(axis=0)
    return flags


def _cohorts(there: np.ndarray, fresh: Sequence[np.ndarray], edges: Sequence[datetime]) -> tuple[Cohort, ...]:
    """The cohorts of all windows except the first, in which everybody may be new, and the last, which nothing follows
    yet."""
    found = []
    for place in range(1, len(fresh) - 1):
        back = tuple(int((fresh[place] & there[row]).sum()) for row in range(place + 2, len(there)))
        found.append(Cohort(edges[place], int(fresh[place].sum()), back))
    return tuple(found)


def _quiet(found: Presence, failed: Mapping[int, str], names: Names) -> tuple[Group, ...]:
    others, features = gone(found.there), dict[str, list[int]]()
    for number, feature in failed.items():
        if others[number]:
            features.setdefault(feature, []).append(number)
    others[list(failed)] = False
    apart = {feature: np.array(numbers) for feature, numbers in features.items()}
    if others.any():
        apart[""] = np.concatenate((apart.get("", np.zeros(0, np.int64)), np.flatnonzero(others)))
    groups = [_group(numbers, found.requests[0], names)._replace(feature=feature) for feature, numbers in apart.items()]
    return tuple(sorted(groups, key=lambda group: (not group.feature, -group.number, group.feature)))


def _group(numbers: np.ndarray, requests: np.ndarray, names: Names) -> Group:
    """The group of these people, with the busiest few by name. Erased people are counted but not named."""
    if not len(numbers):
        return Group()
    counts = requests[numbers]
    most = numbers
    if len(numbers) > NAMED:
        most = numbers[counts >= np.sort(counts)[-NAMED]]
    known = names(most.tolist())
    ranked = sorted((-int(requests[number]), name) for number, name in known.items() if not is_unlinked(name))
    return Group(len(numbers), tuple(name for _, name in ranked[:NAMED]))


def _usual(there: np.ndarray, fresh: Sequence[np.ndarray], failed: Iterable[int]) -> bool:
    """Whether as many people are new, and as many went quiet, as in the windows before, and as many of the quiet met an
    error last as of the others, within chance."""
    new = [int(each.sum()) for each in fresh[1:]]
    left = [int(gone(there[:row]).sum()) for row in range(4, len(there) + 1)]
    away, stayed = gone(there), steady(there) & there[-1]
    hit = [sum(bool(flags[number]) for number in failed) for flags in (away, stayed)]
    drove = shares_differ(hit[0], int(away.sum()), hit[1], int(stayed.sum()))
    return not any(beyond_chance([drove, *(count_differs(each[-1], each[:-1]) for each in (new, left))]))


def _usage(found: Presence) -> tuple[tuple[Usage, ...], tuple[Usage, ...]]:
    """The features that a larger, and those that a smaller share of people used than before, beyond chance."""
    before, now = (int(row.sum()) for row in found.there[-2:])
    then, used = found.used.tolist()
    asked = [n for n, name in enumerate(found.features) if not name.startswith(_NO_FEATURES) and (then[n] or used[n])]
    # Changes too small to report are not tested, but still count among the candidates.
    unlikely = beyond_chance(
        [
            shares_differ(used[n], now, then[n], before)
            if _much(used[n], now, then[n], before) or _much(then[n], before, used[n], now)
            else 1.0
            for n in asked
        ],
        LEVEL,
    )
    certain = [Usage(found.features[n], used[n], then[n]) for n, beyond in zip(asked, unlikely, strict=True) if beyond]
    more = [each for each in certain if each.people * before > each.before * now]
    return _ranked(more), _ranked(each for each in certain if each not in more)


def _much(some: int, of: int, others: int, of_others: int) -> bool:
    """Whether the first share is so much more that it is worth telling."""
    if not of or not of_others:
        return False
    return some - others * of / of_others >= LEAST_MORE and some * of_others >= LEAST_TIMES * others * of


def _ranked(found: Iterable[Usage]) -> tuple[Usage, ...]:
    return tuple(sorted(found, key=lambda each: (-abs(each.people - each.before), each.feature)))

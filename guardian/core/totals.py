"""Totals of a window as integer arrays: the form in which summaries are stored, and merged by the hundred.

People and routes are numbers of the store's dictionaries. Same laws as `guardian.core.summary`, about 20 times faster.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from guardian.core import codec
from guardian.core.counting import begins, grouped, grouped_columns, groups, in_order, sums
from guardian.core.histogram import Histogram
from guardian.core.off_loop import pieces
from guardian.core.summary import RATIO, Route, RouteTotals, Summary, UserTotals
from tracker.event import SESSION_GAP_US

_LOG_RATIO = np.log(RATIO)
_WIDTHS = (7, 3, 3, 3)


class Part(IntEnum):
    """The parts of totals that are stored and read separately, so that readers load only what they show."""

    PEOPLE = 0
    """User, requests, errors, server errors."""
    TIMES = 1
    """Of each row of PEOPLE: first_start_us, from there to last_us, and how much of that was not active."""
    USED = 2
    STATUSES = 3
    DURATIONS = 4


ALL = frozenset(Part)
COLUMNS = {Part.PEOPLE: 4, Part.TIMES: 3, Part.USED: 3, Part.STATUSES: 3, Part.DURATIONS: 3}
"""How many columns a part has."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Four tables of int64, each sorted by its key.

    `users`: number, requests, errors, server errors, and first_start_us, last_us, active_us as in `UserTotals`.
    `used`: user, route, requests. `statuses`: route, outcome (`Event.outcome`), requests. `durations`: route, bin of
    the latency (`bin_of`), requests.
    """

    users: np.ndarray
    used: np.ndarray
    statuses: np.ndarray
    durations: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray | Sequence[tuple[int, int, int, int, int, int]]) -> Totals:
        """The totals of events in the order of time, each (at_us, user, route, outcome, duration_us, latency_us).

        A latency of -1 is not known, and has no bin.
        """
        if not len(rows):
            return _EMPTY
        return cls.counted(*np.array(rows, np.int64).reshape(-1, 6).T)

    @classmethod
    def counted(
        cls,
        at: np.ndarray,
        user: np.ndarray,
        route: np.ndarray,
        status: np.ndarray,
        duration: np.ndarray,
        latency: np.ndarray,
        parts: Collection[Part] = ALL,
    ) -> Totals:
        """The same of columns of int64, as far as these parts give them."""
        order = in_order(user)
        mine, end, length, code = user[order], at[order], duration[order], status[order]
        new = begins(mine)
        before = np.concatenate((end[:1], end[:-1]))
        fresh = new | (end - length - before >= SESSION_GAP_US)
        first = np.flatnonzero(new)
        columns = code >= 400, code >= 500, np.where(fresh, length, end - before)
        errors, server, active = (sums(column.astype(np.int64, copy=False), first) for column in columns)
        last = _ends(first, len(mine))
        users = (mine[first], last + 1 - first, errors, server, (end - length)[first], end[last], active)
        return cls(
            np.stack(users).T,
            grouped_columns(user, route) if Part.USED in parts else _NOTHING,
            grouped_columns(route, status) if Part.STATUSES in parts else _NOTHING,
            _binned(route, latency) if Part.DURATIONS in parts else _NOTHING,
        )

    @classmethod
    def merge(cls, parts: Sequence[Totals]) -> Totals:
        """The totals of adjacent windows, in the order of time."""
        if len(parts) <= 1:
            return parts[0] if parts else cls.of([])
        rows = np.concatenate([part.users for part in parts])
        users = followed(rows[in_order(rows[:, 0])])
        counts = (
            np.concatenate(tables) for tables in zip(*((p.used, p.statuses, p.durations) for p in parts), strict=True)
        )
        return cls(users, *(grouped(table) for table in counts))

    def summary(self, emails: Mapping[int, str], routes: Mapping[int, Route]) -> Summary:
        """The same with names in the place of numbers."""
        users = {row[0]: UserTotals(*row[1:]) for row in pieces(self.users)}
        for number, route, count in pieces(self.used):
            features, name = users[number].features, routes[route].feature
            features[name] = features.get(name, 0) + count
        return Summary({emails[number]: user for number, user in users.items()}, self.by_route(routes))

    def by_route(self, routes: Mapping[int, Route]) -> dict[Route, RouteTotals]:
        """The totals of the routes, by their names."""
        _, slots, counts = self.durations.T
        took = {number: Histogram(slots[a:b], counts[a:b]) for number, (a, b) in groups(self.durations[:, 0])}
        return {
            routes[number]: RouteTotals(statuses, took.get(number, {}))
            for number, statuses in _by_first(self.statuses).items()
        }

    def pack(self) -> dict[Part, bytes]:
        """As they are stored (`guardian.core.codec`)."""
        return {part: codec.pack(self.columns(part)) for part in Part}

    def columns(self, part: Part) -> Sequence[np.ndarray]:
        """The columns of a part, as `Part` says."""
        if part == Part.PEOPLE:
            return tuple(self.users[:, :4].T)
        if part == Part.TIMES:
            first, last, active = self.users[:, 4], self.users[:, 5], self.users[:, 6]
            return first, last - first, last - first - active
        tables = {Part.USED: self.used, Part.STATUSES: self.statuses, Part.DURATIONS: self.durations}
        return tuple(tables[part].T)

    @classmethod
    def unpack(cls, bodies: Mapping[Part, bytes]) -> Totals:
        """The totals that `pack` was called on, as far as these parts tell: what is not given is empty or 0.

        Raises ValueError or zlib.error for bodies that are none.
        """
        return cls.of_columns({part: codec.unpack(body) for part, body in bodies.items()})

    @classmethod
    def of_columns(cls, found: Mapping[Part, Sequence[np.ndarray]]) -> Totals:
        """The same from the columns that are stored of each part."""
        people = found.get(Part.PEOPLE)
        if people is None:
            users = _NOBODY
        else:
            users = np.zeros((7, len(people[0])), np.int64)
            users[:4] = people
            if times := found.get(Part.TIMES):
                first, length, idle = times
                users[4:] = first, first + length, length - idle
            users = users.T
        counts = (
            np.stack(found[part]).T if part in found else _NOTHING
            for part in (Part.USED, Part.STATUSES, Part.DURATIONS)
        )
        return cls(users, *counts)

    @classmethod
    def unpack_version_1(cls, body: bytes) -> Totals:
        """The totals as they were stored before `Part`. Raises ValueError or zlib.error for anything else."""
        numbers = np.frombuffer(zlib.decompress(body), "<i8").astype(np.int64)
        tables, at = [], len(_WIDTHS)
        for height, width in zip(numbers[:at].tolist(), _WIDTHS, strict=True):
            tables.append(np.cumsum(numbers[at : at + height * width].reshape(width, height).T, axis=0))
            at += height * width
        return cls(*tables)


_NOBODY, _NOTHING = np.zeros((0, 7), np.int64), np.zeros((0, 3), np.int64)
_EMPTY = Totals(_NOBODY, _NOTHING, _NOTHING, _NOTHING)


def followed(rows: np.ndarray) -> np.ndarray:
    """Rows of `Totals.users`, sorted by number and each number's in the order of time, joined to one a number."""
    rows = rows.copy()
    new = begins(rows[:, 0])
    rows[:, 6] += _gone_on(new, rows[:, 4], rows[:, 5])
    first = np.flatnonzero(new)
    users = rows[first]
    users[:, 5] = rows[_ends(first, len(rows)), 5]
    for column in (1, 2, 3, 6):
        users[:, column] = sums(rows[:, column], first)
    return users


def times_of(
    persons: np.ndarray, first: np.ndarray, last: np.ndarray, active: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of rows of `Totals.users`, each number's in the order of time: the different numbers in order, and of each the
    first_start_us, last_us and active_us that `followed` gives."""
    order = in_order(persons)
    persons, first, last = persons[order], first[order], last[order]
    new = begins(persons)
    active = active[order] + _gone_on(new, first, last)
    at = np.flatnonzero(new)
    return persons[at], first[at], last[_ends(at, len(last))], sums(active, at)


def _gone_on(new: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """What is added to the active time of a row that is not the first one of its number: a part's first request opened
    a session there; together it may go on one of the part before."""
    gap = first - np.concatenate((last[:1], last[:-1]))
    more: np.ndarray = np.where(~new & (gap < SESSION_GAP_US), gap, 0)
    return more


def _binned(route: np.ndarray, latency: np.ndarray) -> np.ndarray:
    slots = np.floor(np.log(np.maximum(latency, 1)) / _LOG_RATIO).astype(np.int64)
    slots[latency <= 0] = -1
    timed = latency >= 0
    return grouped_columns(route, slots) if timed.all() else grouped_columns(route[timed], slots[timed])


def _by_first(rows: np.ndarray) -> dict[int, dict[int, int]]:
    """Rows of (key, key, count), in the order of the keys: by the first key, the counts by the second one."""
    others, counts = rows[:, 1].tolist(), rows[:, 2].tolist()
    return {key: dict(zip(others[a:b], counts[a:b], strict=True)) for key, (a, b) in groups(rows[:, 0])}


def _ends(first: np.ndarray, length: int) -> np.ndarray:
    """The indices of the last rows of the groups that begin at `first`."""
    return np.append(first[1:], length)[: len(first)] - 1


def renumbered(totals: Totals, people: np.ndarray, routes: np.ndarray) -> Totals:
    """The same totals with people and routes renumbered by these arrays of distinct numbers."""
    users, used, statuses, durations = (
        table.copy() for table in (totals.users, totals.used, totals.statuses, totals.durations)
    )
    for table, column, numbers in (
        (users, 0, people), (used, 0, people), (used, 1, routes), (statuses, 0, routes), (durations, 0, routes),
    ):  # fmt: skip
        if len(table):
            table[:, column] = numbers[table[:, column]]
    return Totals(
        users[np.argsort(users[:, 0], kind="stable")],
        *(table[np.lexsort((table[:, 1], table[:, 0]))] for table in (used, statuses, durations)),
    )

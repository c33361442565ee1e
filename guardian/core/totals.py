"""Totals of a window as arrays of integers: the shape in which summaries are stored, and merged by the hundred.

People and routes are numbers of the store's dictionaries. Same laws as `guardian.core.summary`, about 20 times faster.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardian.core.off_loop import pieces
from guardian.core.summary import RATIO, Route, RouteTotals, Summary, UserTotals
from tracker.event import SESSION_GAP_US

_LOG_RATIO = np.log(RATIO)
_WIDTHS = (7, 3, 3, 3)


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
        at, user, route, status, duration, latency = np.array(rows, np.int64).reshape(-1, 6).T
        order = np.argsort(user, kind="stable")
        mine, end, length, code = user[order], at[order], duration[order], status[order]
        new = np.diff(mine, prepend=-1) != 0
        before = np.concatenate((end[:1], end[:-1]))
        fresh = new | (end - length - before >= SESSION_GAP_US)
        first = np.flatnonzero(new)
        sums = [np.ones_like(mine), code >= 400, code >= 500, np.where(fresh, length, end - before)]
        requests, errors, server, active = (_sums(column.astype(np.int64), first) for column in sums)
        users = (mine[first], requests, errors, server, (end - length)[first], end[_ends(first, len(mine))], active)
        slots = np.floor(np.log(np.maximum(latency, 1)) / _LOG_RATIO).astype(np.int64)
        one, timed = np.ones_like(user), latency >= 0
        return cls(
            np.stack(users, axis=1),
            grouped(np.stack((user, route, one), axis=1)),
            grouped(np.stack((route, status, one), axis=1)),
            grouped(np.stack((route, np.where(latency <= 0, -1, slots), one), axis=1)[timed]),
        )

    @classmethod
    def merge(cls, parts: Sequence[Totals]) -> Totals:
        """The totals of adjacent windows, in the order of time."""
        parts = [part for part in parts if len(part.users)]
        if len(parts) <= 1:
            return parts[0] if parts else cls.of([])
        rows = np.concatenate([part.users for part in parts])
        users = followed(rows[np.argsort(rows[:, 0], kind="stable")])
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
        by_route = {route: RouteTotals() for route in np.unique(self.statuses[:, 0]).tolist()}
        for route, status, count in pieces(self.statuses):
            by_route[route].statuses[status] = count
        for route, slot, count in pieces(self.durations):
            by_route[route].durations[slot] = count
        return Summary(
            {emails[number]: user for number, user in users.items()},
            {routes[number]: totals for number, totals in by_route.items()},
        )

    def pack(self) -> bytes:
        """As it is stored: the heights of the tables, then their columns, little-endian, compressed."""
        tables = (self.users, self.used, self.statuses, self.durations)
        heights = np.array([len(table) for table in tables])
        # Neighbours of a column differ little: half the size of rows, and a tenth of the time of JSON.
        parts = [heights, *(np.diff(table, axis=0, prepend=0).T for table in tables)]
        return zlib.compress(b"".join(part.astype("<i8").tobytes() for part in parts), 3)

    @classmethod
    def unpack(cls, body: bytes) -> Totals:
        """The totals that `pack` was called on. Raises ValueError or zlib.error for anything else."""
        numbers = np.frombuffer(zlib.decompress(body), "<i8").astype(np.int64)
        tables, at = [], len(_WIDTHS)
        for height, width in zip(numbers[:at].tolist(), _WIDTHS, strict=True):
            tables.append(np.cumsum(numbers[at : at + height * width].reshape(width, height).T, axis=0))
            at += height * width
        return cls(*tables)


def followed(rows: np.ndarray) -> np.ndarray:
    """Rows of `Totals.users`, sorted by number and each number's in the order of time, joined to one a number."""
    rows = rows.copy()
    new = np.diff(rows[:, 0], prepend=-1) != 0
    # A part's first request opened a session there; here it may go on one of the part before.
    gap = rows[:, 4] - np.concatenate((rows[:1, 5], rows[:-1, 5]))
    rows[:, 6] += np.where(~new & (gap < SESSION_GAP_US), gap, 0)
    first = np.flatnonzero(new)
    users = rows[first]
    users[:, 5] = rows[_ends(first, len(rows)), 5]
    for column in (1, 2, 3, 6):
        users[:, column] = _sums(rows[:, column], first)
    return users


def grouped(rows: np.ndarray) -> np.ndarray:
    """Rows of (key, key, count) with the counts of equal keys added up."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    first = np.flatnonzero((np.diff(rows[:, :2], axis=0, prepend=-2) != 0).any(axis=1))
    grouped = rows[first]
    grouped[:, 2] = _sums(rows[:, 2], first)
    return grouped


def _sums(column: np.ndarray, first: np.ndarray) -> Any:
    return np.add.reduceat(column, first) if len(first) else column[:0]


def _ends(first: np.ndarray, length: int) -> np.ndarray:
    """Where the groups that begin at `first` end: the places of their last rows."""
    return np.append(first[1:], length)[: len(first)] - 1

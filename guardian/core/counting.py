"""Counting small numbers (those of a store's dictionaries) in arrays indexed by number, instead of sorting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

_DENSE, _DENSE_SUMS = 4, 16
"""Keys are counted in an array of all that there could be, where these are at most so many for each row; or so many
where counts are added up, since then sorting is slower. A hundred rows are sorted in 15 microseconds, while an array of
a million takes 1,600."""
_MARKED = 1 << 20
"""Where keys could be no more than this, or a few a row, those that are there are marked instead of sorted."""


def in_order(numbers: np.ndarray) -> np.ndarray:
    """A stable argsort of dictionary numbers. numpy sorts 16 bits by radix, ten times as fast as 64."""
    most = int(numbers.max(initial=0))
    if most >= 1 << 32:
        return np.argsort(numbers, kind="stable")
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    if most < 1 << 16:
        return order
    found: np.ndarray = order[np.argsort((numbers[order] >> 16).astype(np.uint16), kind="stable")]
    return found


def grouped(rows: np.ndarray) -> np.ndarray:
    """Rows of (key, key, count) with the counts of equal keys added up, in the order of the keys."""
    return grouped_columns(*rows.T)


def grouped_columns(first: np.ndarray, second: np.ndarray, count: np.ndarray | None = None) -> np.ndarray:
    """The same of columns; without counts each row counts once."""
    if not len(first):
        return np.zeros((0, 3), np.int64)
    low, low_second = int(first.min()), int(second.min())
    width = int(second.max()) - low_second + 1
    keys = (first - low) * width + (second - low_second)
    if int(keys.max()) < len(keys) * (_DENSE if count is None else _DENSE_SUMS):
        added = np.bincount(keys, weights=count)  # floats where there are counts, exact up to 2 ** 53
        found = np.flatnonzero(added)
        counts = added[found].astype(np.int64)
    elif count is None:
        keys = np.sort(keys)
        at = np.flatnonzero(begins(keys))
        found, counts = keys[at], np.diff(at, append=len(keys))
    else:
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        at = np.flatnonzero(begins(keys))
        found, counts = keys[at], sums(count[order], at)
    return np.stack((found // width + low, found % width + low_second, counts)).T


def grouped_runs(runs: Iterable[Sequence[np.ndarray]]) -> np.ndarray:
    """The same of the columns of several tables together, of which the first keys are not negative. They are added up
    one after the other, so that only one needs to be there at a time; where they have the same keys, as the days of a
    month have, none is sorted."""
    added, low, rows = np.zeros((0, 0), np.int64), 0, 0
    apart = list[np.ndarray]()
    for first, second, count in runs:
        if not len(first):
            continue
        height, width = added.shape
        least, high = int(second.min()), int(second.max()) + 1
        if width:
            least, high = min(least, low), max(high, low + width)
        height, rows = max(int(first.max()) + 1, height), rows + len(first)
        if height * (high - least) > _DENSE_SUMS * rows:
            apart.append(grouped_columns(first, second, count))
            continue
        if added.shape != (height, high - least):
            before, added = added, np.zeros((height, high - least), np.int64)
            added[: len(before), low - least : low - least + width] = before
        low = least
        np.add.at(added.reshape(-1), first * (high - low) + (second - low), count)
    there, width = np.flatnonzero(added), max(added.shape[1], 1)
    dense: np.ndarray = np.stack((there // width, there % width + low, added.reshape(-1)[there])).T
    return grouped(np.concatenate((dense, *apart))) if apart else dense


def begins(keys: np.ndarray) -> np.ndarray:
    """Of keys in order, whether each is another one than the one before it; the first one is."""
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return new


def groups(keys: np.ndarray) -> Iterable[tuple[int, tuple[int, int]]]:
    """Each distinct one of these sorted keys, with the half-open range of its rows."""
    first = np.flatnonzero(begins(keys))
    return zip(keys[first].tolist(), pairwise([*first.tolist(), len(keys)]), strict=True)


def distinct(keys: np.ndarray) -> np.ndarray:
    """The distinct numbers, ascending. `np.unique` since numpy 2.3 uses hashing and takes five times as long; its first
    call loads modules for 15 ms."""
    if len(keys) and keys.min() >= 0 and keys.max() < max(_MARKED, 32 * len(keys)):  # a byte each: less than a sort
        there = np.zeros(int(keys.max()) + 1, bool)
        there[keys] = True
        return np.flatnonzero(there)
    keys = np.sort(keys)
    found: np.ndarray = keys[begins(keys)]
    return found


def among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether each is one of `known`, which is ascending."""
    if not len(known):
        return np.zeros(len(keys), bool)
    found: np.ndarray = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys
    return found


def sums(column: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The sums of the groups that begin at these indices."""
    added: np.ndarray = np.add.reduceat(column, first) if len(first) else column[:0]
    return added


def added_up(numbers: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """The counts added up by number, for numbers under `size`."""
    return np.bincount(numbers, weights=counts, minlength=size).astype(np.int64)  # floats, exact up to 2 ** 53

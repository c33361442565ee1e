"""A decompressed table of integers, and its columns as arrays: of many tables at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

STEPS = 128
"""Beside the width of a column: it holds the steps from row to row."""
TYPES = {width: np.dtype(f"<u{width or 1}") for width in (0, 1, 2, 4, 8)}
"""The type of stored numbers, by how many bytes they have; none have those that are all the least one."""
_SHORT = 2_000
"""Tables with fewer rows are decoded many at once."""


class Stored(NamedTuple):
    """A column: the bytes that it lies in, where its numbers begin and end in them, their width in bytes and STEPS, and
    the least value, which they are stored without. Where two columns share their numbers: by how many bits they are
    shifted, and which bits are the column's then."""

    inside: bytes
    start: int
    end: int
    kind: int
    least: int
    shift: int = 0
    mask: int = -1


class Table(NamedTuple):
    """What is inside of a body: how many rows, its columns, and how many bytes there are."""

    rows: int
    columns: Sequence[Stored]
    size: int


def joined(tables: Sequence[Table], wanted: Collection[int]) -> tuple[list[np.ndarray], list[int]]:
    """The columns with these indices, in that order, of several tables, concatenated, as int64. Then the row numbers at
    which the tables begin, and the last one ends.

    Raises ValueError where one has no such columns.
    """
    edges = [0, *accumulate([table.rows for table in tables])]
    columns = np.empty((len(wanted), edges[-1]), np.int64)
    shared: tuple[list[tuple[bytes, int, int, int]], np.ndarray] | None = None
    for column, place in zip(columns, sorted(wanted), strict=True):
        try:
            stored = [table.columns[place] for table in tables]
        except IndexError as error:
            raise ValueError("a table has fewer columns") from error
        if all(one.mask == -1 and not one.shift for one in stored):
            _read(column, stored, edges)
            _raise(column, [one.least for one in stored], edges)
            continue
        where = [one[:4] for one in stored]
        if shared is None or shared[0] != where:
            numbers = np.empty(edges[-1], np.int64)
            _read(numbers, stored, edges)
            shared = where, numbers
        _part(column, shared[1], stored, edges)
        _raise(column, [one.least for one in stored], edges)
    return list(columns), edges


def _read(column: np.ndarray, stored: Sequence[Stored], edges: Sequence[int]) -> None:
    """Decode the stored numbers of a column, or of two."""
    kinds = {one.kind for one in stored if one.start < one.end}
    if len(kinds) <= 1 and edges[-1] < _SHORT * len(stored):
        _read_alike(column, stored, edges, *kinds)
        return
    for one, start, end in zip(stored, edges, edges[1:], strict=False):
        if one.start == one.end:
            column[start:end] = 0
            continue
        values = np.frombuffer(one.inside, TYPES[one.kind & ~STEPS], end - start, one.start)
        if one.kind & STEPS:
            np.cumsum(values, dtype=np.int64, out=column[start:end])
        else:
            column[start:end] = values


def _read_alike(column: np.ndarray, stored: Sequence[Stored], edges: Sequence[int], kind: int = 0) -> None:
    """The same of many tables, all of one kind or one value each."""
    width = kind & ~STEPS
    if not width:
        column[:] = 0
        return
    counts = np.diff(edges)
    lengths = counts.tolist()
    raw = b"".join(
        [one.inside[one.start : one.end] or bytes(width * n) for one, n in zip(stored, lengths, strict=True)]
    )
    values = np.frombuffer(raw, TYPES[width])
    if not kind & STEPS:
        column[:] = values
        return
    np.cumsum(values, dtype=np.int64, out=column)
    there = np.flatnonzero(counts)
    first = np.array(edges[:-1], np.int64)[there]
    column -= np.repeat(column[first] - values[first].astype(np.int64), counts[there])


def _part(column: np.ndarray, numbers: np.ndarray, stored: Sequence[Stored], edges: Sequence[int]) -> None:
    """The bits of shared numbers that are a column's."""
    shifts, masks = [one.shift for one in stored], [one.mask for one in stored]
    if any(shifts):
        np.right_shift(numbers, _spread(shifts, edges), out=column)
        numbers = column
    if max(masks) > 0:
        np.bitwise_and(numbers, _spread(masks, edges), out=column)


def _raise(column: np.ndarray, least: Sequence[int], edges: Sequence[int]) -> None:
    if any(least):
        column += _spread(least, edges)


def _spread(values: Sequence[int], edges: Sequence[int]) -> np.ndarray | np.int64:
    """A value of each table for each of its rows; one for all where they are the same."""
    if len({*values}) <= 1:
        return np.int64(values[0] if values else 0)
    return np.repeat(np.array(values, np.int64), np.diff(edges))

"""A table of integers as bytes: by column, each in the narrowest width that holds it, compressed.

    byte 0       the version of this layout, 2
    the rest     zlib (RFC 1950) of:
        4 bytes    how many rows, little-endian, as all numbers here
        1 byte     how many columns
        a column   1 byte: its width in bytes (0, 1, 2, 4, 8), plus 128 where it holds the steps from row to row
                   8 bytes: the least value, signed, which every value is stored without
        the values of the columns one after the other, unsigned

A width of 0 means that all values are the least one. Version 1 had no byte for it (`guardian.core.totals`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

VERSION = 2
_ROWS, _COLUMN = struct.Struct("<IB"), struct.Struct("<Bq")
_STEPS = 128
_TYPES = {width: np.dtype(f"<u{width or 1}") for width in (0, 1, 2, 4, 8)}
_SHORT = 2_000
"""Tables of fewer rows are read many at once."""
Stored = tuple[bytes, int, int, int, int]
_LEVEL = 1
"""Higher ones take up to five times as long for 3 % less."""


def pack(columns: Sequence[np.ndarray]) -> bytes:
    """The bytes of columns of int64 that are equally long. Those in ascending order are stored as steps."""
    rows = len(columns[0])
    heads, values = [_ROWS.pack(rows, len(columns))], []
    for column in columns:
        if not rows:
            heads.append(_COLUMN.pack(0, 0))
            continue
        steps = 0
        if rows > 1 and int(column[0]) <= int(column[-1]):
            moved = np.diff(column, prepend=column[:1])
            if moved.min() >= 0:
                column, steps, first = moved, _STEPS, int(column[0])
        least = first if steps else int(column.min())
        if not steps:
            column = column - least
        width = next(width for width in (0, 1, 2, 4, 8) if int(column.max()) >> 8 * width == 0)
        heads.append(_COLUMN.pack(width | steps, least))
        if width:
            values.append(column.astype(f"<u{width}").tobytes())
    return bytes([VERSION]) + zlib.compress(b"".join([*heads, *values]), _LEVEL)


class Table(NamedTuple):
    """What is inside of a body: how many rows, and of each column the bytes that it lies in, where in them its values
    begin and end, its kind (the byte of the layout), and the least value."""

    rows: int
    columns: Sequence[Stored]
    size: int


def unpack(body: bytes, wanted: Collection[int] | None = None) -> list[np.ndarray]:
    """The columns, as int64, that `pack` was called on; with `wanted` only those at these places, in their order.

    Raises ValueError or zlib.error for anything else.
    """
    table = inflate(body)
    return joined([table], range(len(table.columns)) if wanted is None else wanted)[0]


def inflate(body: bytes) -> Table:
    """What is inside of a body, for `joined`. Raises ValueError or zlib.error where it is none."""
    if body[:1] != bytes([VERSION]):
        raise ValueError(f"a table of version {body[:1].hex() or 'none'} is not known here")
    inside = zlib.decompress(memoryview(body)[1:])
    try:
        rows, number = _ROWS.unpack_from(inside)
        at, columns = _ROWS.size + number * _COLUMN.size, list[Stored]()
        for place in range(number):
            kind, least = _COLUMN.unpack_from(inside, _ROWS.size + place * _COLUMN.size)
            width = kind & ~_STEPS
            if width not in _TYPES:
                raise ValueError(f"a column is {width} bytes wide")
            columns.append((inside, at, at + rows * width, kind, least))
            at += rows * width
    except struct.error as error:
        raise ValueError("a table is cut short") from error
    if len(inside) < at:
        raise ValueError("a table is cut short")
    return Table(rows, columns, len(inside))


def joined(tables: Sequence[Table], wanted: Collection[int]) -> tuple[list[np.ndarray], list[int]]:
    """The columns at these places, in their order, of several tables: the rows of one after those of the other, as
    int64. Then where the rows of each table begin, and where the last ones end.

    Raises ValueError where one has no such columns.
    """
    edges = [0, *accumulate([table.rows for table in tables])]
    columns = np.empty((len(wanted), edges[-1]), np.int64)
    for column, place in zip(columns, sorted(wanted), strict=True):
        try:
            stored = [table.columns[place] for table in tables]
        except IndexError as error:
            raise ValueError("a table has fewer columns") from error
        kinds = {kind for _, start, end, kind, _ in stored if start < end}
        if len(kinds) <= 1 and edges[-1] < _SHORT * len(tables):
            _read_alike(column, stored, edges, *kinds)
        else:
            for one, start, end in zip(stored, edges, edges[1:], strict=False):
                _read(column[start:end], *one)
    return list(columns), edges


def _read(column: np.ndarray, inside: bytes, start: int, end: int, kind: int, least: int) -> None:
    """Fill a column with what is stored of it."""
    if start == end:
        column[:] = least
        return
    values = np.frombuffer(inside, _TYPES[kind & ~_STEPS], len(column), start)
    if kind & _STEPS:
        np.cumsum(values, dtype=np.int64, out=column)
    else:
        column[:] = values
    if least:
        column += least


def _read_alike(column: np.ndarray, stored: Sequence[Stored], edges: Sequence[int], kind: int = 0) -> None:
    """Fill a column with what is stored of it in many tables, all of one kind or one value each."""
    counts, width = np.diff(edges), kind & ~_STEPS
    above = np.array([each[4] for each in stored], np.int64)
    if not width:
        column[:] = np.repeat(above, counts)
        return
    lengths = counts.tolist()
    raw = b"".join([each[0][each[1] : each[2]] or bytes(width * n) for each, n in zip(stored, lengths, strict=True)])
    values = np.frombuffer(raw, _TYPES[width])
    if kind & _STEPS:
        np.cumsum(values, dtype=np.int64, out=column)
        there = np.flatnonzero(counts)
        first = np.array(edges[:-1], np.int64)[there]
        above[there] -= column[first] - values[first].astype(np.int64)
    else:
        column[:] = values
    column += np.repeat(above, counts)

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

import numpy as np

VERSION = 2
_ROWS, _COLUMN = struct.Struct("<IB"), struct.Struct("<Bq")
_STEPS = 128
_TYPES = {width: np.dtype(f"<u{width or 1}") for width in (0, 1, 2, 4, 8)}
_SHORT = 2_000
"""Tables of fewer rows are read many at once."""
_Stored = tuple[bytes, int, int, int, int]
"""A column in a table: what is inside of the body, where in it the values begin and end, its kind, and the least."""
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


def unpack(body: bytes, wanted: Collection[int] | None = None) -> list[np.ndarray]:
    """The columns, as int64, that `pack` was called on; with `wanted` only those at these places, in their order.

    Raises ValueError or zlib.error for anything else.
    """
    inside = inflate(body)
    if wanted is None:
        wanted = range(inside[_ROWS.size - 1]) if len(inside) >= _ROWS.size else (0,)
    return joined([inside], wanted)[0]


def inflate(body: bytes) -> bytes:
    """What is inside of a body, for `joined`. Raises ValueError or zlib.error where it is none."""
    if body[:1] != bytes([VERSION]):
        raise ValueError(f"a table of version {body[:1].hex() or 'none'} is not known here")
    return zlib.decompress(memoryview(body)[1:])


def joined(tables: Sequence[bytes], wanted: Collection[int]) -> tuple[list[np.ndarray], list[int]]:
    """The columns at these places, in their order, of what is inside of several bodies: the rows of one after those of
    the other, as int64. Then where the rows of each table begin, and where the last ones end.

    Raises ValueError where one is no table, or has no such columns.
    """
    places, edges = sorted(wanted), [0]
    found = [list[_Stored]() for _ in places]
    for inside in tables:
        try:
            rows, number = _ROWS.unpack_from(inside)
            heads = list(_COLUMN.iter_unpack(inside[_ROWS.size : _ROWS.size + number * _COLUMN.size]))
        except struct.error as error:
            raise ValueError("a table is cut short") from error
        at, row = _ROWS.size + number * _COLUMN.size, 0
        for place, (kind, least) in enumerate(heads):
            width = kind & ~_STEPS
            if width not in _TYPES:
                raise ValueError(f"a column is {width} bytes wide")
            if row < len(places) and places[row] == place:
                found[row].append((inside, at, at + rows * width, kind, least))
                row += 1
            at += rows * width
        if len(inside) < at or row < len(places):
            raise ValueError("a table is cut short")
        edges.append(edges[-1] + rows)
    columns = np.empty((len(places), edges[-1]), np.int64)
    for column, stored in zip(columns, found, strict=True):
        kinds = {kind for _, _, _, kind, _ in stored if kind & ~_STEPS}
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


def _read_alike(column: np.ndarray, stored: Sequence[_Stored], edges: Sequence[int], kind: int = 0) -> None:
    """Fill a column with what is stored of it in many tables, all of one kind or one value each."""
    counts, width = np.diff(edges), kind & ~_STEPS
    above = np.array([least for *_, least in stored], np.int64)
    if width:
        bodies = zip(stored, counts.tolist(), strict=True)
        raw = b"".join([inside[a:b] if a < b else bytes(width * rows) for (inside, a, b, _, _), rows in bodies])
        values = np.frombuffer(raw, _TYPES[width])
        if kind & _STEPS:
            np.cumsum(values, dtype=np.int64, out=column)
            there = np.flatnonzero(counts)
            first = np.array(edges[:-1], np.int64)[there]
            above[there] -= column[first] - values[first].astype(np.int64)
        else:
            column[:] = values
        column += np.repeat(above, counts)
    else:
        column[:] = np.repeat(above, counts)

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
    places, heads, edges = sorted(wanted), [], [0]
    for inside in tables:
        try:
            rows, number = _ROWS.unpack_from(inside)
            head = list(_COLUMN.iter_unpack(inside[_ROWS.size : _ROWS.size + number * _COLUMN.size]))
        except struct.error as error:
            raise ValueError("a table is cut short") from error
        if len(head) < number or (places and places[-1] >= number):
            raise ValueError("a table is cut short")
        heads.append(head)
        edges.append(edges[-1] + rows)
    columns = np.empty((len(places), edges[-1]), np.int64)
    for inside, head, start, end in zip(tables, heads, edges, edges[1:], strict=False):
        at, row = _ROWS.size + len(head) * _COLUMN.size, 0
        for place, (kind, least) in enumerate(head):
            width = kind & ~_STEPS
            if width not in _TYPES:
                raise ValueError(f"a column is {width} bytes wide")
            first, at = at, at + (end - start) * width
            if row == len(places) or place != places[row]:
                continue
            column, row = columns[row, start:end], row + 1
            if width == 0:
                column[:] = least
                continue
            values = np.frombuffer(inside, _TYPES[width], end - start, first)
            if kind & _STEPS:
                np.cumsum(values, dtype=np.int64, out=column)
            else:
                column[:] = values
            if least:
                column += least
    return list(columns), edges

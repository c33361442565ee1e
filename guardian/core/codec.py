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
    if body[:1] != bytes([VERSION]):
        raise ValueError(f"a table of version {body[:1].hex() or 'none'} is not known here")
    inside = zlib.decompress(memoryview(body)[1:])
    try:
        rows, number = _ROWS.unpack_from(inside)
        heads = [_COLUMN.unpack_from(inside, _ROWS.size + place * _COLUMN.size) for place in range(number)]
    except struct.error as error:
        raise ValueError("a table is cut short") from error
    at, columns = _ROWS.size + number * _COLUMN.size, []
    for place, (kind, least) in enumerate(heads):
        width = kind & ~_STEPS
        if width not in (0, 1, 2, 4, 8):
            raise ValueError(f"a column is {width} bytes wide")
        first, at = at, at + rows * width
        if wanted is not None and place not in wanted:
            continue
        if width == 0:
            columns.append(np.full(rows, least, np.int64))
            continue
        column = np.frombuffer(inside, f"<u{width}", rows, first).astype(np.int64)
        if kind & _STEPS:
            np.cumsum(column, out=column)
        if least:
            column += least
        columns.append(column)
    return columns

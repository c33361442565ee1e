"""Tables of integers as they were packed before (see `guardian.core.codec`), which stay readable.

A short one was of version 2:

    byte 0       2
    the rest     zlib (RFC 1950) of:
        4 bytes    how many rows, little-endian, as all numbers here
        1 byte     how many columns
        a column   1 byte: its width in bytes (0, 1, 2, 4, 8), plus 128 where it holds the steps from row to row
                   8 bytes: the least value, signed, which every value is stored without
        the values of the columns one after the other, unsigned

A long one, of version 3, lay as those of version 5 do, but each column by itself: of a column

                   1 byte: its width in bytes (0 to 8), plus 128 where it holds the steps from row to row
                   8 bytes: the least value
                   1 byte: which bytes of its values lie as they are
"""

from __future__ import annotations

import struct

from guardian.core.codec.table import STEPS, TYPES, Stored, Table

_ROWS, _COLUMN, _LONG_COLUMN = (struct.Struct(layout) for layout in ("<IB", "<Bq", "<BqB"))


def inflate_short(inside: bytes) -> Table:
    """What the decompressed part of version 2 holds. Raises ValueError or struct.error for anything else."""
    rows, number = _ROWS.unpack_from(inside)
    at, columns = _ROWS.size + number * _COLUMN.size, list[Stored]()
    for place in range(number):
        kind, least = _COLUMN.unpack_from(inside, _ROWS.size + place * _COLUMN.size)
        width = kind & ~STEPS
        if width not in TYPES:
            raise ValueError(f"a column is {width} bytes wide")
        columns.append(Stored(inside, at, at + rows * width, kind, least))
        at += rows * width
    if len(inside) < at:
        raise ValueError("a table is cut short")
    return Table(rows, columns, len(inside))


def long_heads(inside: bytes) -> tuple[int, list[tuple[int, int, int, int, int]], int]:
    """How many rows a table of version 3 has; of each column its kind, 0 bits, which bytes lie as they are, the least
    value and 0; and where the values begin. Raises struct.error for anything else."""
    rows, number = _ROWS.unpack_from(inside)
    heads = []
    for place in range(number):
        kind, least, mask = _LONG_COLUMN.unpack_from(inside, _ROWS.size + place * _LONG_COLUMN.size)
        heads.append((kind, 0, mask, least, 0))
    return rows, heads, _ROWS.size + number * _LONG_COLUMN.size

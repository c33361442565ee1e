"""Columns of integers as bytes: the layout of `guardian.core.codec`, which reads them, written without numpy."""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence

VERSION = 2
"""The version of the layout, which `guardian.core.codec` describes."""
_ROWS, _COLUMN = struct.Struct("<IB"), struct.Struct("<Bq")
_STEPS = 128
_LEVEL = 6
_TYPES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def pack(columns: Sequence[Sequence[int]]) -> bytes:
    """The bytes of columns of integers of 64 bits that are equally long."""
    rows = len(columns[0])
    heads, values = [_ROWS.pack(rows, len(columns))], []
    for column in columns:
        if not rows:
            heads.append(_COLUMN.pack(0, 0))
            continue
        least, steps = min(column), 0
        moved = [after - before for before, after in itertools.pairwise(column)]
        if moved and min(moved) >= 0:
            steps, stored = _STEPS, [0, *moved]
        else:
            stored = [value - least for value in column]
        most = max(stored)
        width = next(width for width in (0, 1, 2, 4, 8) if most >> 8 * width == 0)
        heads.append(_COLUMN.pack(width | steps, least))
        if width:
            numbers = array(_TYPES[width], stored)
            if sys.byteorder == "big":
                numbers.byteswap()
            values.append(numbers.tobytes())
    return bytes([VERSION]) + zlib.compress(b"".join([*heads, *values]), _LEVEL)

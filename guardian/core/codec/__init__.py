"""A table of integers as bytes: by column, in as few bytes as hold it, compressed.

Columns lie in streams of numbers. Two that follow each other and are in order, as route and bin, are one stream: the
first above, the second in the lowest bits. Numbers in ascending order are stored as the steps from row to row, others
without their least value. The lowest bytes of all numbers of a stream lie together, then the second ones.

    byte 0       the version of this layout, 4
    the rest     zlib (RFC 1950) of:
        4 bytes    how many rows, little-endian, as all numbers here
        1 byte     how many streams
        a stream   1 byte: how many bytes a number has (0 to 8), plus 128 where it holds steps
                   1 byte: how many bits the second of two columns has; 0 where there is one
                   1 byte: which bytes of the numbers lie as they are, the lowest bit for the lowest byte
                   1 byte: how many bytes (0 to 8) the first least value has, and 16 times that of the second
                   the least value, signed, of the column or the first of two, then of the second
        of each stream, from the lowest byte to the highest, those that do not lie as they are: one byte a row

In a long table what zlib hardly makes shorter lies as it is, and is read in a third of the time:

    byte 0       5
    4 bytes      how long the compressed part is
    4 bytes      the Adler-32 of the rest (RFC 1950); what zlib holds has one already
    that part    as above
    the rest     of each stream the bytes that lie as they are, in the same order

Versions 2 and 3 are only read (`guardian.core.codec.older`). Version 1 had no byte for it (`guardian.core.totals`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from guardian.core.codec.older import inflate_short, long_heads
from guardian.core.codec.table import STEPS, TYPES, Stored, Table, joined

VERSION, LONG_VERSION = 4, 5
LONG = 1_000
"""Tables of so many rows are stored as long ones."""
_OLD, _OLD_LONG = 2, 3
_ROWS, _STREAM, _LENGTHS = (struct.Struct(layout) for layout in ("<IB", "<BBBB", "<II"))
_LEVEL, _LONG_LEVEL, _TRIED = 6, 4, 1
"""The zlib levels of short tables, of long ones, and of trying what is worth it. Above 6 little is shorter, in much
more time; long ones take twice the time for 2 % at 6."""
_WORTH = 0.7
"""Bytes that zlib makes shorter than to this share are compressed; what it hardly does takes three times as long."""
_Head = tuple[int, int, int, int, int]


class _Stream(NamedTuple):
    """Numbers as they are stored: STEPS or 0, the bits of the second column, the least values of both."""

    numbers: np.ndarray
    steps: int
    bits: int
    least: int
    second: int


def pack(columns: Sequence[np.ndarray]) -> bytes:
    """The bytes of columns of int64 that are equally long."""
    rows, streams = len(columns[0]), list(_streams(columns))
    heads, short, raw = [_ROWS.pack(rows, len(streams))], list[bytes](), list[bytes]()
    for numbers, steps, bits, least, second in streams:
        width, mask = -(-int(numbers.max(initial=0)).bit_length() // 8), 0
        planes = np.ascontiguousarray(numbers.astype("<u8").view(np.uint8).reshape(rows, 8).T)
        for place in range(width):
            plane = planes[place].tobytes()
            worth = rows < LONG or len(zlib.compress(plane, _TRIED)) < _WORTH * rows
            mask |= (not worth) << place
            (short if worth else raw).append(plane)
        values = [value.to_bytes(_size_of(value), "little", signed=True) for value in (least, second)]
        heads += (_STREAM.pack(width | steps, bits, mask, len(values[0]) | len(values[1]) << 4), *values)
    content = b"".join([*heads, *short])
    if rows < LONG:
        inside = zlib.compressobj(_LEVEL, strategy=zlib.Z_FILTERED)
        return b"".join([bytes([VERSION]), inside.compress(content), inside.flush()])
    long, rest = zlib.compress(content, _LONG_LEVEL), b"".join(raw)
    return b"".join([bytes([LONG_VERSION]), _LENGTHS.pack(len(long), zlib.adler32(rest)), long, rest])


def _size_of(value: int) -> int:
    """How many bytes hold this number and its sign; none for 0."""
    return (value.bit_length() + 8) // 8 if value else 0


def _streams(columns: Sequence[np.ndarray]) -> Iterator[_Stream]:
    left = list(columns)
    while left:
        pair = _paired(*left[:2]) if len(left) > 1 else None
        yield pair or _lowered(left[0])
        del left[: 2 if pair else 1]


def _paired(first: np.ndarray, second: np.ndarray) -> _Stream | None:
    """Two columns as one stream; None where their rows are not in order, or the first has no number twice."""
    steps = first[1:] - first[:-1]
    if not len(steps) or steps.min() != 0:
        return None
    least, other = int(first[0]), int(second.min())
    bits = max((int(second.max()) - other).bit_length(), 1)
    if bits + (int(first[-1]) - least).bit_length() > 63:
        return None
    numbers = (first - least << bits) + (second - other)
    numbers[1:] -= numbers[:-1].copy()
    return _Stream(numbers, STEPS, bits, least, other) if numbers.min() >= 0 else None


def _lowered(column: np.ndarray) -> _Stream:
    """A column as its steps, or without its least value."""
    if not len(column):
        return _Stream(column, 0, 0, 0, 0)
    if len(column) > 1 and int(column[0]) <= int(column[-1]):
        moved = np.zeros(len(column), np.int64)
        np.subtract(column[1:], column[:-1], out=moved[1:])
        if moved.min() >= 0:
            return _Stream(moved, STEPS, 0, int(column[0]), 0)
    least = int(column.min())
    return _Stream(column - least, 0, 0, least, 0)


def unpack(body: bytes, wanted: Collection[int] | None = None) -> list[np.ndarray]:
    """The columns, as int64, that `pack` was called on; with `wanted` only those at these places, in their order.

    Raises ValueError or zlib.error for anything else.
    """
    table = inflate(body)
    return joined([table], range(len(table.columns)) if wanted is None else wanted)[0]


def inflate(body: bytes) -> Table:
    """Decompresses a body, for `joined`. Raises ValueError or zlib.error for anything else."""
    version = body[0] if body else 0
    try:
        if version == _OLD:
            return inflate_short(zlib.decompress(memoryview(body)[1:]))
        if version == VERSION:
            inside = zlib.decompress(memoryview(body)[1:])
            return _table(inside, *_heads(inside), b"")
        if version in (LONG_VERSION, _OLD_LONG):
            inside, rest = _opened(body)
            return _table(inside, *(_heads if version == LONG_VERSION else long_heads)(inside), rest)
    except struct.error as error:
        raise ValueError("a table is cut short") from error
    raise ValueError(f"a table of version {body[:1].hex() or 'none'} is not known here")


def _opened(body: bytes) -> tuple[bytes, bytes]:
    """The decompressed part of a long table, and its rest."""
    length, checksum = _LENGTHS.unpack_from(body, 1)
    at = 1 + _LENGTHS.size + length
    inside, rest = zlib.decompress(memoryview(body)[1 + _LENGTHS.size : at]), body[at:]
    if zlib.adler32(rest) != checksum:
        raise ValueError("a table is damaged")
    return inside, rest


def _heads(inside: bytes) -> tuple[int, list[_Head], int]:
    """How many rows there are, the heads of the streams, and where their numbers begin."""
    rows, number = _ROWS.unpack_from(inside)
    at, heads = _ROWS.size, list[_Head]()
    for _ in range(number):
        kind, bits, mask, sizes = _STREAM.unpack_from(inside, at)
        at, middle = at + _STREAM.size + (sizes & 15) + (sizes >> 4), at + _STREAM.size + (sizes & 15)
        least = int.from_bytes(inside[middle - (sizes & 15) : middle], "little", signed=True)
        heads.append((kind, bits, mask, least, int.from_bytes(inside[middle:at], "little", signed=True)))
    return rows, heads, at


def _table(inside: bytes, rows: int, heads: Sequence[_Head], at: int, rest: bytes) -> Table:
    columns, size, rest_at = list[Stored](), 0, 0
    for kind, bits, mask, least, second in heads:
        width = kind & ~STEPS
        if width > 8 or bits > 63:
            raise ValueError(f"a column is {width} bytes wide")
        if width == 1 and not mask:
            content, start = inside, at
            at += rows
        else:
            stored = next(each for each in TYPES if each >= width)
            values, start = np.zeros((rows, stored), np.uint8), 0
            for byte in range(width):
                if mask >> byte & 1:
                    values[:, byte] = np.frombuffer(rest, np.uint8, rows, rest_at)
                    rest_at += rows
                else:
                    values[:, byte] = np.frombuffer(inside, np.uint8, rows, at)
                    at += rows
            content, width = values.tobytes(), stored
        end, kind = start + rows * width, kind & STEPS | width
        if bits:
            columns.append(Stored(content, start, end, kind, least, bits))
            columns.append(Stored(content, start, end, kind, second, 0, (1 << bits) - 1))
        else:
            columns.append(Stored(content, start, end, kind, least))
        size += rows * width
    if len(inside) < at or len(rest) < rest_at:
        raise ValueError("a table is cut short")
    return Table(rows, columns, size)

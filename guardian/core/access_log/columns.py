"""Many lines at once, as columns: what a line costs beside its own reading is shared by all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, NamedTuple

from guardian.core.access_log.line import LEFT, Request, Unreadable

BLOCK = 2_000
"""So many lines are read together; one with a value that no server writes has all of them read one by one."""
_FEW = 8
"""If more than one line in so many is odd, all are read one by one."""
_STATUSES = {b"0": LEFT, b"000": LEFT, **{b"%d" % status: status for status in range(100, 600)}}
"""Statuses as they are written, and as they count."""

Columns = tuple[
    Sequence[int], Sequence[bytes | None], Sequence[bytes], Sequence[bytes], Sequence[int], Sequence[int | None]
]
"""Those of `Request`, in its order."""
Quick = Callable[[Sequence[bytes]], tuple[Columns, Sequence[int]]]
"""Reads lines as a server writes them: their columns, and the places of those that are otherwise, which have no row in
the columns. Raises Unreadable where the lines have to be read one by one."""
ONE_BY_ONE = "no server writes these lines together"
"""Why `Quick` raises: nobody is told."""


class Requests(NamedTuple):
    """Requests as columns of the same length, in the order of their lines: `line` is what they were read from, or
    stands for it; the others are those of `Request`."""

    line: Sequence[bytes]
    at_us: Sequence[int]
    name: Sequence[bytes | None]
    method: Sequence[bytes]
    target: Sequence[bytes]
    status: Sequence[int]
    duration_us: Sequence[int | None]

    def only(self, wanted: Sequence[bool]) -> Requests:
        """Those that are wanted."""
        return self if all(wanted) else Requests._make([*compress(column, wanted)] for column in self)


Refused = list[tuple[int, str]]
"""The place of a line among those that were read, and why it is no request."""


def read_all(lines: Sequence[bytes], parse: Callable[[bytes], Request], quick: Quick) -> tuple[Requests, Refused]:
    """The requests of lines, and the lines that are none: what `parse` says of each. `quick` reads those that it can,
    `parse` the others."""
    columns: list[list[Any]] = [[] for _ in Requests._fields]
    refused: Refused = []
    for start in range(0, len(lines), BLOCK):
        block = lines[start : start + BLOCK]
        first = len(columns[0])
        try:
            rows, odd = quick(block)
        except Unreadable:
            odd = range(len(block))
        if len(odd) * _FEW > len(block):
            odd = range(len(block))
        else:
            gone = set(odd)
            columns[0] += [line for place, line in enumerate(block) if place not in gone] if odd else block
            for column, new in zip(columns[1:], rows, strict=True):
                column += new
        for place in odd:
            try:
                request = parse(block[place])
            except Unreadable as error:
                refused.append((start + place, str(error)))
                first -= 1
                continue
            for column, value in zip(columns, (block[place], *request), strict=True):
                column.insert(first + place, value)
    return Requests._make(columns), refused


def statuses_of(written: Sequence[bytes]) -> list[int]:
    """Statuses as they count. Raises Unreadable for one that no server writes."""
    try:
        return [*map(_STATUSES.__getitem__, written)]
    except KeyError:
        raise Unreadable(ONE_BY_ONE) from None


def without_nobody(names: Sequence[bytes]) -> Sequence[bytes | None]:
    """The names, with None for those that stand for nobody."""
    return [None if name == b"-" or not name else name for name in names]

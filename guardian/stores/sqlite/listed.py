"""Which sealed buckets there are, as this process keeps it: a list for each block of buckets of one length, good for as
long as the mark of its day (`seal_marks`)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5

BLOCKS = {MINUTES5: HOUR, HOUR: DAY, DAY: DAY}
"""How long a block is, by the length of its buckets. A window has 5 minutes at its edges: an hour of them is enough."""
MOST = 5_000
"""So many lists are kept."""
Range = tuple[int, int, int]
"""(length, start, end): the buckets of this length that begin in [start, end)."""
Fetch = Callable[[Sequence[Range]], Iterable[tuple[int, int]]]
"""Reads the buckets of these ranges, in any order: (place of the range, start of the bucket)."""
Block = tuple[int, int]
"""The length of the buckets, and the start of the block."""


class Stretch(NamedTuple):
    """Some buckets of a block: those at the places [low, high) of `starts`, which has all of them, ascending. It is the
    same list for as long as nothing of the day changes; nobody changes it."""

    block: Block
    starts: Sequence[int]
    low: int
    high: int


class Listed:
    """The starts of buckets by block. Several threads may use it at once."""

    def __init__(self) -> None:
        self._known = dict[Block, tuple[object, list[int]]]()

    def stretches(self, marks: Mapping[int, object], ranges: Sequence[Range], fetch: Fetch) -> list[list[Stretch]]:
        """The buckets of each of these ranges, in order, in the state that has these marks and that `fetch` reads."""
        blocks = [
            [(span, at) for at in range(start // BLOCKS[span] * BLOCKS[span], end, BLOCKS[span])]
            for span, start, end in ranges
        ]
        found, missing = dict[Block, list[int]](), list[Block]()
        for block in set(chain.from_iterable(blocks)):
            mark, starts = self._known.get(block, (None, []))
            if mark == marks[block[1] // DAY]:
                found[block] = starts
            else:
                missing.append(block)
        if missing:
            found |= self._read(marks, sorted(missing), fetch)
        return [
            [_between(block, found[block], start, end) for block in some]
            for (_, start, end), some in zip(ranges, blocks, strict=True)
        ]

    def _read(self, marks: Mapping[int, object], blocks: Sequence[Block], fetch: Fetch) -> dict[Block, list[int]]:
        whole = list[Range]()
        for span, at in blocks:
            if whole and whole[-1][0] == span and whole[-1][2] == at:
                whole[-1] = (span, whole[-1][1], at + BLOCKS[span])
            else:
                whole.append((span, at, at + BLOCKS[span]))
        new: dict[Block, list[int]] = {block: [] for block in blocks}
        for place, start in fetch(whole):
            span = whole[place][0]
            new[span, start - start % BLOCKS[span]].append(start)
        if len(self._known) + len(new) > MOST:
            self._known = {}
        for block, starts in new.items():
            starts.sort()
            self._known[block] = marks[block[1] // DAY], starts
        return new


def starts_of(stretches: Iterable[Stretch]) -> list[int]:
    """When these buckets begin."""
    return list(chain.from_iterable(starts[low:high] for _, starts, low, high in stretches))


def _between(block: Block, starts: list[int], start: int, end: int) -> Stretch:
    return Stretch(block, starts, bisect_left(starts, start), bisect_left(starts, end))

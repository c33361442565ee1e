"""A cache of decompressed tables of sealed summaries.

A report reads the same days for its totals, for the period before, for who went quiet and for who came and went, and
the next report reads most of them again. Cached tables are good for as long as the list of their block's buckets is the
same (`listed`). Then they are fetched again, and of short ones, the many of today, only those are decompressed whose
bytes have changed.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from guardian.core.codec import inflate
from guardian.core.codec.table import Table
from guardian.stores.sqlite.listed import Block, Stretch
from guardian.stores.sqlite.seal_keys import seal_keys

KEPT_BYTES, KEPT_MOST = 24 * 2**20, 80 * 2**20
"""The size of the cache in each process, including the compressed bytes: at least, and for a large file at most. The
least recently used entries are dropped first. The report on a month, and the overview of one, which has the month
before too, take 17 MB for 10 million events in 90 days, and 64 for 50 million: with less, they would push out their own
first tables before they are read again."""
KEPT_SHARE = 20
"""Which part of the largest file that was read is kept, between these two."""
SHORT = 2_000
"""The bytes of bodies that are as long or longer are not kept."""
LARGEST_SHARE = 50
"""Tables that would take a larger part of the cache are not kept: a month of them would push out what every report
reads."""
Fetch = Callable[[Sequence[int]], Iterable[tuple[int, bytes]]]
"""Reads the rows with these keys (`seal_keys`), those that are there: (key, body)."""


_Key = tuple[int, Block]
_UNREAD = Table(-1, (), 0)


class _Part:
    """The tables of a part of the buckets of a block, _UNREAD where none was read; those of the list before that were
    not read since stand in `before`, by start."""

    __slots__ = ("before", "bodies", "key", "size", "starts", "tables")

    def __init__(self, key: _Key, starts: Sequence[int], old: _Part | None) -> None:
        self.key, self.starts = key, starts
        self.size: int = 0 if old is None else old.size
        self.tables, self.bodies = [_UNREAD] * len(starts), [b""] * len(starts)
        self.before: dict[int, tuple[bytes, Table]] = {}
        if old is not None:
            self.before |= old.before
            for start, body, table in zip(old.starts, old.bodies, old.tables, strict=True):
                if table is not _UNREAD:
                    self.before[start] = body, table


class Decoded:
    """Decompressed bodies by part and block. Thread-safe."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._known: OrderedDict[_Key, _Part] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """The current size in bytes."""
        return self._size

    def make_room(self, file_bytes: int) -> None:
        """From now on keep as much as is right for a file of so many bytes, or more."""
        self._kept_bytes = max(self._kept_bytes, min(file_bytes // KEPT_SHARE, KEPT_MOST))

    def kept(self) -> list[_Key]:
        """The parts and blocks that are cached, the most recently read one last."""
        with self._lock:
            return list(self._known)

    def tables(self, part: int, stretches: Sequence[Stretch], fetch: Fetch) -> list[list[Table]]:
        """What is inside of this part of the buckets of each stretch. Raises what `fetch` and `codec.inflate` raise,
        and ValueError where one has no such part."""
        with self._lock:
            kept = [self._kept(part, each) for each in stretches]
        found = [one.tables[low:high] for one, (_, _, low, high) in zip(kept, stretches, strict=True)]
        if any(_UNREAD in tables for tables in found):
            self._read(part, stretches, kept, found, fetch)
        return found

    def _kept(self, part: int, stretch: Stretch) -> _Part:
        key = part, stretch.block
        one = self._known.get(key)
        if one is None or one.starts is not stretch.starts:
            one = self._known[key] = _Part(key, stretch.starts, one)
        self._known.move_to_end(key)
        return one

    def _read(
        self,
        part: int,
        stretches: Sequence[Stretch],
        kept: Sequence[_Part],
        found: Sequence[list[Table]],
        fetch: Fetch,
    ) -> None:
        """Fill in what was not found."""
        wanted = dict[int, list[tuple[int, int]]]()
        for place, ((span, _), starts, low, _) in enumerate(stretches):
            missing = [n for n, table in enumerate(found[place], low) if table is _UNREAD]
            for n, key in zip(missing, seal_keys(part, span, [starts[n] for n in missing]), strict=True):
                wanted.setdefault(key, []).append((place, n))
        for key, body in fetch(list(wanted)):
            for place, n in wanted.pop(key):
                found[place][n - stretches[place].low] = self._inside(kept[place], n, body)
        if wanted:
            raise ValueError("a part of a summary is missing")

    def _inside(self, one: _Part, n: int, body: bytes) -> Table:
        """What is inside of a body, which is kept from now on."""
        old = one.before.get(one.starts[n])
        inside = old[1] if old is not None and old[0] == body else inflate(body)
        body = body if len(body) < SHORT else b""
        if (size := _size(body, inside)) > self._kept_bytes // LARGEST_SHARE:
            return inside
        with self._lock:
            if one.tables[n] is _UNREAD:
                size -= _size(*one.before.pop(one.starts[n], (b"", _UNREAD)))
                one.tables[n], one.bodies[n] = inside, body
                one.size += size
                if self._known.get(one.key) is one:
                    self._size += size
            while self._size > self._kept_bytes:
                self._size -= self._known.popitem(last=False)[1].size
        return inside


def _size(body: bytes, inside: Table) -> int:
    return len(body) + inside.size


_decoded = [Decoded()]


def decoded() -> Decoded:
    """The cache of this process."""
    return _decoded[0]


def _begin_as_child() -> None:
    """At the fork another thread may have held the lock."""
    _decoded[0] = Decoded()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_as_child)

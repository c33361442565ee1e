"""A cache of decompressed tables of sealed summaries.

A report reads the same days for its totals, for the period before, for who went quiet and for who came and went, and
the next report reads most of them again. The compressed bytes are fetched each time and compared with the cached ones,
so the cache is never stale, whichever process sealed a bucket again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Collection, Iterable
from threading import Lock

import numpy as np

from guardian.core import codec
from guardian.core.stored_table import Table, joined

KEPT_BYTES = 24 * 2**20
"""The size of the cache in each process, including the compressed bytes; the least recently used entries are dropped
first. A month of 10 million events in 90 days takes 14 MB, the overview of one, which has the month before too, 20:
with less, such a page would push out its own first tables before they are read again."""
LARGEST = 500_000
"""Larger tables are not cached: a month of them would push out what every report reads."""
Key = int


class Decoded:
    """Decompressed bodies by the keys of their rows (`seal_keys`). Thread-safe."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._known: OrderedDict[Key, tuple[bytes, Table]] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """The current size in bytes."""
        return self._size

    def kept(self) -> list[Key]:
        """The cached tables, the most recently read one last."""
        with self._lock:
            return list(self._known)

    def joined(
        self, bodies: Iterable[tuple[Key, bytes]], wanted: Collection[int]
    ) -> tuple[list[np.ndarray], list[int]]:
        """The result of `joined` for these bodies; the arrays belong to the caller. Raises what `joined`
        and `codec.inflate` raise."""
        asked = list(bodies)
        with self._lock:
            found = [self._known.get(key) for key, _ in asked]
            for (key, _), known in zip(asked, found, strict=True):
                if known is not None:
                    self._known.move_to_end(key)
        tables = [
            known[1] if known is not None and known[0] == body else self._inflated(key, body)
            for (key, body), known in zip(asked, found, strict=True)
        ]
        return joined(tables, wanted)

    def _inflated(self, key: Key, body: bytes) -> Table:
        """What is inside of a body, which is kept from now on."""
        inside = codec.inflate(body)
        with self._lock:
            if old := self._known.pop(key, None):
                self._size -= _size(*old)
            if _size(body, inside) <= LARGEST:
                self._known[key] = body, inside
                self._size += _size(body, inside)
                while self._size > self._kept_bytes:
                    _, gone = self._known.popitem(last=False)
                    self._size -= _size(*gone)
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

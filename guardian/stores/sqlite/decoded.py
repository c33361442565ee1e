"""Columns of sealed summaries that were read lately, so that the next report need not decode them again.

A report reads the same days for its totals, for the period before, for who went quiet and for who came and went; the
next one reads most of them again. The bytes are fetched each time and compared with those that were decoded, so what is
kept is never older than the database, whichever process sealed a bucket anew.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Collection, Sequence
from threading import Lock

import numpy as np

from guardian.core import codec

KEPT_BYTES = 12 * 2**20
"""How much is kept at most in a process, the compressed bytes included: what was used least lately goes first."""
LARGEST, LARGEST_STORED = 300_000, 8_000
"""A table of more bytes, or of more compressed ones, is not kept: a month of them would drive out all that every report
reads."""
Key = tuple[int, int, int]
_INT32 = np.iinfo(np.int32)


class Decoded:
    """The columns of bodies by where these are stored: (part, length, start). Safe to use from several threads."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._known: OrderedDict[Key, tuple[bytes, Sequence[np.ndarray], int]] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes are kept now."""
        return self._size

    def kept(self) -> list[Key]:
        """Of which tables columns are kept: the one that was read last at the end."""
        with self._lock:
            return list(self._known)

    def columns(self, key: Key, body: bytes, wanted: Collection[int] | None = None) -> list[np.ndarray]:
        """What `codec.unpack` gives; the arrays are the caller's own. Raises what it raises."""
        if len(body) > LARGEST_STORED:
            return codec.unpack(body, wanted)
        with self._lock:
            entry = self._known.get(key)
            if entry is not None:
                self._known.move_to_end(key)
        if entry is None or entry[0] != body:
            columns = codec.unpack(body)
            self._keep(key, body, columns)
            return columns if wanted is None else [columns[place] for place in sorted(wanted)]
        places = range(len(entry[1])) if wanted is None else sorted(wanted)
        return [entry[1][place].astype(np.int64) for place in places]

    def _keep(self, key: Key, body: bytes, columns: Sequence[np.ndarray]) -> None:
        narrow = [_narrow(column) for column in columns]
        size = len(body) + sum(column.nbytes for column in narrow)
        with self._lock:
            if old := self._known.pop(key, None):
                self._size -= old[2]
            if size > LARGEST:
                return
            self._known[key] = body, narrow, size
            self._size += size
            while self._size > self._kept_bytes:
                _, (_, _, gone) = self._known.popitem(last=False)
                self._size -= gone


def _narrow(column: np.ndarray) -> np.ndarray:
    """The same numbers in half the bytes, where they fit; never the same array."""
    fits = not len(column) or (column.min() >= _INT32.min and column.max() <= _INT32.max)
    return column.astype(np.int32 if fits else np.int64)


_decoded = [Decoded()]


def decoded() -> Decoded:
    """The columns that this process keeps."""
    return _decoded[0]


def _begin_as_child() -> None:
    """A forked worker may have been made while another thread held the lock."""
    _decoded[0] = Decoded()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_as_child)

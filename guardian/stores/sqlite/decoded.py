"""Tables of sealed summaries that were read lately, so that the next report need not decompress them again.

A report reads the same days for its totals, for the period before, for who went quiet and for who came and went; the
next one reads most of them again. The bytes are fetched each time and compared with those that were decompressed, so
what is kept is never older than the database, whichever process sealed a bucket anew.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Collection, Iterable
from threading import Lock

import numpy as np

from guardian.core import codec

KEPT_BYTES = 24 * 2**20
"""How much is kept at most in a process, the compressed bytes included: what was used least lately goes first. A month
of 10 million events in 90 days takes 14 MB, the overview of one, which has the month before too, 20: with less, what
such a page reads first would be gone when the next one asks for it."""
LARGEST = 500_000
"""A table of more bytes is not kept: a month of them would drive out all that every report reads."""
Key = tuple[int, int, int]


class Decoded:
    """What is inside of bodies by where these are stored: (part, length, start). Safe to use from several threads."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._known: OrderedDict[Key, tuple[bytes, codec.Table]] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes are kept now."""
        return self._size

    def kept(self) -> list[Key]:
        """Which tables are kept: the one that was read last at the end."""
        with self._lock:
            return list(self._known)

    def joined(
        self, bodies: Iterable[tuple[Key, bytes]], wanted: Collection[int]
    ) -> tuple[list[np.ndarray], list[int]]:
        """What `codec.joined` gives of these bodies; the arrays are the caller's own. Raises what it raises, and what
        `codec.inflate` does."""
        return codec.joined([self._inside(key, body) for key, body in bodies], wanted)

    def _inside(self, key: Key, body: bytes) -> codec.Table:
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is not None and known[0] == body:
            return known[1]
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


def _size(body: bytes, inside: codec.Table) -> int:
    return len(body) + inside.size


_decoded = [Decoded()]


def decoded() -> Decoded:
    """The tables that this process keeps."""
    return _decoded[0]


def _begin_as_child() -> None:
    """A forked worker may have been made while another thread held the lock."""
    _decoded[0] = Decoded()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_as_child)

"""Work in parts: the interpreter lets one thread run at a time, so what takes long makes the host's requests wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

PIECE = 128
"""Events, or users with sessions, that are done at once where others wait for the interpreter: some 0.3 ms. Rows of a
power of two go in with one statement."""

T = TypeVar("T")


def parts(items: Sequence[T], size: int, between: Callable[[], None] | None) -> Iterator[Sequence[T]]:
    """The items in parts of at most this size, and `between` called between two parts; without it, all at once. At
    least one part comes, which may be empty."""
    if between is None or len(items) <= size:
        yield items
        return
    for first in range(0, len(items), size):
        if first:
            between()
        yield items[first : first + size]

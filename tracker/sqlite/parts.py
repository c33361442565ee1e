"""Work in parts: the interpreter lets one thread run at a time, so what takes long makes the host's requests wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

PIECE = 128
"""Events or users with sessions that have to be looked at one by one, and are done at once where others wait for the
interpreter: some 0.3 ms. Rows of a power of two go in with one statement."""

T = TypeVar("T")


def parts(items: Sequence[T], size: int, between: Callable[[], bool] | None) -> Iterator[Sequence[T]]:
    """The items in parts of at most this size, with `between` called between two parts. Where it answers False, and
    where there is none, all that is left comes at once. At least one part comes, which may be empty."""
    first = 0
    while between is not None and len(items) - first > size:
        yield items[first : first + size]
        first += size
        if not between():
            break
    yield items[first:]

"""What Guardian needs of a store to import a past: events, and which lines of logs they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tracker.event import Event

STRETCH_US = 5 * 60 * 1_000_000
"""Marks of lines are kept by stretches of time of this length, which begin at its multiples."""
IMPORTED = "(imported)"
"""The instance that imported events are of, where no machine's name stands."""


class Imports(Protocol):
    """A store that is open for an import. Methods block, and raise StorageError with one sentence.

    A mark is a keyed hash of a line, 64 bits: nobody without the key can try lines against it.
    """

    @property
    def key(self) -> bytes:
        """The key of marks, 16 to 64 bytes."""
        ...

    def recorded_since_us(self) -> int | None:
        """When the first event ended that the app recorded itself, Unix microseconds; None where there is none."""
        ...

    def purged_until_us(self) -> int:
        """Events before this moment were deleted since they were too old, Unix microseconds; 0 for none."""
        ...

    def marks(self, start_us: int) -> list[int]:
        """The marks of the lines that were imported of the stretch that begins here; equal ones as often as they are
        there."""
        ...

    def add(self, events: Sequence[Event], marks: Mapping[int, Sequence[int]]) -> int:
        """Store events with the marks of their lines, by stretch; how many events were stored. What a stretch gets is
        stored in one transaction."""
        ...

    def close(self) -> None:
        """Close it; may be called twice."""
        ...

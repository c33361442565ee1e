"""What Guardian needs from a store to import past events, and to remember which log lines they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tracker.event import Event

STRETCH_US = 5 * 60 * 1_000_000
"""Marks are grouped by stretches of time of this length, starting at its multiples."""
IMPORTED = "(imported)"
"""The instance name of imported events, in place of a machine's name."""


class Imports(Protocol):
    """A store opened for an import. Methods block, and raise StorageError with one sentence. A mark is a keyed 64-bit
    hash of a line: without the key nobody can test lines against it.
    """

    @property
    def key(self) -> bytes:
        """The key of marks, 16 to 64 bytes."""
        ...

    def recorded_since_us(self) -> int | None:
        """When the first event that the app itself recorded ended, in Unix microseconds; None where there is none."""
        ...

    def purged_until_us(self) -> int:
        """Events before this moment (Unix microseconds) were deleted by retention; 0: none were."""
        ...

    def marks(self, start_us: int) -> list[int]:
        """The marks of all imported lines of the stretch that begins here, with duplicates."""
        ...

    def add(self, events: Sequence[Event], marks: Mapping[int, Sequence[int]]) -> int:
        """Store events with the marks of their lines, by stretch; each stretch in one transaction. Returns how many
        events were stored."""
        ...

    def close(self) -> None:
        """Close it; may be called twice."""
        ...

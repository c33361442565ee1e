"""How far a reader of events has come, whichever store is under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cursor:
    """For each writing instance the serial of its newest event that has been read; serials count from 1.

    One number for all would not do: what two instances write at the same moment commits in any order, so the later of
    two numbers may be there first. A store whose ids do commit in order has a single instance.
    """

    serials: Mapping[str, int] = field(default_factory=dict)

    def since(self, earlier: Cursor) -> int:
        """How many events this cursor has seen that `earlier` had not; an instance it did not know counts from 1."""
        return sum(serial - earlier.serials.get(name, 0) for name, serial in self.serials.items())

"""How far a reader of events has come, in any store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cursor:
    """For each writing instance the serial of its newest event that has been read; serials count from 1.

    One number for all is not enough: two instances that write at the same moment commit in any order, so the higher
    number may appear first. A store whose ids do commit in order has a single instance.
    """

    serials: Mapping[str, int] = field(default_factory=dict)

    def since(self, earlier: Cursor) -> int:
        """How many events this cursor has seen that `earlier` had not; an instance it did not know counts from 1."""
        return sum(serial - earlier.serials.get(name, 0) for name, serial in self.serials.items())

"""How far a reader of events has come, whichever store is under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cursor:
    """Per writing instance the serial of the newest of its events that was read; they count from 1.

    Not one number for all: what two instances write at the same moment commits in any order, and the later of two
    numbers may be there first. A store whose ids do commit in order has one instance.
    """

    serials: Mapping[str, int] = field(default_factory=dict)

    def since(self, earlier: Cursor) -> int:
        """How many events this cursor has seen that `earlier` had not; an instance it did not know counts from 1."""
        return sum(serial - earlier.serials.get(name, 0) for name, serial in self.serials.items())

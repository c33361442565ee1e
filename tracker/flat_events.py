"""Events without an object each: what the garbage collector does not have to look through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from tracker.event import Event

WIDTH = len(Event._fields)
"""Values of an event."""


class FlatEvents(Sequence[Event]):
    """Events whose `values` lie one after the other in one list; each is made anew when it is asked for."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values) // WIDTH

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> FlatEvents: ...
    def __getitem__(self, place: int | slice) -> Event | FlatEvents:
        if isinstance(place, slice):
            first, end, step = place.indices(len(self))
            if step != 1:
                raise ValueError("only events that follow each other lie in one list")
            return FlatEvents(self.values[first * WIDTH : end * WIDTH])
        first = range(len(self))[place] * WIDTH
        return Event._make(self.values[first : first + WIDTH])

    def __iter__(self) -> Iterator[Event]:
        return map(Event._make, zip(*[iter(self.values)] * WIDTH, strict=True))

    def column(self, name: str) -> list[Any]:
        """The values of this field of all events, in their order."""
        return self.values[Event._fields.index(name) :: WIDTH]

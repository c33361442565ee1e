"""Arrays of single events that grow at the end and lose what is too old at the start."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns

_TYPES = {"at_us": "i8", "user": "i4", "feature": "i2", "status": "i2", "duration_us": "i4", "failure": "i2"}
"""The type of each array, by the name of its column, as long as it holds all numbers: 22 bytes an event, and those of a
busy app are most of the daemon's memory."""
COLUMNS = tuple(_TYPES)
"""The names of the arrays."""
_MOVED = 50_000
_SPARE = 8
"""Arrays that are more than this many times as large as they should be are replaced by smaller ones."""
_AHEAD = 16.0
"""Room is made for at most this many times the events that are there: their first minutes may be a burst."""


class Rolling:
    """The columns of the events up to a minute, without the names that they index. Nearly nothing is copied where
    events are appended."""

    def __init__(self) -> None:
        self._room = {name: np.empty(0, dtype=kind) for name, kind in _TYPES.items()}
        self._first = self._last = 0
        self._keep_us = self._end = 0

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The columns by name; valid until the next call."""
        return {name: room[self._first : self._last] for name, room in self._room.items()}

    def add(self, later: Columns, end: int, keep_us: int) -> None:
        """Append these events, which directly follow and reach to the minute `end`; drop those before `keep_us`."""
        self._first += int(np.searchsorted(self._room["at_us"][self._first : self._last], keep_us))
        self._keep_us, self._end = keep_us, end
        size = len(later)
        there = len(self._room["at_us"])
        if self._last + size > there or there > _SPARE * self._size(self._last - self._first + size):
            self._make_room(size)
        self._widen(later)
        for name, room in self._room.items():
            room[self._last : self._last + size] = getattr(later, name)
        self._last += size

    def replace(self, minute: int, anew: Columns) -> None:
        """Replace the events of that minute."""
        at_us = self._room["at_us"][self._first : self._last]
        edges = np.searchsorted(at_us, (minute * MINUTE_US, (minute + 1) * MINUTE_US))
        more = len(anew) - int(edges[1] - edges[0])
        if self._last + more > len(self._room["at_us"]):
            self._make_room(more)
        first, last = (int(edge) + self._first for edge in edges)
        self._widen(anew)
        for name, room in self._room.items():
            _move(room, last, self._last, more)
            room[first : last + more] = getattr(anew, name)
        self._last += more

    def _widen(self, more: Columns) -> None:
        """Give 64 bits to the arrays that cannot hold a number of these events."""
        for name, room in self._room.items():
            numbers, limits = getattr(more, name), np.iinfo(room.dtype)
            if numbers.min(initial=0) < limits.min or numbers.max(initial=0) > limits.max:
                self._room[name] = np.empty(len(room), dtype=np.int64)
                self._room[name][self._first : self._last] = room[self._first : self._last]

    def _make_room(self, more: int) -> None:
        """Make room for this many more events: move the events to the start of their arrays, or to larger ones; to
        smaller ones where most of the room is that of a storm which is over."""
        live, there = self._last - self._first, len(self._room["at_us"])
        size = self._size(live + more) + 4 * more
        fits = live + live // 8 + more <= there <= _SPARE * size
        for name, room in self._room.items():
            if fits:
                _move(room, self._first, self._last, -self._first)
            else:
                self._room[name] = np.empty(size, dtype=room.dtype)
                self._room[name][:live] = room[self._first : self._last]
        self._first, self._last = 0, live

    def _size(self, number: int) -> int:
        """How large arrays for so many events should be: as large as they get at this rate once they reach back as far
        as they may, and a quarter more. What is not used yet takes no memory. To copy a million events takes 20 to 40
        ms, so it should not happen again and again while the events reach back further each minute."""
        at_us = self._room["at_us"][self._first : self._last]
        end_us = self._end * MINUTE_US
        reached, whole = end_us - int(at_us[0]) if len(at_us) else 0, end_us - self._keep_us
        share = min(max(whole / reached, 1.0), _AHEAD) if reached > 0 else 1.0
        return int(number * share * 1.25)


def _move(room: np.ndarray, first: int, last: int, by: int) -> None:
    """Move the elements [first, last) by an offset, in pieces, since numpy would copy overlapping ranges."""
    starts = range(first, last, _MOVED) if by else range(0)
    for start in starts if by < 0 else reversed(starts):
        end = min(start + _MOVED, last)
        room[start + by : end + by] = room[start:end]

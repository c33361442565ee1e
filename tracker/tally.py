"""Problems of a process, counted by reason: refused tokens, dropped events, a replaced file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from tracker.saying import say

_MOST = 100
_SAID = {
    "token_refused": "A token counted for nothing: %s. Each reason is said once; the report counts them.",
    "name_refused": "A user could not be named: %s. Said once; the report counts them.",
}

Count = tuple[str, str, int]
"""Kind, detail, and how often since the process started."""


class Tally:
    """Counts by kind and detail, a hundred of them; what comes later is `(other)`. Some are said in the log, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._untold: set[tuple[str, str]] = set()

    def count(self, kind: str, detail: str, number: int = 1) -> None:
        """Count something once more; both are words of ours."""
        with self._lock:
            key = (kind, detail)
            if key not in self._counts and len(self._counts) >= _MOST:
                key = (kind, "(other)")
            first = key not in self._counts
            self._counts[key] = self._counts.get(key, 0) + number
            self._untold.add(key)
        if first and kind in _SAID:
            say(logging.WARNING, _SAID[kind], detail)

    def news(self) -> list[Count]:
        """The counts that have changed since the last call."""
        with self._lock:
            counts = [(*key, self._counts[key]) for key in self._untold]
            self._untold.clear()
        return counts

    def untold(self, counts: Iterable[Count] | None = None) -> None:
        """Report these again with the next `news`, since they were not stored; None means all."""
        with self._lock:
            self._untold.update(self._counts if counts is None else ((kind, detail) for kind, detail, _ in counts))

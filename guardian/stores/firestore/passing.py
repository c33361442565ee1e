"""Up to which moment all events of the tracked processes are stored in Firestore, according to what they write with
their slices. A process stores its events about every 15 seconds, and writes with each slice how many it had accepted
and stored by then; if none waited, everything before that moment is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardian.core.time import micros
from guardian.stores.firestore.documents import Documents, as_time
from guardian.stores.history import ALIVE_US
from tracker.firestore.sink import RECORDERS, SLICES

MOST = 100
"""With more processes than this nobody looks: each minute is judged after the longest wait."""
_AGAIN_US = 10 * 1_000_000
"""A document becomes visible up to some seconds after its timestamp by Firestore's clock."""


class Passing:
    """Reads incrementally what processes have reported."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._passed: dict[str, int] = {}
        self._read_us = 0
        self._beats: dict[str, int] | None = None

    def until(self, now_us: int) -> int:
        """The moment (µs) before which everything of every living process is stored; `now_us` if none lives."""
        alive = self._documents.query(
            RECORDERS, ("seen_us", ">=", now_us - ALIVE_US), ("seen_us", "<=", now_us + ALIVE_US),
            order=[("seen_us", "ASCENDING")], limit=MOST + 1,
        )  # fmt: skip
        self._beats = None
        if len(alive) > MOST:
            return 0
        self._beats = {str(each.fields["recorder"]): int(each.fields["seen_us"]) for each in alive}
        for each in alive:
            self._note(each.fields, int(each.fields["seen_us"]), sure=False)
        if alive and any(self._passed[each.fields["recorder"]] < now_us for each in alive):
            self._read_slices(micros(alive[0].read_at) if alive[0].read_at is not None else 0)
        names = {str(each.fields["recorder"]) for each in alive}
        self._passed = {name: at for name, at in self._passed.items() if name in names}
        return min(self._passed.values(), default=now_us)

    def beats(self) -> dict[str, int] | None:
        """The last heartbeat (µs) of each process that `until` just saw alive. Can be taken once; None if `until` did
        not look, or saw too many."""
        found, self._beats = self._beats, None
        return found

    def _read_slices(self, read_us: int) -> None:
        since = max(self._read_us, read_us - ALIVE_US) - _AGAIN_US
        found = self._documents.query(SLICES, ("written", ">", as_time(max(since, 0))), fields=("beat", "end"))
        self._read_us = read_us
        for each in found:
            if "beat" in each.fields:
                self._note(each.fields["beat"], int(each.fields["end"]), sure=True)

    def _note(self, beat: Mapping[str, Any], end_us: int, *, sure: bool) -> None:
        """Note how far a process has come. If events still waited, that is the end of what was stored, provided it is
        `sure`."""
        waiting = int(beat["accepted"]) - int(beat["stored"]) - int(beat["dropped"])
        passed = int(beat["seen_us"]) if waiting <= 0 else end_us if sure else 0
        name = str(beat["recorder"])
        self._passed[name] = max(passed, self._passed.get(name, 0))

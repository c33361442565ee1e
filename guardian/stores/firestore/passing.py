"""Up to when what the tracked processes have taken is stored in Firestore, as they say so with their slices.

A process stores what waits every 15 seconds or so. With each slice goes how many events it had taken and stored by
then; when none waited, all of before is there. So a process has passed a moment when it said so after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardian.core.time import micros
from guardian.stores.firestore.documents import Documents, as_time
from guardian.stores.history import ALIVE_US
from tracker.firestore.sink import RECORDERS, SLICES

MOST = 100
"""Of more processes than this is not asked: each minute is judged when it has waited as long as any does."""
_AGAIN_US = 10 * 1_000_000
"""Between a document's time by Firestore's clock and the moment from which it is seen pass seconds."""


class Passing:
    """What processes have said, read bit by bit."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._passed: dict[str, int] = {}
        self._read_us = 0
        self._beats: dict[str, int] | None = None

    def until(self, now_us: int) -> int:
        """The moment, µs, before which everything is stored of every process that lives; `now_us` where none does."""
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
        """The last sign of life, µs, of each process that `until` has just seen alive, to be taken once; None where it
        did not look, or saw too many."""
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
        """Note how far a process has come: where more waited, as far as what was stored, if that is `sure`."""
        waiting = int(beat["accepted"]) - int(beat["stored"]) - int(beat["dropped"])
        passed = int(beat["seen_us"]) if waiting <= 0 else end_us if sure else 0
        name = str(beat["recorder"])
        self._passed[name] = max(passed, self._passed.get(name, 0))

"""Which lines are new: a line is stored as often as it stands in the file that has it most often.

So the same file twice, a log that has grown, rotated files that overlap and one that was joined from others add nothing
twice, while two equal lines of one file are two requests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b

from guardian.stores.importing import STRETCH_US

_OPEN = 48
"""How many stretches are kept in memory, four hours' worth: logs are nearly in order of time."""


class _Stretch:
    """`known`: how often each mark was imported. `here`: how often it has come in this file."""

    def __init__(self, marks: Iterable[int]) -> None:
        self.known: dict[int, int] = {}
        self.here: dict[int, int] = {}
        for mark in marks:
            self.known[mark] = self.known.get(mark, 0) + 1


class Marks:
    """Recognises new lines. `load` gives a stretch's stored marks. `added` are marks not stored yet, by stretch: store
    them with the events, then call `stored`."""

    def __init__(self, key: bytes, load: Callable[[int], Iterable[int]]) -> None:
        self._hash = blake2b(key=key, digest_size=8)
        self._load = load
        self._stretches: OrderedDict[int, _Stretch] = OrderedDict()
        self._last, self._stretch = -1, _Stretch(())
        self._adding: list[int] | None = None  # what `added` has of the stretch
        self.added: dict[int, list[int]] = {}

    def is_new(self, line: bytes, at_us: int) -> bool:
        """Whether a line has to be stored; it is noted as one that will be."""
        start = at_us - at_us % STRETCH_US
        if start != self._last:
            self._last, self._stretch = start, self._open(start)
            self._adding = None
        digest = self._hash.copy()
        digest.update(line)
        mark = int.from_bytes(digest.digest(), "little")
        here, known = self._stretch.here, self._stretch.known
        number = here[mark] = here.get(mark, 0) + 1
        if number <= known.get(mark, 0):
            return False
        known[mark] = number
        if self._adding is None:
            self._adding = self.added.setdefault(start, [])
        self._adding.append(mark)
        return True

    def stored(self) -> None:
        """What was added is in the store now."""
        self.added, self._adding = {}, None
        while len(self._stretches) > _OPEN:
            self._stretches.popitem(last=False)

    def next_file(self) -> None:
        """Another file begins."""
        for stretch in self._stretches.values():
            stretch.here = {}

    def _open(self, start: int) -> _Stretch:
        stretch = self._stretches.get(start)
        if stretch is None:
            stretch = self._stretches[start] = _Stretch(self._load(start))
        self._stretches.move_to_end(start)
        return stretch

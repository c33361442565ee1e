"""Which lines are new: a line is stored as often as it stands in the file that has it most often.

So the same file twice, a log that has grown, rotated files that overlap and one that was joined from others add nothing
twice, while two equal lines of one file are two requests.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import groupby

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


def marks_of(key: bytes, lines: Sequence[bytes]) -> list[bytes]:
    """The marks of lines, as `Imports` says, each as 8 bytes, little-endian."""
    begun, marks = blake2b(key=key, digest_size=8).copy, list[bytes]()
    for line in lines:
        mark = begun()
        mark.update(line)
        marks.append(mark.digest())
    return marks


class Marks:
    """Recognises new lines by their marks. `load` gives a stretch's stored marks. `added` are marks not stored yet, by
    stretch: store them with the events, then call `stored`."""

    def __init__(self, load: Callable[[int], Iterable[int]]) -> None:
        self._load = load
        self._stretches: OrderedDict[int, _Stretch] = OrderedDict()
        self.added: dict[int, list[int]] = {}

    def new(self, marks_of_lines: Sequence[bytes], at_us: Sequence[int]) -> list[bool]:
        """Which of the lines with these marks (`marks_of`), of these moments, have to be stored; those are noted as
        ones that will be."""
        marks = struct.unpack(f"<{len(marks_of_lines)}Q", b"".join(marks_of_lines))
        new: list[bool] = []
        for start, several in groupby([at - at % STRETCH_US for at in at_us]):
            first = len(new)
            new += self._new_of(start, marks[first : first + len([*several])])
        return new

    def _new_of(self, start: int, marks: Sequence[int]) -> list[bool]:
        """The same of marks of one stretch."""
        stretch = self._open(start)
        here, known, once = stretch.here, stretch.known, dict.fromkeys(marks, 1)
        if len(once) == len(marks) and here.keys().isdisjoint(once) and known.keys().isdisjoint(once):
            here.update(once)
            known.update(once)
            self.added.setdefault(start, []).extend(marks)
            return [True] * len(marks)
        new: list[bool] = []
        for mark in marks:
            number = here[mark] = here.get(mark, 0) + 1
            new.append(number > known.get(mark, 0))
            if new[-1]:
                known[mark] = number
                self.added.setdefault(start, []).append(mark)
        return new

    def stored(self) -> None:
        """What was added is in the store now."""
        self.added = {}
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

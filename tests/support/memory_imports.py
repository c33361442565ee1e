"""An import into memory, with as much of a `Backend` as it asks for: see `tests.support.memory`."""

from bisect import insort

from tests.support.memory_events import MemoryEvents, MemoryHistory, keep


class MemoryImports:
    """`Imports` on what a `Database` keeps."""

    key = b"a key of sixteen"

    def __init__(self, database):
        self._database = database

    def recorded_since_us(self):
        own = self._database.own()
        return own[0].at_us if own else None

    def purged_until_us(self):
        return self._database.purged_until

    def marks(self, start_us):
        return list(self._database.marks.get(start_us, ()))

    def add(self, events, marks):
        stored = keep(self._database, events)
        self._database.imported.update(events)
        for start_us, some in marks.items():
            for mark in some:
                insort(self._database.marks.setdefault(start_us, []), mark)
        return stored

    def close(self):
        """Nothing is kept open."""


class MemoryBackend:
    """A database in memory, as a kind that an import is told of."""

    def __init__(self, database):
        self._database = database

    def exists(self):
        return bool(self._database.events)

    def imports(self):
        return MemoryImports(self._database)

    async def open_events(self, book):
        return MemoryEvents(self._database, book)

    def history(self, book):
        return MemoryHistory(self._database, book)

"""A store that is asked once, while nobody writes, for what belongs to no window."""

import pytest

from guardian.application.moving.steady import steady
from guardian.core.storage import StorageError


class Store:
    def __init__(self):
        self.asked = []

    async def stats(self, now=None):
        self.asked.append(("stats", now))
        if now == "fails":
            raise StorageError("no")
        return len(self.asked)

    async def counts(self, start, end, *, features=()):
        self.asked.append(("counts", start, end))
        return len(self.asked)


async def test_what_belongs_to_no_window_is_read_once_and_windows_each_time():
    store = Store()
    kept = steady(store)
    assert [await kept.stats(1), await kept.stats(1), await kept.stats(2)] == [1, 1, 2]
    assert [await kept.counts(1, 2), await kept.counts(1, 2)] == [3, 4]


async def test_what_failed_is_asked_for_again():
    kept = steady(Store())
    for _ in range(2):
        with pytest.raises(StorageError):
            await kept.stats("fails")
    assert await kept.stats(1) == 3

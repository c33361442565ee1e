"""What is old goes piece by piece: how far it is can be told, and an end amid it loses no count."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.root import open_application
from guardian.application.upkeep import PIECES, clean_up
from guardian.core.time import micros
from guardian.settings.schema import Settings
from tests.support.events import event

NOW = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)


@asynccontextmanager
async def opened(tmp_path):
    settings = Settings(database=tmp_path / "guardian.db", admins=("admin@example.com",))
    async with open_application(settings, clock=lambda: NOW) as app:
        yield app


def events(days):
    for day in days:
        at_us = micros(NOW - timedelta(days=day))
        yield event(at_us)


async def test_a_cleanup_tells_how_far_it_is(tmp_path):
    async with opened(tmp_path) as app:
        await app.repository.write(list(events(range(80, 130))))
        told = []
        gone = await clean_up(app, NOW, progress=told.append)
        assert gone.events == 39  # those of 91 to 129 days; what is exactly 90 days old stays
        assert told == sorted(set(told))
        assert told[-1] == 1.0
        assert 10 < len(told) <= PIECES
        assert (await app.repository.stats()).events == 11


async def test_a_cleanup_that_is_stopped_amid_it_is_finished_by_the_next_one(tmp_path):
    class Stopped(Exception):
        pass

    def stop(share):
        if share > 0.5:
            raise Stopped

    async with opened(tmp_path) as app:
        await app.repository.write(list(events(range(80, 130))))
        with pytest.raises(Stopped):
            await clean_up(app, NOW, progress=stop)
        left = (await app.repository.stats()).events
        assert 11 < left < 50
        assert (await clean_up(app, NOW)).events == left - 11


async def test_with_nothing_old_it_is_one_piece(tmp_path):
    async with opened(tmp_path) as app:
        told = []
        assert (await clean_up(app, NOW, progress=told.append)).events == 0
        await app.repository.write(list(events([1, 2])))
        assert (await clean_up(app, NOW, progress=told.append)).events == 0
        assert told == [1.0, 1.0]

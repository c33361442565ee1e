"""A past is read from SQLite in pieces: what the pieces make together."""

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.stores.sqlite.history import SqliteHistory
from tests.support.events import event
from tracker.sqlite.writer import Writer

START = 29_560_000


@pytest.fixture
def store(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"))
    yield SqliteHistory(tmp_path / "guardian.db"), writer
    writer.close()


def minute(number, requests, first_user=0):
    """So many requests in this minute, each of somebody else."""
    at_us = (START + number) * MINUTE_US
    return [event(at_us + n, user=f"u{first_user + n}@x.org") for n in range(requests)]


def test_people_who_came_after_the_first_many_have_their_names(store):
    history, writer = store
    writer.write(minute(0, 10_500))
    writer.write(minute(200, 6_000, 10_500))
    found = history.read(START, START + 201, single_events=201 * 60).at(START + 201).users(201 * 60)
    assert found == {f"u{n}@x.org" for n in range(16_500)}

"""A past is read from SQLite in pieces, each small enough to hold back neither memory nor the log."""

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.stores.sqlite import pieces, singles
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


@pytest.mark.parametrize("single_events", [3600, 4 * 3600], ids=["counts alone before", "all single"])
def test_after_quiet_hours_a_busy_one_is_read_in_small_pieces(store, monkeypatch, single_events):
    monkeypatch.setattr(pieces, "FEW", 50)
    monkeypatch.setattr(pieces, "MANY", 200)
    history, writer = store
    busy = {number: 60 for number in (*range(150, 160), *range(230, 240))} | {0: 1, 228: 300}
    for number, requests in busy.items():
        writer.write(minute(number, requests))
    read, rows = singles.read_numbers, []

    def noticed(*asked):
        found = read(*asked)
        rows.append(len(found[0]))
        return found

    monkeypatch.setattr(singles, "read_numbers", noticed)
    snapshot = history.read(START, START + 240, single_events=single_events).at(START + 240)
    assert max(rows) == 300  # of one minute
    assert sorted(rows)[-2] <= 200
    assert len(rows) < 60  # hours without requests are not read minute by minute
    assert snapshot.counts(240 * 60).requests == sum(busy.values())
    assert len(snapshot.users(single_events)) == 300


def test_people_who_came_after_the_first_many_have_their_names(store):
    history, writer = store
    writer.write(minute(0, 10_500))
    writer.write(minute(200, 6_000, 10_500))
    found = history.read(START, START + 201, single_events=201 * 60).at(START + 201).users(201 * 60)
    assert found == {f"u{n}@x.org" for n in range(16_500)}

"""A past is read from SQLite in pieces, each small enough to hold back neither memory nor the log."""

from contextlib import closing

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.stores.people.aliases import NO_ALIASES
from guardian.stores.sqlite import pieces, singles
from guardian.stores.sqlite.history import SqliteHistory
from guardian.stores.sqlite.singles import Singles, read_minute_counts
from tests.support.events import event
from tracker.event import ANONYMOUS
from tracker.sqlite.connection import connect
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
    read, rows = singles.read_packed, []

    def noticed(*asked):
        found = read(*asked)
        rows.append(len(found[0]))
        return found

    monkeypatch.setattr(singles, "read_packed", noticed)
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


def test_numbers_of_any_size_are_read_as_they_were_stored(store):
    history, writer = store
    took = (0, 5, -1, 2**40, 2**50)  # -1: it was not timed; and connections that were open for weeks
    at_us = START * MINUTE_US
    writer.write([event(at_us + n, user=f"u{n}@x.org", duration_us=2**50, latency_us=us) for n, us in enumerate(took)])
    writer.db.execute("DELETE FROM guardian_user WHERE email = 'u4@x.org'")  # the newest number is no longer given
    columns = history.read(START, START + 1, single_events=60).columns
    assert columns.duration_us.tolist() == list(took)
    assert [columns.users[code] for code in columns.user] == [*(f"u{n}@x.org" for n in range(4)), ANONYMOUS]


def test_routes_that_are_new_while_a_past_is_read_are_read_as_they_are(store, tmp_path):
    _, writer = store
    writer.write(minute(0, 3))
    pending = [event(START * MINUTE_US + 50 + n, feature=f"f{n}") for n in range(40)]

    def noticed(statement):
        if "group_concat" in statement and pending:
            writer.write(pending.copy())
            pending.clear()

    with closing(connect(str(tmp_path / "guardian.db"))) as db:
        db.set_trace_callback(noticed)
        counts = read_minute_counts(db, START, START + 1, Singles(db, NO_ALIASES))
    assert not pending
    assert counts.requests(START, START + 1) == 3 and counts.features == ["chat"]

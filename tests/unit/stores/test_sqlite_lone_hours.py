"""An hour with few requests stands alone, without its 5 minutes: nobody who reads a window sees a difference."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.storage import WindowGone
from guardian.stores.sqlite import lone_hours, retention, seal_layout, sealing, seals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, SPANS
from guardian.stores.sqlite.covering import Cover, pieces
from guardian.stores.sqlite.totals import count_events, read_totals
from tests.support.events import event
from tracker.event import Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.migrations import prepare
from tracker.sqlite.writer import write_events

MINUTE = 60_000_000
START = 1_700_000_100_000_000 // DAY * DAY
FAILURE = Failure("HTTP 500", "Server Error")
EVER = 2**62


def opened(path):
    db = connect(str(path))
    prepare(db)
    seal_layout.prepare(db)
    return db


@pytest.fixture
def db(tmp_path):
    with closing(opened(tmp_path / "guardian.db")) as db:
        yield db


def at(minutes, user=0):
    """An event that ends at this minute."""
    return event(START + int(minutes * MINUTE), user=f"u{user}@example.com", path="/r", feature="f", duration_us=9)


def minutes5(db):
    return [(start - START) // MINUTE for start in seals.starts(db, MINUTES5, 0, EVER)]


def hours(db):
    return [(start - START) // MINUTE for start in seals.starts(db, HOUR, 0, EVER)]


def requests(db, first, last):
    return int(read_totals(db, START + int(first * MINUTE), START + int(last * MINUTE)).users[:, 1].sum())


def seal(db, minutes):
    return sealing.seal(db, START + minutes * MINUTE)


def test_a_small_hour_has_no_5_minutes_once_it_is_joined_and_a_large_one_has(db, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 4)
    write_events(db, [at(1), at(7), at(58), *[at(60 + n * 10) for n in range(4)]])
    seal(db, 16)
    assert minutes5(db) == [0, 5]
    seal(db, 66)
    assert (hours(db), minutes5(db)) == ([0], [60])
    seal(db, 200)
    assert (hours(db), minutes5(db)) == ([0, 60], [60, 70, 80, 90])


def test_a_past_of_small_hours_is_summarised_without_their_5_minutes(db):
    write_events(db, [at(n * 9) for n in range(300)])
    seal(db, 3000)
    assert minutes5(db) == []
    assert requests(db, 0, 3000) == 300
    assert requests(db, 9, 2690) == 298


def test_the_edge_of_a_window_is_read_at_once_in_each_lone_hour(db):
    write_events(db, [at(n) for n in range(240)])
    seal(db, 300)
    found = pieces(db, START + 7 * MINUTE, START + 211 * MINUTE)
    assert [((a - START) / MINUTE, (b - START) / MINUTE, span) for a, b, span, _ in found] == [
        (7, 60, 0), (60, 120, HOUR), (120, 180, HOUR), (180, 211, 0)
    ]  # fmt: skip


def test_what_a_window_is_made_of_is_found_by_the_queries_of_its_beginning(db):
    write_events(db, [at(n) for n in range(3000)])
    seal(db, 3100)
    window = START + 7 * MINUTE, START + 2911 * MINUTE
    cover, asked = Cover(db, [window]), []
    db.set_trace_callback(asked.append)
    assert sum(piece.span == 0 for piece in cover.pieces(*window)) == 2
    assert asked == []


def test_a_late_event_of_a_lone_hour_counts_before_and_after_it_is_sealed_again(db, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 4)
    write_events(db, [at(1), at(31)])
    seal(db, 3000)
    write_events(db, [at(2)])
    for _ in range(2):
        assert [requests(db, *window) for window in ((0, 60), (0, 5), (1.5, 40), (20, 40))] == [3, 2, 2, 1]
        seal(db, 3000)
    assert (hours(db), minutes5(db)) == ([0], [])
    write_events(db, [at(3), at(59)])
    seal(db, 3000)
    assert (hours(db), minutes5(db)) == ([0], [0, 30, 55])
    assert requests(db, 0, 5) == 3


def test_the_5_minutes_of_an_hour_are_there_when_its_events_are_deleted(db):
    write_events(db, [at(n * 4) for n in range(60)])
    seal(db, 3000)
    windows = [(0, 5), (15, 120), (55, 65), (60, 90), (95, 240), (100, 105)]
    before = [requests(db, *window) for window in windows]
    assert retention.purge(db, START + 100 * MINUTE, 0) == 25
    assert [requests(db, *window) for window in windows] == before
    assert minutes5(db) == list(range(0, 120, 5))
    with pytest.raises(WindowGone):
        requests(db, 17, 120)
    seal(db, 3000)
    retention.purge(db, START + 160 * MINUTE, 0)
    assert minutes5(db) == list(range(0, 180, 5))
    assert [requests(db, *window) for window in windows] == before


def test_a_late_event_that_comes_while_an_hour_gets_its_5_minutes_is_not_lost(db, monkeypatch):
    write_events(db, [at(n * 4) for n in range(15)])
    seal(db, 3000)
    read = sealing._read_buckets

    def read_and_write(*args):
        found = read(*args)
        monkeypatch.setattr(sealing, "_read_buckets", read)
        write_events(db, [at(2)])
        return found

    monkeypatch.setattr(sealing, "_read_buckets", read_and_write)
    assert retention.purge(db, START + 60 * MINUTE, 0) == 16
    assert requests(db, 0, 60) == 16
    assert requests(db, 0, 5) == 3


def test_an_hour_that_is_joined_again_just_before_its_events_are_deleted_gets_its_5_minutes_again(db, monkeypatch):
    write_events(db, [at(n * 4) for n in range(15)])
    seal(db, 3000)
    given = retention.spread

    def given_and_joined(*args):
        given(*args)
        monkeypatch.undo()
        write_events(db, [at(2)])
        seal(db, 3000)
        assert minutes5(db) == []

    monkeypatch.setattr(retention, "spread", given_and_joined)
    assert retention.purge(db, START + 60 * MINUTE, 0) == 16
    assert minutes5(db) == list(range(0, 60, 5))
    assert [requests(db, *window) for window in ((0, 60), (0, 5), (5, 60))] == [16, 3, 13]


def test_hours_of_an_older_file_stand_alone_after_the_next_cleanup(db, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(lone_hours, "FEW", 0)
        write_events(db, [at(n * 4) for n in range(60)])
        seal(db, 3000)
        retention.purge(db, START + 65 * MINUTE, 0)
    windows = [(0, 5), (65, 240), (119.5, 190), (15, 200)]
    before = [requests(db, *window) for window in windows]
    assert minutes5(db) == list(range(0, 240, 5))
    retention.purge(db, START + 65 * MINUTE, 0)
    assert minutes5(db) == list(range(0, 120, 5))
    assert [requests(db, *window) for window in windows] == before
    assert count_events(db) == 60 - 17


def test_an_hour_whose_events_are_not_all_there_keeps_its_5_minutes(db, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    write_events(db, [at(n * 4) for n in range(30)])
    seal(db, 3000)
    monkeypatch.undo()
    db.execute("DELETE FROM guardian_request WHERE id = (SELECT min(id) FROM guardian_request)")
    lone_hours.leave_all(db, 0)
    assert minutes5(db) == list(range(0, 60, 5))


def test_whoever_seals_5_minutes_of_an_hour_that_stands_alone_by_then_leaves_it(db, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    write_events(db, [at(n * 4) for n in range(15)])
    seal(db, 3000)
    write_events(db, [at(2)])
    read = sealing.read_bucket

    def overtaken(db, start):
        found = read(db, start)
        monkeypatch.undo()
        seal(db, 3000)  # joined again, the hour stands alone
        assert minutes5(db) == []
        db.execute("INSERT INTO guardian_dirty VALUES (?)", (START,))
        return found

    monkeypatch.setattr(sealing, "read_bucket", overtaken)
    seal(db, 3000)
    assert requests(db, 0, 60) == 16
    seal(db, 3000)
    assert (hours(db), minutes5(db), requests(db, 0, 60), requests(db, 20, 60)) == ([0], [], 16, 10)


def test_a_day_is_not_joined_while_another_process_has_an_hour_of_it_to_join(db, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    write_events(db, [at(1), at(301)])
    seal(db, 3000)
    write_events(db, [at(2)])
    sealing._seal(db, START, START + MINUTES5, closing=False)  # which deletes the hour and the day
    assert sealing._join(db, DAY, HOUR, START) == 0
    seal(db, 3000)
    assert seals.starts(db, DAY, 0, EVER) == [START]
    assert requests(db, 0, 1440) == 3


MOMENTS = st.integers(0, 400) | st.floats(0, 400)
WRITTEN = st.lists(st.builds(at, MOMENTS, st.integers(0, 3)), min_size=1, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WRITTEN),
        st.tuples(st.just("seal"), st.integers(0, 500)),
        st.tuples(st.just("purge"), st.integers(0, 300)),
        st.tuples(st.just("few"), st.sampled_from([0, 3, 6, 1_000])),
    ),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(WRITTEN, STEPS, st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=6))
def test_every_window_is_what_it_is_where_each_hour_has_its_5_minutes(tmp_path_factory, first, steps, windows):
    folder = tmp_path_factory.mktemp("law")
    with closing(opened(folder / "one.db")) as one, closing(opened(folder / "other.db")) as other:
        with pytest.MonkeyPatch.context() as patch:
            few = 1_000
            for what, value in [("write", first), ("seal", 500), *steps]:
                few = value if what == "few" else few
                for db, most in ((one, few), (other, 0)):
                    patch.setattr(lone_hours, "FEW", most)
                    if what == "write":
                        write_events(db, value)
                    elif what == "seal":
                        seal(db, value)
                    elif what == "purge":
                        retention.purge(db, START + value * MINUTE, 0)
        for low, high in [*windows, (0, 400), (60, 240), (65, 185)]:
            window = START + int(min(low, high) * MINUTE), START + int(max(low, high) * MINUTE)
            assert told(one, *window) == told(other, *window)
        assert count_events(one) == count_events(other)
        for span in SPANS[:2]:
            assert seals.starts(one, span, 0, EVER) == seals.starts(other, span, 0, EVER)


def told(db, start, end):
    """What is said of a window: its four tables, or why there is no answer."""
    try:
        totals = read_totals(db, start, end)
    except WindowGone as gone:
        return str(gone)
    return [np.asarray(getattr(totals, table)).tolist() for table in ("users", "used", "statuses", "durations")]

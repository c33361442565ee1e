"""A history that grew is the one that is read anew, whatever came late, twice in a microsecond or out of order."""

import random
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.wanted import Wanted
from guardian.stores.importing import IMPORTED
from guardian.stores.sqlite import sightings
from guardian.stores.sqlite.history import SqliteHistory
from tests.support.events import event as made
from tests.support.snapshots import took
from tracker.event import Failure
from tracker.sqlite.writer import Writer

START = 29_560_000


def event(minute, chance):
    bad = chance.random() < 0.3
    feature = chance.choice("abc")
    failure = Failure("Boom", "no", f"app.py:{chance.randrange(3)} f") if bad else None
    at_us = minute * MINUTE_US + chance.randrange(3)
    user = f"u{chance.randrange(4)}@x.org"
    return made(at_us, user=user, feature=feature, status=500 if bad else 200, failure=failure)


def said(history, end):
    snapshot = history.at(end)
    return [
        (
            history.counts.features, dict(history.first_seen), history.first_event_us, list(history.columns.at_us),
            snapshot.counts(window, feature), snapshot.users(window, feature),
            snapshot.users(window, feature, failed=True),
            took(snapshot, window, feature), sorted(snapshot.failures(window)),
            sorted(snapshot.bursts(2, 300, window)),
        )
        for window in (60, 900, 7200)
        for feature in (None, "a", "b", "never")
    ]  # fmt: skip


@pytest.mark.parametrize("numbered", [True, False], ids=["recorder", "without numbers"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), lags=st.lists(st.lists(st.integers(0, 100), max_size=6), min_size=1, max_size=8))
def test_a_history_that_grew_is_the_one_read_anew(numbered, seed, lags):
    chance, stored = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guardian.db"
        writer, store = Writer(str(path)), SqliteHistory(path)
        writer.write([event(START, chance)])
        end, asked = START + 120, {"single_events": 3600}
        history = store.read(end - 120, end, **asked)
        for late in lags:
            end += 1
            # Whoever writes without numbers is noticed within a quarter of an hour.
            batch = [event(end - 1 - (lag if numbered else lag % 14), chance) for lag in late]
            stored += len(batch)
            row = ("one", 0, end * MINUTE_US, stored, stored, 0, "1")
            writer.write(batch, heartbeat=(lambda *_, row=row: row) if numbered else None)
            history = store.grown(history, end, keep=120, **asked)
            assert said(history, end) == said(store.read(end - 120, end, **asked), end)
        writer.close()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), lags=st.lists(st.lists(st.integers(0, 100), max_size=6), min_size=1, max_size=8))
def test_beside_a_tracker_that_notes_nothing_of_late_events_too(seed, lags):
    chance, stored = random.Random(seed), {"one": 0, "old": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guardian.db"
        writer, store = Writer(str(path)), SqliteHistory(path)
        writer.write([event(START, chance)])
        end, asked = START + 120, {"single_events": 3600}
        history = store.read(end - 120, end, **asked)
        for late in lags:
            end += 1
            for lag in late:
                who = chance.choice(("one", "old"))
                stored[who] += 1
                row = (who, 0, end * MINUTE_US, stored[who], stored[who], 0, "1")
                writer.write([event(end - 1 - lag, chance)], heartbeat=lambda *_, row=row: row)
                if who == "old":
                    writer.db.execute("DELETE FROM guardian_late WHERE start_us = ?", ((end - 1 - lag) * MINUTE_US,))
            history = store.grown(history, end, keep=120, **asked)
            assert said(history, end) == said(store.read(end - 120, end, **asked), end)
        writer.close()


def test_a_late_event_is_noted_by_its_minute_and_looked_for_nowhere_else(tmp_path, monkeypatch):
    path, chance = tmp_path / "guardian.db", random.Random(1)
    writer, store = Writer(str(path)), SqliteHistory(path)

    def write(minutes, stored, now):
        row = ("one", 0, now, stored, stored, 0, "1")
        writer.write([event(minute, chance) for minute in minutes], heartbeat=lambda *_: row)

    def marks():
        return writer.db.execute("SELECT start_us / 60000000, count FROM guardian_late ORDER BY 1").fetchall()

    write([START, START + 60, START + 118], 3, (START + 120) * MINUTE_US)
    seen = dict(marks())
    history = store.read(START, START + 120, single_events=3600)
    monkeypatch.setattr("guardian.stores.sqlite.history.late_minutes", lambda *_: pytest.fail("it is counted"))
    write([START + 120], 4, (START + 121) * MINUTE_US + 3_999_999)
    assert dict(marks()) == seen  # rules read a minute five seconds after its end
    write([START + 60, START + 60, START + 5], 7, (START + 121) * MINUTE_US + 4_000_000)
    assert {minute: n - seen.get(minute, 0) for minute, n in marks()} | {START: 0, START + 118: 0} == {
        START: 0, START + 5: 1, START + 60: 2, START + 118: 0
    }  # fmt: skip
    grown = store.grown(history, START + 121, keep=121, single_events=3600)
    assert said(grown, START + 121) == said(store.read(START, START + 121, single_events=3600), START + 121)
    writer.close()


def test_what_came_a_week_late_is_in_its_week(tmp_path):
    path, chance, end = tmp_path / "guardian.db", random.Random(3), START + 200
    writer, store, stored, written = Writer(str(path)), SqliteHistory(path), 0, []
    then = end - 7 * 24 * 60
    beside = Wanted(dict.fromkeys((("a", "b"), ("a*",), None), frozenset(range(then - 9, then + 3))), then * MINUTE_US)
    asked = {"single_events": 3600, "wanted": beside}

    def write(minutes):
        nonlocal stored
        batch = [event(minute, chance) for minute in minutes]
        stored, written[len(written) :] = stored + len(batch), batch
        row = ("one", 0, end * MINUTE_US, stored, stored, 0, "1")
        writer.write(batch, heartbeat=lambda *_: row)

    write([then - 3, then - 2, *range(end - 100, end)])
    history = store.read(end - 120, end, imported=False, **asked)
    for late in ([], [then - 3, then - 3, then + 1], [then + 2], []):
        end += 1
        write([*late, end - 1])
        history = store.grown(history, end, keep=120, **asked)
        anew = store.read(end - 120, end, imported=False, **asked)
        assert history.last_used == anew.last_used
        for feature in ("a", "b", None):
            here = [e for e in written if feature in (None, e.feature) and then - 9 <= e.at_us // MINUTE_US < then + 1]
            back = (end - then - 1) * 60
            assert history.at(end).requests(600, feature, back=back) == len(here)
            assert anew.at(end).requests(600, feature, back=back) == len(here)
    writer.close()


def imported(db, minutes, chance):
    """Requests of an access log, between those of the app."""
    db.execute("INSERT OR IGNORE INTO guardian_source (id, release, instance) VALUES (7, '', ?)", (IMPORTED,))
    for minute in minutes:
        key = (minute * MINUTE_US + 7 << 10) + chance.randrange(1000)
        db.execute("INSERT OR IGNORE INTO guardian_request VALUES (?, 1, 1, 200, 5, NULL, NULL, 7)", (key,))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    before=st.lists(st.integers(-200, 110), max_size=4),
    steps=st.lists(st.tuples(st.lists(st.integers(0, 100), max_size=4), st.integers(0, 300)), min_size=1, max_size=6),
)
def test_beside_an_import_too_whatever_is_deleted_of_the_time_before(seed, before, steps):
    chance, stored, asked = random.Random(seed), 0, {"single_events": 3600}
    with tempfile.TemporaryDirectory() as folder:
        path, end = Path(folder) / "guardian.db", START + 120
        writer, store = Writer(str(path)), SqliteHistory(path)
        writer.write([event(START + minute, chance) for minute in before])
        imported(writer.db, range(START - 230, end, 31), chance)
        history = store.read(end - 120, end, imported=False, **asked)
        for late, kept in steps:
            end += 1
            writer.db.execute("DELETE FROM guardian_request WHERE id >> 10 < ?", ((end - 120 - kept) * MINUTE_US,))
            batch = [event(end - 1 - lag, chance) for lag in late]
            stored += len(batch)
            row = ("one", 0, end * MINUTE_US, stored, stored, 0, "1")
            writer.write(batch, heartbeat=lambda *_, row=row: row)
            imported(writer.db, (end - 1, end - 1 - chance.randrange(300)), chance)
            history = store.grown(history, end, keep=120, **asked)
            assert said(history, end) == said(store.read(end - 120, end, imported=False, **asked), end)
        writer.close()


@pytest.mark.parametrize("own_too", [True, False], ids=["with requests of the app", "without"])
def test_an_import_is_not_searched_each_minute_for_the_first_event_of_the_app(tmp_path, monkeypatch, own_too):
    path, chance, end = tmp_path / "guardian.db", random.Random(3), START + 120
    with closing(Writer(str(path))) as writer:
        imported(writer.db, range(START, end), chance)
        if own_too:
            writer.write([event(end - 2, chance)])
        store = SqliteHistory(path)
        history = store.read(end - 120, end, single_events=3600, imported=False)
        monkeypatch.setattr(sightings, "read_first_event", lambda *_: pytest.fail("it is searched"))
        grown = store.grown(history, end + 1, keep=120, single_events=3600)
        assert grown.first_event_us == history.first_event_us
        assert (grown.first_event_us is None) is not own_too

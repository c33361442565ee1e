"""Events into SQLite: numbers, sessions, late events, and what an event may not do to its batch."""

import itertools
import os
import sqlite3
from enum import IntEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.events import event as made
from tracker.event import ANONYMOUS, SESSION_GAP_US, Client, Failure
from tracker.sqlite import dictionaries
from tracker.sqlite.connection import connect
from tracker.sqlite.dictionaries import OTHER
from tracker.sqlite.keys import SEQUENCE_BITS
from tracker.sqlite.migrations import NewerDatabase, prepare
from tracker.sqlite.rows import BUCKET_US
from tracker.sqlite.writer import Writer, write_events

T = 1_700_000_100_000_000
MINUTE = 60_000_000
NOT_FOUND = Failure("HTTP 404", "Not Found")


def event(at_us=T, user="ada@example.com", **more):
    return made(at_us, user=user, **more)


@pytest.fixture
def writer(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"))
    yield writer
    writer.close()


def rows(db, sql):
    return db.execute(sql).fetchall()


def test_an_event_answers_from_the_published_tables(writer):
    failure = Failure("ValueError", "Internal Server Error", "app/chat.py:7 send")
    writer.write([event(status=500, duration_us=1_600, failure=failure)])
    assert rows(
        writer.db, "SELECT user_email, feature_name, endpoint, method, timestamp, success FROM feature_usage"
    ) == [("ada@example.com", "chat", "/chat", "GET", "2023-11-14T22:15:00.000000+00:00", 0)]
    assert rows(writer.db, "SELECT error_message, duration_ms, status_code FROM feature_usage") == [
        ("Internal Server Error", 2, 500)
    ]
    assert rows(writer.db, "SELECT user_email, error_type, error_code, stack_trace FROM user_errors") == [
        ("ada@example.com", "ValueError", 500, "app/chat.py:7 send")
    ]
    assert rows(writer.db, "SELECT user_email, session_start, session_end, duration_seconds FROM user_sessions") == [
        ("ada@example.com", "2023-11-14T22:14:59.998400+00:00", "2023-11-14T22:15:00.000000+00:00", 0)
    ]


@pytest.mark.parametrize("values", [999, 250_000])
def test_a_statement_holds_no_more_values_than_sqlite_takes(writer, values):
    writer.db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, values)
    batch = [
        event(T + n, user=f"user{n % 700}@example.com", latency_us=0, failure=NOT_FOUND if n == 7 else None)
        for n in range(1_500)
    ]
    assert writer.write(batch) == 1_500
    assert writer.write(batch) == 1_500  # each in the microsecond of another
    assert rows(writer.db, "SELECT count(*), count(DISTINCT id), max(id) >> 10 FROM guardian_request") == [
        (3_000, 3_000, T + 1_499)
    ]
    assert rows(writer.db, "SELECT count(*), count(DISTINCT user) FROM guardian_session") == [(700, 700)]


class Unlimited(sqlite3.Connection):
    """A connection that does not say how many values it takes, as those of pysqlite3."""

    @property
    def getlimit(self):
        raise AttributeError("getlimit")


def test_a_connection_that_does_not_say_how_many_values_it_takes_is_good_enough():
    db = sqlite3.connect(":memory:", isolation_level=None, factory=Unlimited)
    prepare(db)
    assert write_events(db, [event(T + n) for n in range(300)]) == 300


class Status(IntEnum):
    TEAPOT = 418


@pytest.mark.parametrize(
    "poison",
    [
        event(user="\ud800"),
        event(path="/\udcff"),
        event(failure=Failure("X", "\ud800")),
        event(user=None),
        event(user=7),
        event(user=b"ada@example.com"),
        event()._replace(endpoint=None),
        event(method=["GET"]),
        event(at_us=10**30),
        event(at_us=2**63 - 1),
        event(at_us=-1),
        event(at_us=float(T)),
        event(duration_us=-1),
        event(duration_us=10**30),
        event(status=10**30),
        event(status=-1),
        event(status="200"),
        event(status=None),
        event(failure=7),
        event(failure=("one",)),
        (1, 2),
        None,
    ],
    ids=repr,
)
def test_a_poison_event_costs_itself_and_not_its_batch(writer, poison):
    assert writer.write([event(T), poison, event(T + 1)]) == 2
    assert rows(writer.db, "SELECT count(*) FROM guardian_request") == [(2,)]


def test_a_status_of_an_enumeration_is_a_number(writer):
    assert writer.write([event(status=Status.TEAPOT, failure=NOT_FOUND)]) == 1
    assert rows(writer.db, "SELECT status, typeof(status) FROM guardian_request") == [(418, "integer")]


def test_ids_are_the_time_and_unique_within_a_microsecond(writer):
    writer.write([event(T) for _ in range(3)] + [event(T - 5)])
    ids = [number for (number,) in rows(writer.db, "SELECT id FROM guardian_request ORDER BY id")]
    assert ids == [T - 5 << 10, T << 10, (T << 10) + 1, (T << 10) + 2]


def test_more_events_than_a_microsecond_has_numbers_run_on_into_the_next(writer):
    assert writer.write([event(T) for _ in range(3_000)]) == 3_000
    assert rows(writer.db, "SELECT count(DISTINCT id), max(id) >> 10 FROM guardian_request") == [(3_000, T + 2)]


def test_two_processes_never_take_the_same_id(tmp_path):
    first, second = (Writer(str(tmp_path / "guardian.db")) for _ in range(2))
    for writer in (first, second, first):
        assert writer.write([event(T), event(T), event(T + 1)]) == 3
    assert rows(first.db, "SELECT count(*) FROM guardian_request") == [(9,)]
    assert rows(first.db, "SELECT count(*) FROM guardian_request WHERE id >> 10 = ?".replace("?", str(T + 1))) == [(3,)]


def test_meeting_another_process_in_a_microsecond_costs_a_batch_a_few_statements(tmp_path):
    first, second = (Writer(str(tmp_path / "guardian.db")) for _ in range(2))
    batch = [event(T + number) for number in range(400)]
    first.write(batch)
    statements = []
    second.db.set_trace_callback(statements.append)
    assert second.write(batch) == 400
    assert len(statements) < 30  # each hands the interpreter's lock to and fro with the host's event loop
    assert rows(first.db, "SELECT min(n), max(n) FROM (SELECT count(*) n FROM guardian_request GROUP BY id >> 10)") == [
        (2, 2)
    ]


def sessions(db):
    return rows(db, "SELECT user_email, start_us, end_us FROM guardian_session s JOIN "
                    "(SELECT id, email AS user_email FROM guardian_user) u ON u.id = s.user ORDER BY 1, 2")  # fmt: skip


@pytest.mark.parametrize(("gap", "count"), [(SESSION_GAP_US - 1, 1), (SESSION_GAP_US, 2)])
@pytest.mark.parametrize("batches", [1, 2])
def test_a_session_ends_where_nothing_happened_for_thirty_minutes(writer, gap, count, batches):
    first, second = event(T, duration_us=0), event(T + gap, duration_us=0)
    for batch in [[first, second]] if batches == 1 else [[first], [second]]:
        writer.write(batch)
    assert len(sessions(writer.db)) == count


def test_a_long_request_is_activity_from_its_start(writer):
    writer.write([event(T, duration_us=0)])
    writer.write([event(T + 5 * SESSION_GAP_US, duration_us=5 * SESSION_GAP_US)])
    assert sessions(writer.db) == [("ada@example.com", T, T + 5 * SESSION_GAP_US)]


def test_a_late_event_makes_one_session_of_two(writer):
    late = T + 29 * MINUTE
    writer.write([event(T, duration_us=0)])
    writer.write([event(T + 58 * MINUTE, duration_us=0)])
    assert len(sessions(writer.db)) == 2
    writer.write([event(late, duration_us=0)])
    assert sessions(writer.db) == [("ada@example.com", T, T + 58 * MINUTE)]


def test_nobody_in_particular_has_no_sessions(writer, monkeypatch):
    monkeypatch.setattr(dictionaries, "_CACHE_CAP", 1)
    writer.write([event(user=ANONYMOUS), event(user="ada@example.com"), event(user="bob@example.com")])
    assert [user for user, _, _ in sessions(writer.db)] == ["ada@example.com", "bob@example.com"]


visits = st.lists(
    st.tuples(
        st.integers(0, 600).map(lambda minute: T + minute * MINUTE),
        st.sampled_from(["ada@example.com", "bob@example.com", ANONYMOUS]),
        st.integers(0, 90).map(lambda minutes: minutes * MINUTE),
    ),
    max_size=30,
)


def expected_sessions(found):
    whole = []
    for user in sorted({user for _, user, _ in found} - {ANONYMOUS}):
        mine = []
        for start, end in sorted((at - took, at) for at, name, took in found if name == user):
            if mine and start - mine[-1][2] < SESSION_GAP_US:
                mine[-1] = (user, mine[-1][1], max(mine[-1][2], end))
            else:
                mine.append((user, start, end))
        whole += mine
    return whole


@settings(deadline=None, max_examples=60)
@given(visits, st.data())
def test_sessions_do_not_depend_on_the_order_nor_the_batches_nor_the_process(found, data):
    db = connect(":memory:")
    prepare(db)
    writers = [Writer(db), Writer(db)]
    left = data.draw(st.permutations(found))
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        data.draw(st.sampled_from(writers)).write([event(at, user, duration_us=took) for at, user, took in batch])
    assert sessions(db) == expected_sessions(found)
    db.close()


def rush(users=40, seconds=3.0, start=T):
    """As many events as come when a host is flooded: 2,000 a second."""
    return [
        event(start + n * 500, f"u{n * 7 % users}@example.com", duration_us=n % 900) for n in range(int(seconds * 2000))
    ]


def sessions_of(found):
    return expected_sessions([(each.at_us, each.user, each.duration_us) for each in found])


@pytest.mark.parametrize("end", ["a small batch", "a heartbeat", "a close", "a kill"])
def test_in_a_rush_sessions_wait_for_a_moment_and_are_those_of_the_events(tmp_path, end):
    found, path = rush(), str(tmp_path / "guardian.db")
    writer = Writer(path, rushing=True)
    for first in range(0, len(found), 1_500):
        writer.write(found[first : first + 1_500])
    assert sessions(writer.db) != sessions_of(found)
    if end == "a small batch":
        found.append(event(T + 4_000_000))
        writer.write(found[-1:])
    elif end == "a heartbeat":
        writer.write((), heartbeat=lambda stored, poison: ("one", 0, T, 1, 1, 0, "1"))
    elif end == "a close":
        writer.close()
        writer = Writer(path)
    else:
        writer.db.close()
        writer = Writer(path, rushing=True)
        writer.write(())
    assert sessions(writer.db) == sessions_of(found)
    writer.close()


def test_sessions_of_a_killed_process_are_stored_though_others_went_on(tmp_path):
    found, path = rush(seconds=0.6), str(tmp_path / "guardian.db")
    killed, other = Writer(path, rushing=True), Writer(path, rushing=True)
    killed.write([])
    other.write([])
    killed.write(found)
    killed.db.close()
    found.append(event(T + 9_000_000))
    other.write(found[-1:])
    next_one = Writer(path, rushing=True)
    next_one.write([])
    assert sessions(other.db) == sessions_of(found)
    assert not rows(other.db, "SELECT * FROM guardian_meta WHERE key LIKE 'sessions_put_off%'")
    other.close()
    next_one.close()


def test_in_a_rush_no_more_than_two_seconds_wait_and_nothing_late(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"), rushing=True)
    found = rush(seconds=10)
    for first in range(0, len(found), 1_000):
        writer.write(found[first : first + 1_000])
        stored = max((end for _, _, end in sessions(writer.db)), default=0)
        assert found[min(first + 999, len(found) - 1)].at_us - max(stored, T) <= 2_000_000
    late = [*rush(seconds=0.6, start=found[-1].at_us), event(T - 3 * SESSION_GAP_US, "late@example.com")]
    writer.write(late)
    assert sessions(writer.db) == sessions_of([*found, *late])
    writer.close()


def test_what_waits_of_somebody_who_is_erased_meanwhile_is_forgotten(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"), rushing=True)
    writer.write([])
    writer.write(rush(seconds=0.6))
    writer.db.execute("UPDATE guardian_user SET email = 'erased-0123456789abcdef' WHERE email = 'u7@example.com'")
    writer.db.execute("UPDATE guardian_user SET email = 'erased-mike' WHERE email = 'u8@example.com'")
    writer.db.execute("REPLACE INTO guardian_meta VALUES ('dictionary_epoch', 'another')")
    writer.write([])
    known = {f"u{n}@example.com" for n in range(40) if n not in (7, 8)}
    assert {user for user, _, _ in sessions(writer.db)} == {*known, "erased-mike"}
    writer.close()


def test_a_batch_that_fails_in_a_rush_leaves_nothing_of_itself(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"), rushing=True)
    found = rush(seconds=0.6)
    writer.write(found)

    def fails(stored, poison):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        writer.write(rush(users=5, start=T + 700_000, seconds=0.6), heartbeat=fails)
    writer.write([])
    assert sessions(writer.db) == sessions_of(found)
    writer.close()


def everything(db):
    """What a batch leaves behind."""
    late = rows(db, "SELECT start_us, count FROM guardian_late ORDER BY 1")
    stale = rows(db, "SELECT start_us FROM guardian_dirty ORDER BY 1")
    return rows(db, "SELECT * FROM feature_usage ORDER BY CAST(id AS INTEGER)"), sessions(db), late, stale


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.builds(
            event,
            st.integers(0, 9).map(lambda n: T + n % 3 * 20 * MINUTE + n % 2),
            st.sampled_from(["ada@example.com", "bob@example.com", ANONYMOUS, "a lone \ud800"]),
            failure=st.sampled_from([None, NOT_FOUND]),
            latency_us=st.sampled_from([None, 1]),
        ),
        max_size=30,
    ),
    st.integers(1, 5),
)
def test_a_batch_in_parts_leaves_what_the_batch_at_once_leaves(found, size):
    stored, pauses = [], []
    hurry = itertools.cycle([True, True, False])
    for between in (None, lambda: pauses.append(1) or True, lambda: next(hurry)):
        db = connect(":memory:")
        prepare(db)
        db.execute("INSERT INTO guardian_meta VALUES ('sealed_until_us', ?)", (T + 20 * MINUTE,))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tracker.sqlite.batch.ROWS", 2 * size)
            patch.setattr("tracker.sqlite.batch.PIECE", size)
            patch.setattr("tracker.sqlite.sessions.ROWS", 2 * size)
            patch.setattr("tracker.sqlite.dictionaries.PIECE", size)
            patch.setattr("tracker.sqlite.sessions.PIECE", size)
            beat = ("one", 0, T + 30 * MINUTE, 1, 1, 0, "1")
            number = Writer(db).write(found, heartbeat=lambda *counts, beat=beat: beat, between=between)
        stored.append((number, everything(db)))
        db.close()
    assert stored[0] == stored[1] == stored[2]
    assert len(pauses) >= max(0, (len(found) - 1) // (2 * size))


@pytest.mark.parametrize(
    ("number", "users", "more", "parts"),
    [
        (4_096, 1, [], 1),  # a recorder's usual batch: each part more holds up all requests once more
        (4_097, 1, [], 2),
        (4_096, 100, [], 1),
        (4_098, 4_098, [], 1 + 1 + 1 + 31),  # of the events, of the sessions, and of the people who are new
        (299, 1, [event(T, "a lone \ud800")], 3),  # of the events, one by one
        (299, 1, [event(T, "ada@example.com")._replace(client=Client("192.0.2.1"))], 3),
    ],
)
def test_a_large_batch_and_the_sessions_of_many_are_done_in_parts(writer, number, users, more, parts):
    pauses = []
    found = [event(T + n, f"u{n % users}@example.com") for n in range(number)]
    writer.write(found + more, between=lambda: pauses.append(1) or True)
    assert len(pauses) == parts - 1


def test_who_has_several_sessions_is_looked_at_one_by_one_in_parts(writer):
    pauses = []
    found = [event(T + hour * 60 * MINUTE + n, f"u{n}@example.com") for hour in (0, 1) for n in range(300)]
    writer.write(found, between=lambda: pauses.append(1) or True)
    assert len(pauses) == 2 + 2  # and to look up who they are
    assert sessions(writer.db) == sessions_of(found)


def test_what_is_left_of_a_batch_is_done_at_once_as_soon_as_there_is_hurry(writer):
    asked = []
    writer.write(
        [event(T + n, "ada@example.com") for n in range(9_000)], between=lambda: asked.append(1) or len(asked) < 2
    )
    assert len(asked) == 2


def test_a_batch_that_fails_between_two_parts_leaves_nothing_and_can_be_tried_again(writer):
    found = [event(T + n, f"u{n % 99}@example.com") for n in range(4_200)]

    def fails():
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError):
        writer.write(found, between=fails)
    assert rows(writer.db, "SELECT count(*) FROM guardian_request") == [(0,)]
    assert writer.write(found, between=lambda: True) == 4_200
    assert sessions(writer.db) == sessions_of(found)


def test_an_event_older_than_the_seal_marks_its_bucket(writer):
    bucket = T // BUCKET_US * BUCKET_US
    writer.db.execute("INSERT INTO guardian_meta VALUES ('sealed_until_us', ?)", (bucket + BUCKET_US,))
    writer.write([event(bucket), event(bucket + 1), event(bucket - 1), event(bucket + BUCKET_US)])
    assert rows(writer.db, "SELECT start_us FROM guardian_dirty ORDER BY 1") == [(bucket - BUCKET_US,), (bucket,)]


def test_an_event_in_time_marks_nothing(writer):
    writer.db.execute("INSERT INTO guardian_meta VALUES ('sealed_until_us', ?)", (T // BUCKET_US * BUCKET_US,))
    writer.write([event(T)])
    assert rows(writer.db, "SELECT * FROM guardian_dirty") == []


def test_someone_erased_by_another_process_is_a_new_user_afterwards(tmp_path):
    writer, other = (Writer(str(tmp_path / "guardian.db")) for _ in range(2))
    writer.write([event()])
    other.db.execute("UPDATE guardian_user SET email = 'erased-1'")
    other.db.execute("INSERT INTO guardian_meta VALUES ('dictionary_epoch', 'x')")
    writer.write([event(T + 1)])
    assert rows(writer.db, "SELECT user_email FROM feature_usage ORDER BY id") == [("erased-1",), ("ada@example.com",)]


def test_routes_and_failures_beyond_the_cap_share_one_name(writer, monkeypatch):
    monkeypatch.setattr(dictionaries, "ROUTE_CAP", 3)
    monkeypatch.setattr(dictionaries, "FAILURE_CAP", 2)
    for number in range(10):
        writer.write([event(T + number, path=f"/{number}", failure=Failure(f"Error{number}", "m"))])
    assert [name for (name,) in rows(writer.db, "SELECT endpoint FROM guardian_route")] == ["/0", "/1", "/2", OTHER]
    assert [name for (name,) in rows(writer.db, "SELECT kind FROM guardian_failure")] == ["Error0", "Error1", OTHER]
    assert rows(writer.db, "SELECT count(*) FROM guardian_request") == [(10,)]


def test_a_batch_that_fails_leaves_nothing_and_can_be_tried_again(writer):
    writer.db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON guardian_request BEGIN SELECT RAISE(FAIL, 'disk full'); END"
    )
    with pytest.raises(sqlite3.Error):
        writer.write([event(), event(T + 1, user="bob@example.com")])
    assert rows(writer.db, "SELECT count(*) FROM guardian_user") == [(0,)]
    writer.db.execute("DROP TRIGGER full")
    assert writer.write([event(), event(T + 1, user="bob@example.com")]) == 2


def test_a_heartbeat_is_written_with_the_batch_and_alone(writer):
    def heartbeat(stored, poison):
        return ("host:1", T, T, 10, stored, poison, "0.1.0")

    writer.write([event(), event(user=None)], heartbeat=heartbeat)
    assert rows(writer.db, "SELECT stored, dropped FROM guardian_recorder") == [(1, 1)]
    writer.write([], heartbeat=heartbeat)
    assert rows(writer.db, "SELECT stored, dropped FROM guardian_recorder") == [(0, 0)]


def test_events_can_be_written_through_a_connection_of_the_callers(tmp_path):
    db = connect(str(tmp_path / "guardian.db"))
    prepare(db)
    assert write_events(db, []) == 0
    assert write_events(db, iter([event(T + 5), event(T)])) == 2
    assert [number >> SEQUENCE_BITS for (number,) in rows(db, "SELECT id FROM guardian_request")] == [T, T + 5]
    db.close()


def test_a_database_at_the_end_of_a_link_that_leads_to_nothing_yet_is_closed_to_others_too(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "made.db")
    before = os.umask(0o022)
    try:
        Writer(str(tmp_path / "link.db")).close()
    finally:
        os.umask(before)
    assert (tmp_path / "made.db").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("umask, mode", [(0o022, 0o640), (0o007, 0o660), (0o077, 0o600), (0, 0o660)])
def test_a_database_that_is_made_is_closed_to_others_and_one_that_is_there_keeps_its_mode(tmp_path, umask, mode):
    made, shared = tmp_path / "made.db", tmp_path / "shared.db"
    shared.touch()
    shared.chmod(0o664)
    before = os.umask(umask)
    try:
        for path, expected in ((made, mode), (shared, 0o664)):
            writer = Writer(str(path))
            writer.write([event()])
            files = [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
            assert [file.stat().st_mode & 0o777 for file in files] == [expected] * 3
            writer.close()
    finally:
        os.umask(before)


def test_a_newer_database_is_refused_and_left_alone(tmp_path):
    path = str(tmp_path / "guardian.db")
    Writer(path).close()
    db = connect(path)
    db.execute("INSERT INTO guardian_meta VALUES ('least_format', 99)")
    db.close()
    with pytest.raises(NewerDatabase, match="upgrade usage-guardian"):
        Writer(path)


def test_what_a_newer_version_has_only_added_does_not_stop_an_older_one(tmp_path):
    path = str(tmp_path / "guardian.db")
    Writer(path).close()
    db = connect(path)
    db.execute("INSERT INTO guardian_migration VALUES ('events/9999_future', '2030-01-01')")
    db.execute("ALTER TABLE guardian_request ADD COLUMN later TEXT")
    db.execute("ALTER TABLE guardian_recorder ADD COLUMN later TEXT")
    db.close()
    writer = Writer(path)
    assert writer.write([event()], heartbeat=lambda stored, poison: ("host:1", 0, 0, 1, 1, 0, "0.2")) == 1
    writer.close()


def test_a_name_in_lower_case_goes_on_until_a_second_spelling_comes(tmp_path):
    path = str(tmp_path / "guardian.db")
    writer = Writer(path)
    writer.write([event(user="alice")])
    # As version 0.1 left it, which stored every name in lower case.
    writer.db.execute("INSERT INTO guardian_spelling SELECT id, NULL FROM guardian_user WHERE email = 'alice'")
    writer.close()
    writer = Writer(path)
    writer.write([event(user="Alice")])
    assert rows(writer.db, "SELECT email FROM guardian_user") == [("alice",)]
    writer.write([event(user="ALICE"), event(user="Alice")])
    writer.close()
    writer = Writer(path)
    writer.write([event(user="Alice")])
    named = "SELECT u.email, count(*) FROM guardian_request e JOIN guardian_user u ON u.id = e.user GROUP BY 1"
    assert rows(writer.db, named) == [("ALICE", 1), ("Alice", 2), ("alice", 2)]


def test_opening_a_database_that_is_there_writes_nothing_and_waits_for_nobody(writer, tmp_path):
    writer.write([event()])
    log = tmp_path / "guardian.db-wal"
    before = log.read_bytes()
    writer.db.execute("BEGIN IMMEDIATE")
    other = connect(str(tmp_path / "guardian.db"), timeout=0.0)
    assert (log.read_bytes(), rows(other, "PRAGMA auto_vacuum")) == (before, [(2,)])
    other.close()
    writer.db.execute("ROLLBACK")

"""An imported past in every kind of database: once, whatever is repeated or killed, and never for the app's own."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.importing import run
from guardian.application.importing.run import Wanted, import_into
from guardian.application.moving.copying import copied_events, copy_tables
from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.stores.firestore import sealing
from guardian.stores.firestore.documents import Documents
from guardian.stores.importing import STRETCH_US
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event
from tests.support.firestore import address_in
from tests.support.memory import Database
from tests.support.memory_imports import MemoryBackend
from tracker.event import Failure

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "memory", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
def database(request, tmp_path):
    """A kind of database at one address, where nothing is yet."""
    if request.param == "memory":
        return MemoryBackend(Database())
    return backend(tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path))


def line(number, *, user="frank@example.com", target="/api/threads/{}", status=200):
    at = NOW - timedelta(minutes=90) + timedelta(seconds=number)
    return (
        f'10.9.8.7 - {user} [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET {target.format(number)} HTTP/1.1" {status} 5 "-" "x"\n'
    )


@pytest.fixture
def importing(database, tmp_path):
    """Imports these lines as a file each; what came of it."""

    def imported(*texts, dry_run=False, now=NOW):
        files = []
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.log").write_text(text)
            files.append(str(tmp_path / f"{number}.log"))
        wanted = Wanted(files=files, zone=UTC, now_us=micros(now))
        return import_into(database, wanted, lambda *_: None, lambda: None, dry_run=dry_run)

    return imported


def with_events(database, work):
    """What `work` gives, on the events of a database."""

    async def opened():
        store = await database.open_events(NO_BOOK)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def stored(database):
    async def read(store):
        pieces = [piece async for piece in store.events(NOW - 40 * DAY, NOW + DAY)]
        return [(event.user, event.endpoint, event.status) for piece in pieces for event in piece]

    return with_events(database, read)


def test_what_was_imported_is_in_the_events_and_in_the_totals(database, importing):
    outcome = importing(line(1), line(2, user="-", status=500) + "garbage\n")
    assert (outcome.imported, outcome.bad, outcome.anonymous) == (2, 1, 1)
    assert stored(database) == [
        ("frank@example.com", "/api/threads/{id}", 200),
        ("anonymous", "/api/threads/{id}", 500),
    ]
    summary = with_events(database, lambda store: store.summary(NOW - timedelta(hours=3), NOW))
    assert summary.requests == 2


def test_an_import_knows_when_recording_began_and_what_retention_has_passed(database, importing):
    store = database.imports()
    assert (store.recorded_since_us(), store.purged_until_us()) == (None, 0)
    store.close()
    importing(line(1) + line(400))
    first, own = NOW - DAY, NOW - timedelta(minutes=5)
    with_events(database, lambda events: events.write([event(first), event(own)]))
    with_events(database, lambda events: events.purge(events_before=NOW - DAY / 2, summaries_before=NOW - 9 * DAY))
    store = database.imports()
    assert store.recorded_since_us() == micros(own)
    assert store.purged_until_us() == micros(NOW - DAY / 2)
    store.close()
    store.close()


def test_the_marks_of_lines_are_found_by_the_five_minutes_they_are_of(database, importing):
    importing(line(1) + line(1) + line(400))
    store = database.imports()
    begins = micros(NOW - timedelta(minutes=90))
    marks = [store.marks(begins + n * STRETCH_US) for n in range(3)]
    assert [len(each) for each in marks] == [2, 1, 0]
    assert marks[0][0] == marks[0][1] != marks[1][0]
    assert 16 <= len(store.key) <= 64
    store.close()


def test_the_same_file_twice_a_grown_one_and_overlapping_ones_add_nothing_twice(database, importing):
    whole = [line(100 * number) for number in range(12)]
    assert importing("".join(whole[:6])).imported == 6
    assert importing("".join(whole[:6])).known == 6
    assert importing("".join(whole[3:]), "".join(whole)).imported == 6
    assert len(stored(database)) == 12


def test_two_equal_lines_of_one_file_are_two_requests(database, importing):
    assert importing(line(1) * 2).imported == 2
    assert importing(line(1) * 3).imported == 1


def test_a_dry_run_stores_nothing_and_knows_what_is_there(database, importing):
    assert importing(line(1), dry_run=True).imported == 1
    assert not database.exists()
    importing(line(1))
    assert importing(line(1) + line(2), dry_run=True).known == 1
    assert len(stored(database)) == 1


def test_what_the_app_recorded_itself_is_not_imported_again_and_rules_see_that_alone(database, importing):
    at = NOW - timedelta(minutes=89)
    own = event(at, user="frank@example.com", feature="a", status=500, duration_us=1, failure=Failure("E", "", ""))
    with_events(database, lambda store: store.write([own]))
    outcome = importing(line(1, status=500) + line(59, status=500) + line(60) + line(70))
    assert (outcome.imported, outcome.recorded) == (2, 2)
    past = database.history(NO_BOOK)
    first, end = MINUTE - 120, MINUTE
    assert past.first_event() == micros(NOW - timedelta(minutes=90, seconds=-1))
    for singles in (7200, 600):
        assert past.read(first, end, single_events=singles).counts.requests(first, end) == 3
        live = past.read(first, end, single_events=singles, imported=False)
        assert live.counts.requests(first, end) == 1
        assert live.first_event_us == micros(at)
        assert {what[0] for what in live.first_seen} == {"E"}
        assert len(live.columns) == (1 if singles == 7200 else 0)
        assert past.grown(live, end, keep=120, single_events=singles).counts.requests(first, end) == 1


def test_rules_that_run_do_not_see_a_past_that_is_imported_meanwhile(database, importing):
    own = event(NOW - timedelta(minutes=5), user="frank@example.com", feature="a", duration_us=1)
    with_events(database, lambda store: store.write([own]))
    past = database.history(NO_BOOK)
    live = past.read(MINUTE - 60, MINUTE - 1, single_events=3600, imported=False)
    importing(line(3600, status=500))  # half an hour ago
    grown = past.grown(live, MINUTE, keep=60, single_events=3600)
    assert (grown.counts.requests(MINUTE - 60, MINUTE), grown.first_event_us) == (1, own.at_us)


def test_lines_of_a_time_that_retention_has_deleted_stay_out(database, importing):
    importing(line(1) + line(4000))

    async def purge(store):
        return await store.purge(events_before=NOW - timedelta(hours=1), summaries_before=NOW - 900 * DAY)

    assert with_events(database, purge) == 1
    again = importing(line(1) + line(4000))
    assert (again.imported, again.old, again.known) == (0, 1, 1)


@pytest.mark.needs_firestore
@pytest.mark.parametrize("fails_at", [2, 3, 5])
def test_an_import_that_was_broken_off_is_finished_by_the_next_one(tmp_path, importing, monkeypatch, fails_at):
    database = backend(address_in(tmp_path))
    monkeypatch.setattr(run, "BATCH", 40)
    whole = "".join(line(7 * number) for number in range(400))
    commit, calls = Documents.commit, [0]

    def failing(self, changes):
        calls[0] += 1
        if calls[0] == fails_at:
            raise StorageError("away")
        return commit(self, changes)

    wanted = Wanted(files=[str(tmp_path / "0.log")], zone=UTC, now_us=micros(NOW))
    (tmp_path / "0.log").write_text(whole)
    monkeypatch.setattr(Documents, "commit", failing)
    monkeypatch.setattr("guardian.stores.firestore.documents._CHANGES", 4)
    with pytest.raises(StorageError, match="away"):
        import_into(database, wanted, lambda *_: None, lambda: None, dry_run=False)
    done = import_into(database, wanted, lambda *_: None, lambda: None, dry_run=False)
    assert done.imported + done.known == len(stored(database)) == 400
    assert done.known == (0 if fails_at == 2 else pytest.approx(200, abs=200))


@pytest.mark.needs_firestore
def test_a_long_past_is_sealed_in_several_goes_and_counts_whole_meanwhile(tmp_path, monkeypatch):
    """What was sealed lately stands in one document, which holds a MiB."""
    database = backend(address_in(tmp_path))
    monkeypatch.setattr(sealing, "MOST_LATELY", 6)
    (tmp_path / "0.log").write_text("".join(line(-86_400 * day) for day in range(12, -1, -1)))
    wanted = Wanted(files=[str(tmp_path / "0.log")], zone=UTC, now_us=micros(NOW))
    import_into(database, wanted, lambda *_: None, lambda: None, dry_run=False)

    async def look(store):
        await store.seal(NOW)
        return (await store.summary(NOW - 30 * DAY, NOW)).requests, len((await store.stats()).totals_since.isoformat())

    assert with_events(database, look)[0] == 13
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    for _ in range(3):
        assert with_events(database, look)[0] == 13


@pytest.mark.needs_firestore
@pytest.mark.parametrize("to_firestore", [True, False], ids=["into Firestore", "into a file"])
def test_after_a_move_the_same_log_adds_nothing_and_rules_see_the_apps_own_alone(tmp_path, to_firestore):
    places = [backend(tmp_path / "guardian.db"), backend(address_in(tmp_path))]
    source, target = places if to_firestore else places[::-1]
    own = event(NOW - timedelta(minutes=5), user="frank@example.com", feature="a", duration_us=1)
    with_events(source, lambda store: store.write([own]))
    wanted = Wanted(files=[str(tmp_path / "0.log")], zone=UTC, now_us=micros(NOW))
    (tmp_path / "0.log").write_text("".join(line(200 * number) for number in range(12)) + line(1) * 2)
    import_into(source, wanted, lambda *_: None, lambda: None, dry_run=False)

    async def move():
        opened = [await place.open(NO_BOOK) for place in (source, target)]
        one, two = source.moving(), target.moving()
        for late in (False, True):
            if late:
                list(copied_events(one, two, anew=False))
            copy_tables(one, two, late=late, progress=lambda done: None)
        for each in (*opened, one, two):
            closing = each.close()
            if closing is not None:
                await closing

    asyncio.run(move())
    again = import_into(target, wanted, lambda *_: None, lambda: None, dry_run=False)
    assert (again.imported, again.known) == (0, 14)
    assert len(stored(target)) == 15
    live = target.history(NO_BOOK).read(MINUTE - 120, MINUTE, single_events=600, imported=False)
    assert (live.counts.requests(MINUTE - 120, MINUTE), live.first_event_us) == (1, own.at_us)

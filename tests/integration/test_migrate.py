"""Everything that a database keeps is moved into another one, of its kind or not, and is the same there."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from random import Random

import pytest

from guardian.application.moving import comparing
from guardian.application.moving.run import ASKED, move
from guardian.application.root import LEASE
from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.draft import MARK, PARTS
from guardian.stores.moving import STRETCH_US, TABLES, Recorded
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from guardian.stores.sqlite.events import SqliteRepository
from guardian.stores.sqlite.moving import SqliteMoving
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.moving import DAY, HOUR, NOW, fill, looks_as_filled
from tests.support.waiting import until
from tracker.firestore.address import parse
from tracker.pseudonyms import make_key
from tracker.source import Source

PAIRS = [
    "sqlite-sqlite",
    pytest.param("sqlite-firestore", marks=pytest.mark.needs_firestore),
    pytest.param("firestore-sqlite", marks=pytest.mark.needs_firestore),
]
TTL = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    monkeypatch.setattr(comparing, "WINDOWS", 5)


@pytest.fixture(params=PAIRS)
def pair(request, tmp_path):
    return [
        tmp_path / f"{n}.db" if kind == "sqlite" else address_in(tmp_path / str(n))
        for n, kind in enumerate(request.param.split("-"))
    ]


@pytest.fixture
def files(tmp_path):
    return [tmp_path / "0.db", tmp_path / "1.db"]


@asynccontextmanager
async def opened(database):
    stores = await backend(database).open(NO_BOOK)
    try:
        yield stores
    finally:
        await stores.close()


def silent(what, done):
    """Nobody looks."""


async def moved(pair, **values):
    return await move(*pair, progress=silent, clock=lambda: NOW, random=Random(7), **values)


async def test_everything_is_the_same_on_the_other_side_and_a_second_run_adds_nothing(pair):
    await fill(pair[0])
    told = []
    outcome = await move(*pair, progress=lambda *each: told.append(each), clock=lambda: NOW, random=Random(7))
    assert outcome.differences == []
    assert outcome.windows == 5
    assert outcome.requests > 50 < outcome.summaries
    assert outcome.waiting == 5
    assert {"outbox", "period", "report", "incident", "person", "tombstone", "used_link"} <= set(outcome.rows)
    assert ASKED in outcome.left
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1][1] == 1.0

    again = await moved(pair)
    assert again.resumed
    assert (again.rows, again.requests, again.summaries, again.differences) == ({}, 0, 0, [])

    async with opened(pair[1]) as stores:
        await looks_as_filled(stores)


async def test_events_of_clocks_that_were_wrong_come_too(files):
    async with opened(files[0]) as stores:
        moments = NOW.replace(year=1970), NOW - HOUR, NOW.replace(year=2226)
        await stores.events.write([*map(made, moments)])
    outcome = await moved(files)
    assert (outcome.requests, outcome.windows, outcome.differences) == (3, 5, [])


async def test_what_comes_to_the_source_meanwhile_comes_with_the_next_run(pair):
    await fill(pair[0], many=100)
    await moved(pair)
    async with opened(pair[0]) as stores:
        late = made(NOW - HOUR, user="new@example.com")
        await stores.events.write([late])
        await stores.state.forget("bob@example.com", buried_at=NOW)
        await stores.events.erase_user("bob@example.com")
        [waiting] = [item for item in await stores.state.outbox() if item.message.key == "waiting"]
        await stores.state.drop(waiting.id, NOW)
    again = await moved(pair)
    assert again.differences == []
    async with opened(pair[1]) as stores:
        assert dict(await stores.events.names()).keys() == {"ada@example.com", "Cyd", "new@example.com"}
        assert (await stores.state.outbox_item(waiting.id)).status == "dropped"
        summary = await stores.events.summary(NOW - 7 * DAY, NOW)
        assert summary.users["new@example.com"].requests == 1
        assert "bob@example.com" not in str(await stores.events.summary(NOW - 9 * DAY, NOW))


async def test_each_day_is_summed_up_as_soon_as_it_is_there(files, monkeypatch):
    await fill(files[0], many=300)
    monkeypatch.setattr("guardian.application.moving.copying._STRETCHES", 10)
    sealed, seal = [], SqliteRepository.seal

    async def noted(self, now):
        sealed.append(now)
        return await seal(self, now)

    monkeypatch.setattr(SqliteRepository, "seal", noted)
    assert (await moved(files)).differences == []
    days = sealed[: sealed.index(NOW)]
    assert len(days) >= 3
    assert days == sorted(days)


@pytest.mark.needs_firestore
async def test_of_a_long_message_that_got_shorter_or_went_meanwhile_no_part_is_left_in_firestore(tmp_path):
    pair = [tmp_path / "0.db", address_in(tmp_path)]
    await fill(pair[0], many=20)
    await moved(pair)
    documents = Documents(parse(pair[1]))
    assert len(documents.query(PARTS)) == 3 + 2  # of a message and of a report
    assert all(MARK in each.fields for each in documents.query(PARTS))
    source = backend(pair[0]).moving()
    [long] = [row for rows in source.rows("outbox") for row in rows if row["key"] == "long"]
    source.put("outbox", [{**long, "body": Random(5).randbytes(700_000)}])
    source.delete("report", [(1,)])
    source.close()
    assert (await moved(pair)).differences == []
    assert len(documents.query(PARTS)) == 2


async def test_pseudonyms_stay_as_they_are_and_where_their_key_lies_is_said(files):
    make_key(files[0])
    async with opened(files[0]) as stores:
        await stores.events.write([made(NOW, user="p-0123456789abcdef", path="/", feature="x", duration_us=1)])
    outcome = await moved(files)
    assert outcome.differences == []
    assert f"the key of the pseudonyms, {files[0]}.pseudonyms: copy it beside the new file" in outcome.left
    async with opened(files[1]) as stores:
        assert dict(await stores.events.names()).keys() == {"p-0123456789abcdef"}


async def test_a_dry_run_counts_and_writes_nothing(files):
    await fill(files[0], many=100)
    outcome = await moved(files, dry_run=True)
    assert outcome.rows["outbox"] == 7
    assert outcome.requests > 20 < outcome.summaries
    assert not files[1].exists()


@pytest.mark.parametrize("side", [0, 1])
async def test_while_a_daemon_leads_on_either_side_nothing_is_moved(files, side):
    await fill(files[0], many=20)
    async with opened(files[side]) as stores:
        await stores.state.acquire_lease(LEASE, "host/1/a", NOW, TTL)
        for dry_run in (True, False):
            with pytest.raises(StorageError, match=r"a daemon leads on .*db: stop 'guardian run' there"):
                await moved(files, dry_run=dry_run)
        await stores.state.release_lease(LEASE, "host/1/a")
    assert (await moved(files)).differences == []


async def test_a_daemon_that_is_started_meanwhile_stands_by(files, monkeypatch):
    await fill(files[0], many=20)
    tried = []

    async def compare(source, target, **values):
        for side in (source, target):
            tried.append(await side.stores.state.acquire_lease(LEASE, "host/1/a", NOW, TTL))
        return 0, []

    monkeypatch.setattr("guardian.application.moving.run.compare", compare)
    await moved(files)
    assert tried == [None, None]
    async with opened(files[1]) as stores:
        assert await stores.state.acquire_lease(LEASE, "host/1/a", NOW, TTL)


async def test_a_move_that_is_stopped_ends_what_it_writes_and_gives_the_lead_back(files, monkeypatch):
    await fill(files[0], many=300)
    monkeypatch.setattr("guardian.application.moving.copying._STRETCHES", 2)
    task, replace, closed = None, SqliteMoving.replace, []

    def slow(self, stretches):
        loop.call_soon_threadsafe(task.cancel)
        until(task.cancelling)
        closed.append(self._db.in_transaction)
        replace(self, stretches)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(SqliteMoving, "replace", slow)
    task = asyncio.ensure_future(moved(files))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [False]
    monkeypatch.undo()
    for file in files:
        async with opened(file) as stores:
            assert not await stores.state.lease_held(LEASE, NOW, TTL)
    assert (await moved(files)).differences == []


async def test_a_target_that_holds_anything_else_is_refused(files):
    await fill(files[0], many=20)
    async with opened(files[1]) as stores:
        await stores.events.write([made(NOW, user="x@example.com", path="/", feature="x", duration_us=1)])
    with pytest.raises(StorageError, match="holds the names of people already, which no move has put there"):
        await moved(files)


async def test_a_target_that_was_moved_to_from_elsewhere_is_refused(files, tmp_path):
    other = tmp_path / "other.db"
    await fill(files[0], many=20)
    await fill(other, many=20)
    await moved(files)
    with pytest.raises(StorageError, match=r"1\.db holds what was moved from .*0\.db: name a database that is empty"):
        await moved([other, files[1]])


async def test_a_target_that_somebody_has_begun_to_work_with_is_not_written_over(files):
    await fill(files[0], many=20)
    await moved(files)
    async with opened(files[1]) as stores:
        await stores.state.acquire_lease(LEASE, "host/1/a", NOW, TTL)
        await stores.state.release_lease(LEASE, "host/1/a")
    with pytest.raises(StorageError, match="was in use since everything was moved there"):
        await moved(files)


async def test_a_database_is_not_moved_into_itself_nor_one_that_is_not_there(files):
    with pytest.raises(StorageError, match=r"there is no database .*0\.db that could be moved"):
        await moved(files)
    await fill(files[0], many=20)
    with pytest.raises(StorageError, match="cannot be moved into itself"):
        await moved([files[0], files[0]])


async def test_what_is_not_the_same_is_named_and_nobody_with_it(files, monkeypatch):
    await fill(files[0], many=100)

    async def spoiled(self, now):
        moving = backend(files[1]).moving()
        moving.put("outbox", [{**row, "subject": "other"} for rows in moving.rows("outbox") for row in rows][:2])
        moving.delete("unsubscribed", [("daily", "bob@example.com")])
        start = max(moving.stretches())
        moving.replace({start: moving.events([start])[start][1:]})
        moving.close()

    monkeypatch.setattr("guardian.stores.sqlite.events.SqliteRepository.seal", spoiled)
    outcome = await moved(files)
    said = "\n".join(outcome.differences)
    assert "outbox: 2 other" in said
    assert "unsubscribed: 1 missing" in said
    assert "requests: the 5 minutes from 2026-03-1" in said
    assert "the report on 2026-03-1" in said
    assert "@" not in said


async def test_an_imported_past_stays_one_and_no_line_of_it_is_taken_again(pair):
    async with opened(pair[0]) as stores:
        await stores.events.write([made(NOW, path="/", feature="x", duration_us=1)])
    start = micros(NOW - HOUR) // STRETCH_US * STRETCH_US
    imports = backend(pair[0]).imports()
    past = [made(start + n, user="old@example.com", path="/", feature="x", duration_us=1) for n in (5, 6)]
    assert imports.add(past, {start: [7, 2**63 + 1]}) == 2
    imports.close()
    for _ in range(2):
        assert (await moved(pair)).differences == []
    again = backend(pair[1]).imports()
    assert (again.key, sorted(again.marks(start))) == (imports.key, [7, 2**63 + 1])
    assert again.recorded_since_us() == micros(NOW)
    again.close()
    minute = micros(NOW) // 60_000_000
    past = backend(pair[1]).history(NO_BOOK)
    counts = [
        past.read(minute - 120, minute + 1, single_events=7200, imported=imported).counts for imported in (True, False)
    ]
    assert [each.requests(minute - 120, minute + 1) for each in counts] == [3, 1]


async def test_releases_and_instances_come_along(pair):
    async with opened(pair[0]):
        moving = backend(pair[0]).moving()
    start = micros(NOW) // 300_000_000 * 300_000_000
    event = made(start + 5, duration_us=3)
    made_by = [Source("v1", "a"), Source("v2", "a"), None]
    moving.replace({start: [Recorded(event._replace(at_us=start + 5 + n), each) for n, each in enumerate(made_by)]})
    moving.put("release", [{"release": "v1", "first_us": start}, {"release": "v2", "first_us": start + 6}])
    moving.close()
    assert (await moved(pair)).differences == []
    moving = backend(pair[1]).moving()
    assert [each.source for each in moving.events([start])[start]] == made_by
    moving.close()
    assert [each.release for each in backend(pair[1]).history(NO_BOOK).releases(start, start + 100)] == ["v2"]


MADE_ANEW = {
    "guardian_meta", "guardian_lease", "guardian_asked", "guardian_unsettled", "guardian_dirty", "guardian_late",
    "guardian_migration", "guardian_spelling", "guardian_day_mark",
}  # fmt: skip
"""Tables of a file that are of no use elsewhere, or are made of the others."""
MOVED_AS_EVENTS = {
    "guardian_request", "guardian_route", "guardian_failure", "guardian_source", "guardian_session",
    "guardian_session_client", "guardian_user", "guardian_recorder", "guardian_seal",
}  # fmt: skip


async def test_a_table_that_is_new_in_a_file_is_not_forgotten(files):
    async with opened(files[0]):
        pass
    with closing(sqlite3.connect(files[0])) as db:
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    there = {name for name in there if name.startswith("guardian_")}
    rows = {name.replace("guardian_", "").removesuffix("s") for name in there - MADE_ANEW - MOVED_AS_EVENTS}
    assert rows - {"recorder_note", "imported"} <= {*TABLES}

"""How many documents of Firestore are read: each costs, so it must not grow with the traffic."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.wanted import Wanted
from guardian.stores.firestore import history as history_module
from guardian.stores.firestore import moving_events, sealing, writing
from guardian.stores.firestore.documents import SECONDS, Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.history import FirestoreHistory
from guardian.stores.firestore.moving import FirestoreMoving
from guardian.stores.moving import STRETCH_US, Facts, Recorded
from guardian.stores.one_state import of_one_state
from guardian.stores.people.aliases import Aliases
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker.event import Failure
from tracker.firestore.address import parse

pytestmark = pytest.mark.needs_firestore
DAY = datetime(2026, 3, 2, tzinfo=UTC)
END = DAY + timedelta(days=34, hours=11, minutes=37)
MONTH = timedelta(hours=720)


@pytest.fixture
def address(tmp_path):
    return address_in(tmp_path)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """The address of a database that two people filled, which is only read."""
    place = address_in(tmp_path_factory.mktemp("of-two"))
    with pytest.MonkeyPatch.context() as patched:
        asyncio.run(filled(place, patched, people=2))
    return place


def event(at, user="u1@example.com", status=200):
    failure = Failure("Boom", "no", "app.py:3 f") if status >= 400 else None
    return made(at, user=user, status=status, failure=failure)


async def filled(address, monkeypatch, *, people):
    """Somebody is there every four hours for 35 days, and now and then something fails."""
    repository = FirestoreRepository(address)
    times = [DAY + timedelta(hours=4 * number) for number in range(34 * 6 + 3)]
    events = [
        event(at + timedelta(seconds=n), f"u{n}@example.com", 500 if place % (10 + n) == 0 else 200)
        for place, at in enumerate(times)
        for n in range(people)
    ]
    writing.write(repository.documents, events)
    await repository.seal(END)
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    await repository.seal(END)
    return repository


def edges(zone):
    """The start of a month, its midnights by the clock of a place, and its end."""
    midnight = (END - MONTH).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [(midnight + timedelta(days=n)).astimezone(UTC) for n in range(1, 31)]
    return [END - MONTH, *days, END]


async def read_by(repository, work):
    before = repository.documents.reads
    found = await work
    return found, repository.documents.reads - before


async def test_a_report_of_a_month_reads_a_hundred_documents_whatever_the_traffic(of_two, address, monkeypatch):
    counts = []
    of_twenty = await filled(address, monkeypatch, people=20)
    for people, repository in ((2, FirestoreRepository(of_two)), (20, of_twenty)):
        (activity, bars), reads = await read_by(
            repository, repository.activity(edges(ZoneInfo("America/New_York")), most=1)
        )
        assert activity.active_users == people and len(bars) == 31
        assert sum(bar.requests for bar in bars) == activity.requests == 180 * people
        shown = 5 + 1  # who needs help, and who is named
        counts.append(reads)
        assert reads <= 100 + shown
    assert counts[1] - counts[0] <= 6, "more people are more names, and nothing else"


async def test_sealing_again_where_nothing_came_reads_four_documents(of_two, monkeypatch):
    repository = FirestoreRepository(of_two)
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    _, reads = await read_by(repository, repository.seal(END))
    assert reads <= 4


async def test_the_hours_of_a_long_past_are_joined_with_one_query_a_day(address, monkeypatch):
    repository, asked = FirestoreRepository(address), []
    monkeypatch.setattr(
        Documents, "named", lambda *values, made=Documents.named: (asked.append(values), made(*values))[1]
    )
    writing.write(repository.documents, [event(DAY + timedelta(hours=n)) for n in range(3 * 24)])
    assert await repository.seal(DAY + timedelta(days=3, hours=1)) == 3 * (24 + 24 + 1)
    assert len(asked) <= 3 * 2 + 1, "and one for the pack of these days"
    summary = await repository.summary(DAY, DAY + timedelta(days=3))
    assert summary.users["u1@example.com"].requests == 3 * 24


async def test_hours_that_are_far_apart_are_joined_in_a_few_commits(address, monkeypatch):
    repository, made = FirestoreRepository(address), []
    monkeypatch.setattr(
        Documents, "commit", lambda self, changes, commit=Documents.commit: (made.append(1), commit(self, changes))[1]
    )
    writing.write(repository.documents, [event(DAY + timedelta(hours=4 * n)) for n in range(10 * 6)])
    made.clear()
    assert await repository.seal(DAY + timedelta(days=10, hours=1)) == 60 + 60 + 10
    fortnights = 2
    assert len(made) <= 10 + 1 + 2 + fortnights, (
        "one for the five minutes of each day, and of the last, all hours, all days, and their packs"
    )
    summary = await repository.summary(DAY, DAY + timedelta(days=10))
    assert summary.users["u1@example.com"].requests == 60


async def test_a_day_that_is_summed_up_has_each_of_its_documents_written_once(address, monkeypatch):
    repository, written = FirestoreRepository(address), []
    commit = Documents.commit

    def noted(self, changes):
        made = list(changes)
        written.extend(each[:2] for each in made if each.collection == "guardian_seals")
        return commit(self, made)

    monkeypatch.setattr(Documents, "commit", noted)
    writing.write(repository.documents, [event(DAY + timedelta(minutes=5 * n)) for n in range(288)])
    assert await repository.seal(DAY + timedelta(days=1, hours=1)) == 288 + 24 + 1
    commits = 2  # of the 5 minutes; each lets the hours and the day around them go, and one hour may be in both
    assert len(written) <= (288 + 24 + 1) + (24 + commits - 1) + commits + 2, (
        "and the hours once more in one, and the day in a pack"
    )


async def test_the_hours_of_a_day_that_a_window_cuts_are_two_documents_also_after_one_came_late(address, monkeypatch):
    repository = FirestoreRepository(address)
    writing.write(repository.documents, [event(DAY + timedelta(hours=n)) for n in range(3 * 24)])
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    end = DAY + timedelta(days=3, hours=1)
    cut = DAY + timedelta(hours=5), DAY + timedelta(days=2, hours=20)
    for count in (63, 64):
        await repository.seal(end)
        await repository.seal(end)
        anew = FirestoreRepository(address)
        summary, reads = await read_by(anew, anew.summary(*cut))
        assert summary.users["u1@example.com"].requests == count
        assert reads <= 1 + 2 * 2 + 6  # the day between, the hours of two, and how far all has come
        writing.write(repository.documents, [event(DAY + timedelta(hours=7, minutes=30))])
        late = FirestoreRepository(address)  # before it is sealed
        assert (await late.summary(*cut)).users["u1@example.com"].requests == count + 1


async def test_what_one_answer_has_read_the_next_does_not_read_again(address, monkeypatch):
    repository = await filled(address, monkeypatch, people=1)
    window = DAY + timedelta(days=2), DAY + timedelta(days=30)
    _, first = await read_by(repository, repository.summary(*window))
    _, again = await read_by(repository, repository.outcomes([window]))
    assert first > 5 >= again
    writing.write(repository.documents, [event(DAY + timedelta(days=4))])
    await repository.seal(END)
    assert (await repository.summary(*window)).users["u0@example.com"].requests == 28 * 6
    found = (await repository.summary(*window)).users["u1@example.com"].requests
    assert found == 1, "what was sealed meanwhile is read anew"


async def test_what_was_never_moved_is_not_looked_for_when_it_is_replaced(address, monkeypatch):
    moving, start, looked = FirestoreMoving(parse(address)), int(DAY.timestamp()) * 1_000_000, []
    monkeypatch.setattr(
        Documents, "names", lambda *values, made=Documents.names: (looked.append(values), made(*values))[1]
    )
    moving.put_facts(Facts())
    recorded = [Recorded(event(start + STRETCH_US // 2), None)]
    assert moving.stretches() == {}
    moving.replace({start: recorded})
    assert looked == []
    moving.replace({start: recorded * 2})
    assert len(looked) == 1
    assert moving.stretches() == {start: 2}
    FirestoreMoving(parse(address)).replace({start: recorded})  # of which nobody has counted anything
    assert moving.stretches() == {start: 1}


async def test_joining_two_hours_anew_reads_nothing_of_those_between(address, monkeypatch):
    repository = FirestoreRepository(address)
    writing.write(repository.documents, [event(DAY + timedelta(minutes=5 * n)) for n in range(12 * 24)])
    end = DAY + timedelta(hours=25)
    await repository.seal(end)
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    await repository.seal(end)
    writing.write(repository.documents, [event(DAY + timedelta(hours=n)) for n in (1, 22)])
    _, reads = await read_by(repository, repository.seal(end))
    assert reads <= 2 + 4 + 24 + 24 + 10  # what came, the slices around it, two hours, the day, and the progress


async def test_what_was_just_moved_is_not_looked_at_by_each_reader(address):
    moving, start = FirestoreMoving(parse(address)), int(DAY.timestamp()) * 1_000_000
    moving.put_facts(Facts())
    stretches = range(start, start + 100 * STRETCH_US, STRETCH_US)
    moving.replace({at: [Recorded(event(DAY + timedelta(microseconds=at - start)), None)] for at in stretches})
    repository = FirestoreRepository(address)
    await repository.seal(END)
    summary, reads = await read_by(repository, repository.summary(DAY, DAY + timedelta(hours=2)))
    assert summary.users["u1@example.com"].requests == 24
    assert reads <= 10
    moving.replace({start: []})
    await repository.seal(END)
    summary = await repository.summary(DAY, DAY + timedelta(hours=2))
    assert summary.users["u1@example.com"].requests == 23


async def test_a_minute_of_alerting_reads_what_came_and_a_few_documents(address, monkeypatch):
    """Three instances write four slices a minute each."""
    repository = await filled(address, monkeypatch, people=1)
    monkeypatch.setattr(history_module, "BEHIND_US", 0)  # as if a minute passed between two writes
    history = FirestoreHistory(address)
    end = int(END.timestamp()) // 60
    past = history.read(end - 7 * 1440, end, single_events=3600)
    for minute in range(end, end + 3):
        slices = 12
        for n in range(slices):
            at = datetime.fromtimestamp(minute * 60 + n, UTC)
            writing.write(repository.documents, [event(at)])
        before = history.documents.reads
        past = history.grown(past, minute + 1, keep=7 * 1440, single_events=3600)
        assert history.documents.reads - before <= 5 + slices
        assert past.at(minute + 1).counts(60).requests == slices
    anew = history.read(end + 3 - 7 * 1440, end + 3, single_events=3600)
    assert past.at(end + 3).counts(6 * 86400) == anew.at(end + 3).counts(6 * 86400)
    assert past.first_seen == anew.first_seen


async def test_the_past_that_rules_begin_with_is_read_from_sealed_buckets(of_two, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)
    monkeypatch.setattr(history_module, "BEHIND_US", 0)  # as a minute later
    history = FirestoreHistory(of_two)
    end = int(END.timestamp()) // 60
    monday = end - 3 * 7 * 1440
    wanted = Wanted({None: frozenset({monday - 97 - monday % 120})}, known_us=0)
    past = history.read(end - 7 * 1440, end, single_events=3600, wanted=wanted)
    assert history.documents.reads <= 100
    assert past.at(end).counts(7 * 86400).requests == 42 * 2
    assert past.first_event_us == int(DAY.timestamp()) * 1_000_000
    assert past.first_seen == {("Boom", "app.py:3 f"): int(DAY.timestamp()) * 1_000_000}
    assert set(past.last_used) == {"chat"}


async def test_what_is_read_of_one_state_asks_once_how_the_store_stands(address, monkeypatch):
    repository = await filled(address, monkeypatch, people=1)
    window = DAY + timedelta(days=33), END
    summary = await repository.summary(*window)
    _, apart = await read_by(repository, repository.counts(*window))
    with of_one_state():
        assert await repository.summary(*window) == summary
        writing.write(repository.documents, [event(END - timedelta(hours=5), "new@example.com")])
        again, together = await read_by(repository, repository.counts(*window))
        assert again.requests == sum(each.requests for each in summary.users.values()), "the report is of one moment"
        assert together == apart - 3, "who was erased, how far all is sealed, and what came late"
        await repository.seal(END)
        assert "new@example.com" in (await repository.summary(*window)).users, "who seals has moved on"
    assert "new@example.com" in (await repository.summary(*window)).users


def test_a_move_gives_the_first_call_for_names_as_long_as_each_other_call_of_guardian(address, monkeypatch):
    given, key_of = [], moving_events.key_of
    monkeypatch.setattr(
        moving_events, "key_of", lambda client, *, seconds: given.append(seconds) or key_of(client, seconds=seconds)
    )
    FirestoreMoving(parse(address)).replace({0: [Recorded(event(STRETCH_US // 2), None)]})
    assert given == [SECONDS]


async def test_who_comes_under_two_ids_at_once_costs_hours_only_where_their_active_time_is_told(address, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    aliases = Aliases.of([(f"id{n}", f"u{n}@example.com") for n in range(3)])
    book = SimpleNamespace(current=lambda: aliases, trouble=None)
    repository, days = FirestoreRepository(address, book), 14
    times = [DAY + timedelta(days=day, hours=hour) for day in range(days) for hour in range(4, 16)]
    users = [(f"id{n}", f"u{n}@example.com") for n in range(3)]
    writing.write(repository.documents, [event(at, who[at.hour % 2]) for at in times for who in users])
    await repository.seal(DAY + timedelta(days=days, hours=2))
    await repository.seal(DAY + timedelta(days=days, hours=2))
    edges = [DAY + timedelta(days=n) for n in (0, 3, 6, 14)]

    async def read(work):
        anew = FirestoreRepository(address, book)
        return await work(anew), anew.documents.reads

    found, reads = await read(lambda anew: anew.turnover(edges))
    assert reads <= 12 and (found.active, found.active_before) == (3, 3)
    found, reads = await read(lambda anew: anew.counts(edges[0], edges[-1]))
    assert reads <= 12 and (found.active_users, found.requests) == (3, days * 12 * 3)
    summary, reads = await read(lambda anew: anew.summary(edges[0], edges[-1]))
    assert reads <= 12 + 2 * days, "a day and its hours"
    each = await read(lambda anew: anew.summary(edges[0], edges[0] + timedelta(days=1)))
    assert summary.users["u1@example.com"].active_us == days * each[0].users["u1@example.com"].active_us

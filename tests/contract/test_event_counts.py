"""How many events there are is right at each moment, whatever was sealed, came late, was erased or deleted; and on
Firestore it does not cost more where there are more."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from guardian.stores.firestore import counting, sealing
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.progress import read_progress
from guardian.stores.firestore.sealing import seal
from guardian.stores.firestore.windows import Windows
from guardian.stores.firestore.writing import write
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker.firestore.address import parse
from tracker.firestore.sink import SLICES

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def event(at, user="ada@example.com"):
    return made(at, user=user)


@pytest.mark.parametrize("seed", range(6))
async def test_the_number_of_events_is_right_whatever_was_done(stores, monkeypatch, seed):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    chance, repository = random.Random(seed), stores.events
    now, times, purged = START + HOUR * chance.randrange(30), [], START
    for _ in range(25):
        what = chance.choice(["live", "live", "seal", "seal", "late", "purge", "wait"])
        if what == "wait":
            now += MINUTE * chance.choice([7, 50, 400, 1500])
        elif what in ("live", "late"):
            span = now - purged - HOUR if what == "late" else HOUR
            new = [now - span * chance.random() for _ in range(chance.randrange(1, 5))]
            new = [at for at in new if at >= purged]
            await repository.write([event(at, f"u{chance.randrange(3)}@example.com") for at in new])
            times += new
        elif what == "seal":
            await repository.seal(now)
        else:
            before = now - HOUR * chance.choice([2, 5, 20, 60, 200])
            minutes5 = before.replace(minute=before.minute // 5 * 5, second=0, microsecond=0)
            await repository.purge(events_before=before, summaries_before=START)
            purged = max(purged, minutes5)
            times = [at for at in times if at >= purged]
        assert (await repository.stats()).events == len(times), what


async def test_the_number_of_events_is_right_while_an_erased_person_is_taken_out_again(stores):
    repository, now = stores.events, START + 3 * DAY
    await repository.write([event(START + HOUR * n, f"u{n % 2}@example.com") for n in range(60)])
    await repository.seal(now)
    await repository.erase_user("u1@example.com")
    assert (await repository.stats()).events == 60
    await repository.erase_buried(START)
    assert (await repository.stats()).events == 60
    await repository.seal(now)
    assert (await repository.stats()).events == 60


# What Firestore adds up for it


@pytest.fixture
def documents(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)
    return Documents(parse(address_in(tmp_path)))


@pytest.fixture
def added_up(monkeypatch):
    """How many slices were added up, by each sum of them."""
    found, total = [], Documents.total

    def noted(self, collection, field=None, *conditions):
        if field is not None:
            found.append(total(self, collection, None, *conditions))
        return total(self, collection, field, *conditions)

    monkeypatch.setattr(Documents, "total", noted)
    return found


def events_of(documents):
    [first] = documents.query(SLICES, order=[("start", "ASCENDING")], limit=1)
    return counting.events(Windows(documents), first.fields["start"])


def us(at):
    return int(at.timestamp()) * 1_000_000


@pytest.mark.needs_firestore
def test_only_the_slices_since_the_last_sealing_are_added_up(documents, added_up):
    times = [START + HOUR * n for n in range(3 * 24 + 10)]
    write(documents, [event(at) for at in times])
    seal(documents, us(times[-1]))
    assert events_of(documents) == len(times)
    assert added_up == [1]
    write(documents, [event(times[-1] + MINUTE * n) for n in (1, 2)])
    assert events_of(documents) == len(times) + 2
    assert sum(added_up[1:]) == 2


@pytest.mark.needs_firestore
def test_a_late_event_of_today_costs_what_today_has_until_it_is_sealed(documents, added_up):
    times = [START + HOUR * n for n in range(3 * 24)] + [START + 3 * DAY + 10 * MINUTE * n for n in range(6)]
    write(documents, [event(at) for at in times])
    now = times[-1] + 10 * MINUTE
    for _ in range(2):
        seal(documents, us(now))
    write(documents, [event(now - 40 * MINUTE)])
    assert events_of(documents) == len(times) + 1
    assert sum(added_up) == 7
    added_up.clear()
    seal(documents, us(now))
    assert events_of(documents) == len(times) + 1
    assert sum(added_up) == 0


@pytest.mark.needs_firestore
@pytest.mark.parametrize("how", ["never counted", "sealed by an earlier version"])
def test_a_database_of_an_earlier_version_is_counted_with_its_next_sealing(documents, added_up, how):
    times = [START + HOUR * n for n in range(2 * 24 + 1)]
    write(documents, [event(at) for at in times])
    now = times[-1] + 10 * MINUTE
    seal(documents, us(now))
    progress = read_progress(documents)
    if how == "never counted":
        documents.ask(lambda client: _without_counts(client))
    else:
        fields = {"until_us": progress.until_us - 300_000_000}
        documents.ask(lambda client: client.document("guardian_meta/progress").update(fields))
    assert read_progress(documents).counts is None
    assert events_of(documents) == len(times)
    assert added_up == [len(times)]
    seal(documents, us(now))
    assert read_progress(documents).counts == progress.counts
    added_up.clear()
    assert events_of(documents) == len(times)
    assert sum(added_up) <= 1


def _without_counts(client):
    from google.cloud import firestore

    client.document("guardian_meta/progress").update({"counts": firestore.DELETE_FIELD})


@pytest.mark.needs_firestore
def test_a_purge_that_ends_inside_a_day_leaves_the_rest_of_it_counted(documents, added_up, tmp_path):
    times = [START + HOUR * n for n in range(3 * 24)]
    write(documents, [event(at) for at in times])
    repository = FirestoreRepository(address_in(tmp_path))
    before = START + DAY + 5 * HOUR
    asyncio.run(repository.seal(times[-1] + HOUR))
    asyncio.run(repository.purge(events_before=before, summaries_before=START))
    left = [at for at in times if at >= before]
    assert events_of(documents) == len(left)
    write(documents, [event(before + HOUR), event(START)])  # the second is of what was purged
    asyncio.run(repository.seal(times[-1] + HOUR))
    added_up.clear()
    assert events_of(documents) == len(left) + 2
    assert sum(added_up) == 1
    assert read_progress(documents).counts[us(START + DAY)] == 19 + 1

"""One person, one name: what is read equals the plain computation over events whose ids were replaced by addresses."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import History
from guardian.core.activity import Activity
from guardian.core.storage import StorageError
from guardian.core.summary import Summary, TimelineBar
from guardian.core.unlinked import unlinked_name
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from guardian.stores.sqlite import lone_hours
from guardian.stores.sqlite.events import SqliteRepository
from guardian.stores.sqlite.tables import AT_ONCE
from tests.support.events import event as made
from tests.support.events import failures_in
from tests.support.stores import STORES, law_on
from tracker.event import Failure
from tracker.sqlite.connection import connect

DAY = datetime(2026, 3, 2, tzinfo=UTC)
ADA, BOB = "ada@example.com", "bob@example.com"
IDS = {"auth0|5f7c": ADA, "8c1f-2": ADA, "google|77": BOB}


class Given:
    """A source that gives these rows, or raises."""

    name = "people.csv"

    def __init__(self, rows):
        self.rows = rows

    def version(self):
        return id(self.rows)

    def read(self):
        if isinstance(self.rows, Exception):
            raise self.rows
        return list(self.rows.items())


def moment(minutes):
    return DAY + timedelta(minutes=minutes)


def event(minutes, user=ADA, status=200, feature="chat", duration_ms=120, us=0):
    failure = None if status < 400 else Failure(f"HTTP {status}", "No such thing")
    at_us = int(moment(minutes).timestamp()) * 1_000_000 + us
    return made(at_us, user=user, feature=feature, status=status, ms=duration_ms, failure=failure)


def named(events, ids=IDS):
    return [e._replace(user=ids.get(e.user, e.user)) for e in events]


@pytest.fixture
def source():
    return Given(IDS)


@pytest.fixture
async def repository(open_stores, source):
    return (await open_stores(AliasBook(source))).events


async def tables_of(repository):
    """The published names, whatever the aliases say."""
    return {name for name, _ in await repository.names()}


USERS = [ADA, BOB, *IDS, "stranger", "erased-mike~2", "anonymous"]
batches = st.lists(
    st.lists(
        st.builds(
            event,
            st.one_of(st.integers(-200, 3000), st.integers(0, 20)),
            st.sampled_from(USERS),
            st.sampled_from([200, 404, 500]),
            st.sampled_from(["chat", "documents"]),
            st.one_of(st.integers(0, 3_000_000), st.integers(0, 300)),
            st.integers(0, 59_999_999),
        ),
        min_size=1,
        max_size=15,
    ),
    max_size=5,
)


def test_reports_equal_the_plain_computation_over_addresses(store, tmp_path_factory):
    @law_on(store, examples=60)
    @given(
        batches,
        st.lists(st.integers(-200, 3100), max_size=5),
        st.lists(st.integers(-300, 3100), min_size=2, max_size=4),
        st.dictionaries(
            st.sampled_from([ADA, *IDS, "stranger", "erased-mike~2"]), st.sampled_from([BOB, "cy@example.com", ADA])
        ),
        st.sampled_from([0, lone_hours.FEW]),
        st.sampled_from([1, 3, AT_ONCE]),
    )
    def law(batches, seals, edges, ids, few, at_once):
        opener = STORES[store](tmp_path_factory.mktemp("law"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lone_hours, "FEW", few)
            patch.setattr("guardian.stores.sqlite.tables.AT_ONCE", at_once)
            asyncio.run(_equals_the_plain(opener, batches, seals, sorted(edges), ids))

    law()


async def _equals_the_plain(opener, batches, seals, edges, ids):
    ids = dict(Aliases.of(ids.items()).addresses)
    named_stores, bare_stores = await opener(AliasBook(Given(ids))), await opener(NO_BOOK)
    repository, bare = named_stores.events, bare_stores.events
    for place in range(max(len(batches), len(seals))):
        if place < len(batches):
            await repository.write(batches[place])
        if place < len(seals):
            await repository.seal(moment(seals[place]))
    ends = [moment(minute) for minute in edges]
    raw = [named([e async for chunk in bare.events(a, b) for e in chunk], ids) for a, b in pairwise(ends)]
    bars = [
        TimelineBar(start, len(part), sum(e.outcome >= 400 for e in part), len({e.user for e in part} - {"anonymous"}))
        for start, part in zip(ends, raw, strict=False)
    ]
    everything = [e for part in raw for e in part]
    expected = (Summary.of(everything), bars)
    assert await repository.timeline(ends) == expected
    assert [e async for chunk in repository.events(ends[0], ends[-1]) for e in chunk] == everything
    chat = await repository.summary(ends[0], ends[-1], features=["chat"])
    assert chat == Summary.of([e for e in everything if e.feature == "chat"])
    failures = {}
    for e in everything:
        if e.failure is not None:
            failures.setdefault(e.user, []).append(e)
    few = {user: failed[-20:] for user, failed in failures.items()}
    for most in (None, 2):
        shown = Activity.of(expected[0], few, int(ends[0].timestamp()) * 1_000_000, most=most)
        assert await repository.activity(ends, most=most) == (shown, bars)
    assert await repository.counts(ends[0], ends[-1]) == expected[0].counts()
    mine = [e for e in everything if e.user == ids.get(ADA, ADA)]
    assert await repository.steps(ADA, ends[0], ends[-1], most=3) == mine[-3:]
    await repository.seal(moment(4000))
    assert await repository.timeline(ends) == expected
    first, last = (int(end.timestamp()) // 60 for end in (ends[0], ends[-1]))
    read = named_stores.history.read(first, last, single_events=10**6)
    plain = History.of(everything, first * MINUTE_US, last * MINUTE_US)
    if everything:
        for window in (600, 86400 * 4):
            at = read.at(last), plain.at(last)
            assert at[0].users(window) == at[1].users(window)
            assert sorted(at[0].bursts(2, window, window)) == sorted(at[1].bursts(2, window, window))
    await named_stores.close()
    await bare_stores.close()


async def test_the_tables_keep_the_ids(repository):
    await repository.write([event(1, "auth0|5f7c"), event(2)])
    assert await tables_of(repository) == {"auth0|5f7c", ADA}
    rows = await repository.export_user(ADA)
    assert [row["user_email"] for row in rows["feature_usage"]] == ["auth0|5f7c", ADA]


@pytest.mark.parametrize("asked", [ADA, "auth0|5f7c", "8c1f-2"])
async def test_an_export_has_the_rows_of_all_ids_whichever_is_asked_for(repository, asked):
    await repository.write([event(1, "auth0|5f7c"), event(2), event(3, "8c1f-2", 404), event(4, BOB)])
    rows = await repository.export_user(asked)
    assert {name: len(found) for name, found in rows.items()} == {
        "user_sessions": 3, "feature_usage": 3, "user_errors": 1,
    }  # fmt: skip


@pytest.mark.parametrize("asked", [ADA, "auth0|5f7c", "8c1f-2"])
async def test_erasing_one_name_erases_all_and_the_totals_stay_those_of_one_person(repository, open_stores, asked):
    await repository.write([event(1, "auth0|5f7c"), event(2), event(3, "8c1f-2", 404), event(4, BOB)])
    await repository.seal(moment(3000))
    before, bars = await repository.timeline([moment(-60), moment(60)])
    assert await repository.erase_user(asked) is True
    assert await tables_of(repository) == {BOB}
    assert await repository.erase_user(asked) is False
    for book in (AliasBook(Given(IDS)), AliasBook()):  # also where nobody has aliases any more
        other = (await open_stores(book)).events
        after, same = await other.timeline([moment(-60), moment(60)])
        assert same == bars
        [gone] = after.users.keys() - {BOB}
        assert gone.startswith("erased-")
        assert after.users[gone] == before.users[ADA]
        assert (await other.stats()).users == 2
        failed = await failures_in(other, moment(-60), moment(60))
        assert [e.at_us for e in failed[gone]] == [event(3).at_us]


async def test_an_erasure_or_export_that_could_miss_an_id_is_refused(repository, source):
    source.rows = RuntimeError()
    await repository.write([event(1, "auth0|5f7c")])
    assert set((await repository.summary(moment(0), moment(9))).users) == {"auth0|5f7c"}  # a report goes out
    for refused in (repository.erase_user(ADA), repository.export_user(ADA)):
        with pytest.raises(StorageError, match=r"not all ids of a person are known, since people\.csv cannot be read"):
            await refused


async def test_people_whose_single_events_are_gone_are_exact_but_for_the_length_of_a_first_request(
    repository, sqlite_file
):
    """Within 5 minutes one id's first request began before the other's, and ended after it."""
    events = [event(1, "auth0|5f7c", duration_ms=1000), event(1, duration_ms=50_000, us=1_000_000), event(2, BOB)]
    events += [event(n, [ADA, "8c1f-2"][n % 2], [200, 404][n % 3 == 0]) for n in range(100, 140)]
    await repository.write(events)
    expected = Summary.of(sorted(named(events), key=lambda e: e.at_us))
    window = (moment(0), moment(200))
    await repository.seal(moment(3000))
    assert await repository.summary(*window) == expected
    await repository.purge(events_before=moment(1440), summaries_before=DAY)
    found = await repository.summary(*window)
    assert found.users[ADA].active_us - expected.users[ADA].active_us == 48_000_000
    found.users[ADA].active_us = expected.users[ADA].active_us
    found.users[ADA].first_start_us = expected.users[ADA].first_start_us
    assert found == expected


@pytest.mark.parametrize(
    ("spelling", "name"),
    [(None, ADA), ("auth0|5F7C", ADA), ("auth0|5f7C", "auth0|5f7c"), ("", "auth0|5f7c")],
    ids=["never seen since", "the same", "another", "several"],
)
async def test_an_id_that_was_stored_in_lower_case_once_is_known_where_only_one_can_be_meant(tmp_path, spelling, name):
    book = AliasBook(Given({}))
    book._aliases = Aliases({"auth0|5F7C": ADA})
    book._asked, book._version = book._clock(), book._source.version()
    repository = await SqliteRepository.open(tmp_path / "guardian.db", book=book)
    await repository.write([event(1, "auth0|5f7c"), event(2)])
    with closing(connect(str(tmp_path / "guardian.db"))) as db:
        db.execute("INSERT INTO guardian_spelling SELECT id, ? FROM guardian_user WHERE id = 1", (spelling,))
    assert set((await repository.summary(moment(0), moment(9))).users) == {ADA, name}
    await repository.close()


async def test_the_name_of_an_erased_person_gets_no_alias(open_stores):
    gone = unlinked_name("0123456789abcdef")
    repository = (await open_stores(AliasBook(Given({gone: ADA})))).events
    await repository.write([event(1, gone)])
    assert set((await repository.summary(moment(0), moment(9))).users) == {gone}

"""Who came and went, in every store: what plain SQL over single events says."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.chance import beyond_chance, shares_differ
from guardian.core.storage import WindowGone
from guardian.core.time import micros
from guardian.core.turnover import Group
from guardian.stores.people.book import NO_BOOK
from guardian.stores.sqlite.tables import AT_ONCE
from tests.support.events import event as made
from tests.support.stores import STORES, law_on
from tracker.event import Failure

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK_US, LAST_US = 7 * 86_400_000_000, 600_000_000


def event(at, user, status=200, feature="chat"):
    failure = None if status < 400 else Failure("KeyError", "Internal Server Error", "app.py:7 chat")
    return made(at, user=user, feature=feature, status=status, ms=5, failure=failure)


def plainly(events, edges):
    """The numbers by SQL alone: (active, active before, new, returned, quiet by feature, came new, came back)."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE e (at INT, user TEXT, feature TEXT, bad INT, started INT)")
    rows = [(e.at_us, e.user, e.feature, e.failure is not None, e.at_us - e.duration_us) for e in events]
    db.executemany("INSERT INTO e VALUES (?, ?, ?, ?, ?)", [row for row in rows if row[1] != "anonymous"])
    *_, x, a, b, c = [0, *map(micros, edges)]

    def one(sql):
        return db.execute(sql.format(x=x, a=a, b=b, c=c)).fetchone()[0]

    users = "SELECT DISTINCT user FROM e WHERE at >= {%s} AND at < {%s}"
    now, before, earlier = users % ("b", "c"), users % ("a", "b"), users % ("x", "a")
    gone = f"{before} INTERSECT {earlier} EXCEPT {now}"
    new_before = f"{before} EXCEPT SELECT user FROM e WHERE at < {{a}}"
    quiet = {}
    last = "(SELECT max(at) FROM e WHERE user = u.user AND at < {b})"
    met = (
        "(SELECT feature FROM e WHERE user = u.user AND bad AND at < {b} AND at >= {a} AND "
        f"at >= {last} - {LAST_US} ORDER BY at DESC LIMIT 1)"
    )
    for feature, number in db.execute(
        f"SELECT coalesce({met}, ''), count(*) FROM ({gone}) u GROUP BY 1".format(x=x, a=a, b=b, c=c)
    ):
        quiet[feature] = number
    away = f"(SELECT min(started) FROM e WHERE user = u.user AND at >= {{b}} AND at < {{c}}) - {last} >= {WEEK_US}"
    returned = one(f"SELECT count(*) FROM ({now}) u WHERE {last} IS NOT NULL AND ({last} < {{a}} OR {away})")
    used = {
        feature: (mine, theirs)
        for feature, mine, theirs in db.execute(
            f"SELECT feature, count(DISTINCT CASE WHEN at >= {b} THEN user END), "
            f"count(DISTINCT CASE WHEN at < {b} THEN user END) FROM e WHERE at >= {a} AND at < {c} GROUP BY 1"
        )
    }
    return (
        one(f"SELECT count(*) FROM ({now})"),
        one(f"SELECT count(*) FROM ({before})"),
        one(f"SELECT count(*) FROM ({now} EXCEPT SELECT user FROM e WHERE at < {{b}})"),
        returned,
        quiet,
        one(f"SELECT count(*) FROM ({new_before})"),
        one(f"SELECT count(*) FROM (SELECT * FROM ({new_before}) INTERSECT {now})"),
        used,
    )


def same(found, expected):
    active, before, new, returned, quiet, came_new, came_back, used = expected
    assert (found.active, found.active_before, found.new.number, found.returned.number) == (
        active, before, new, returned,
    )  # fmt: skip
    assert {group.feature: group.number for group in found.quiet} == quiet
    assert (found.came_new, found.came_back) == (came_new, came_back)
    names = sorted(used)
    changed = beyond_chance([shares_differ(used[n][0], active, used[n][1], before) for n in names])
    told = {each.feature: (each.people, each.before) for each in (*found.adopted, *found.abandoned)}
    assert told.items() <= {name: used[name] for name, beyond in zip(names, changed, strict=True) if beyond}.items()


def test_who_came_and_went_is_what_plain_sql_says(store, tmp_path_factory):
    @law_on(store, examples=8)
    @given(st.integers(0, 10**6), st.integers(0, 30), st.sampled_from([1, 20, AT_ONCE]))
    def law(seed, sealed_days, at_once):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("guardian.stores.sqlite.tables.AT_ONCE", at_once)
            asyncio.run(_equals_plain_sql(STORES[store](tmp_path_factory.mktemp("law")), seed, sealed_days))

    law()


async def _equals_plain_sql(opener, seed, sealed_days):
    """Thirty people who come in some weeks, in the same few minutes as others, and around the edges of the weeks; their
    events arrive late, twice, and in any order."""
    chance, found = np.random.default_rng(seed), []
    end = START + 28 * DAY + timedelta(minutes=int(chance.integers(0, 300)), seconds=3)
    knots = [0, *(int(chance.integers(0, 7 * 86_400)) for _ in range(5)), 7 * 86_400 - 300]
    for person in range(30):
        name = "anonymous" if person == 0 else f"u{person}@example.com"
        for week in range(5):
            if chance.random() < 0.5:
                for _ in range(int(chance.integers(1, 5))):
                    seconds = int(chance.choice(knots) + chance.integers(300))
                    at = end - 35 * DAY + week * 7 * DAY + timedelta(seconds=seconds)
                    status = int(chance.choice([200, 200, 500]))
                    found.append(event(at, name, status, str(chance.choice(["chat", "files", "search"]))))
    found += [found[n] for n in range(0, len(found), 9)]
    shuffled = [found[n] for n in chance.permutation(len(found))]
    stores = await opener(NO_BOOK)
    late = len(shuffled) // 3
    await stores.events.write(sorted(shuffled[late:]))
    await stores.events.seal(end - timedelta(days=sealed_days))
    for at in range(0, late, 20):
        await stores.events.write(shuffled[at : min(at + 20, late)])
    edges = [end - n * 7 * DAY for n in (3, 2, 1, 0)]
    expected = plainly(found, edges)
    same(await stores.events.turnover(edges), expected)
    await stores.events.seal(end)
    same(await stores.events.turnover(edges), expected)
    await stores.close()


async def test_people_are_named_by_their_requests_and_erased_ones_only_counted(stores):
    edges = [START + 7 * n * DAY for n in range(4)]
    found = [event(START + n * DAY, "ada@example.com") for n in (1, 8)]
    found += [event(START + 8 * DAY + timedelta(minutes=5), "ada@example.com", 500, "files")]
    found += [event(START + 15 * DAY + timedelta(minutes=n), "bob@example.com") for n in range(3)]
    found += [event(START + 15 * DAY + timedelta(minutes=n), "cleo@example.com") for n in range(5)]
    found += [event(START + 15 * DAY, "dan@example.com"), event(START + 15 * DAY, "anonymous")]
    await stores.events.write(sorted(found))
    told = await stores.events.turnover(edges)
    assert told.new == Group(3, ("cleo@example.com", "bob@example.com", "dan@example.com"))
    assert told.quiet == (Group(1, ("ada@example.com",), "files"),)
    await stores.events.erase_user("cleo@example.com")
    await stores.events.erase_user("ada@example.com")
    told = await stores.events.turnover(edges)
    assert told.new == Group(3, ("bob@example.com", "dan@example.com"))
    assert told.quiet == (Group(1, (), "files"),)


async def test_single_events_that_are_gone_change_nothing_but_what_somebody_met_last(stores):
    edges = [START + 7 * n * DAY for n in range(4)]
    people = [(f"u{n}@example.com", week) for n in range(9) for week in range(3) if (n + week) % 3]
    await stores.events.write(sorted(event(START + (7 * week + 2) * DAY, name) for name, week in people))
    await stores.events.seal(START + 30 * DAY)
    before = await stores.events.turnover(edges)
    await stores.events.purge(events_before=START + 20 * DAY, summaries_before=START - DAY)
    assert await stores.events.turnover(edges) == before
    assert [sum(week == w for _, week in people) for w in range(3)] == [6, 6, 6]
    assert (before.active, before.active_before) == (6, 6)


async def test_who_was_last_there_more_than_400_days_ago_is_new(stores):
    edges = [START + (500 + 7 * n) * DAY for n in range(3)]
    days = {"ada@example.com": 500 + 7 - 401, "bob@example.com": 500 + 7 - 399}
    events = [event(START + at * DAY, name) for name, day in days.items() for at in (day, 510)]
    await stores.events.write(sorted(events))
    told = await stores.events.turnover(edges)
    assert (told.new.people, told.returned.people) == (("ada@example.com",), ("bob@example.com",))


async def test_a_window_that_is_gone_is_said_to_be(stores):
    await stores.events.write([event(START + n * DAY, "ada@example.com") for n in range(20)])
    await stores.events.seal(START + 30 * DAY)
    await stores.events.purge(events_before=START + 10 * DAY, summaries_before=START + 10 * DAY)
    with pytest.raises(WindowGone):
        await stores.events.turnover([START + 7 * n * DAY for n in range(3)])

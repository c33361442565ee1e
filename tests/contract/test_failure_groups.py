"""What every store must tell of failed requests by type and place: all of them, however many there are."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.failure_groups import FailureGroup
from guardian.core.time import micros
from guardian.stores.people.aliases import Aliases
from guardian.stores.sqlite import failure_groups
from tests.support.events import event as made
from tracker.event import ANONYMOUS, Failure

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 3
NAMES = ("ann@example.com", "bob", "cat", ANONYMOUS)
FAILURES = (
    Failure("KeyError", "no such key", "app.py:1 main\nchat.py:118 answer"),
    Failure("KeyError", "another key", "other.py:7 run\nchat.py:118 answer"),
    Failure("KeyError", "no such key", "chat.py:119 answer"),
    Failure("HTTP 500", "Internal Server Error"),
    Failure("Noted", "tool error"),
)


def at(minutes):
    return START + timedelta(minutes=minutes)


def event(minutes, user="bob", status=500, failure=FAILURES[0], feature="chat", method="GET"):
    return made(at(minutes), user=user, status=status, failure=failure, feature=feature, method=method)


def plainly(events, name=lambda user: user):
    """The same by plain counting, by what tells groups apart."""
    found = {}
    for each in sorted(events, key=lambda each: each.at_us):
        if each.failure:
            key = (
                each.failure.kind, f"{each.method} {each.endpoint}", each.failure.location.rpartition("\n")[2],
                each.status,
            )  # fmt: skip
            group = found.setdefault(
                key, {"message": each.failure.message, "first": each.at_us, "who": Counter(), "n": 0}
            )
            group["n"] += 1
            group["last"] = each.at_us
            group["who"][name(each.user)] += 1
    return found


def told(groups):
    return {
        (group.kind, group.route, group.place, group.status): {
            "message": group.message, "first": group.first_us, "last": group.last_us, "who": Counter(group.people),
            "n": group.count,
        }
        for group in groups
    }  # fmt: skip


def some(seed, number=300):
    chance = random.Random(seed)
    found = []
    for _ in range(number):
        failure = chance.choice((*FAILURES, None))
        status = 200 if failure in (None, FAILURES[-1]) else chance.choice((404, 500))
        found.append(
            event(
                chance.randrange(DAYS * 24 * 60), chance.choice(NAMES), status, failure,
                chance.choice(("chat", "files")), chance.choice(("GET", "POST")),
            )._replace(duration_us=chance.randrange(10**6))
        )  # fmt: skip
    return [each._replace(at_us=each.at_us + n) for n, each in enumerate(sorted(found, key=lambda each: each.at_us))]


@pytest.mark.parametrize("seed", range(2))
async def test_groups_are_those_of_plain_counting_however_much_is_sealed(stores, seed, monkeypatch):
    monkeypatch.setattr(failure_groups, "_WAITING", 20)
    events, late = some(seed), some(seed + 10, 20)
    await stores.events.write(events)
    for sealed_until in (0, 1_500, 3_000):
        await stores.events.seal(at(sealed_until))
        for window in ((0, DAYS * 1440), (100, 1_440), (1_439, 2_900)):
            inside = [each for each in events if micros(at(window[0])) <= each.at_us < micros(at(window[1]))]
            assert told(await stores.events.failure_groups(*map(at, window))) == plainly(inside)
    await stores.events.write(late)
    both = sorted([*events, *late], key=lambda each: each.at_us)
    assert told(await stores.events.failure_groups(at(0), at(DAYS * 1440))) == plainly(both)


async def test_the_largest_group_comes_first_and_an_empty_store_has_none(stores):
    assert await stores.events.failure_groups(at(-9_999_999), at(9_999_999)) == []
    await stores.events.write([event(1, feature="files"), event(2), event(3, "ann@example.com")])
    first, second = await stores.events.failure_groups(at(-9_999_999), at(9_999_999))
    assert first == FailureGroup(
        "KeyError", "no such key", "GET /chat", "chat", "chat.py:118 answer", 500, 2, micros(at(2)), micros(at(3)),
        {"bob": 1, "ann@example.com": 1},
    )  # fmt: skip
    assert (second.route, second.count, second.met) == ("GET /files", 1, 1)
    assert first.id != second.id


class Book:
    name, trouble = "book", None

    def current(self):
        return Aliases({"bob": "ann@example.com"})


async def test_all_ids_of_a_person_are_one_whom_an_error_met(open_stores):
    stores = await open_stores(Book())
    await stores.events.write([event(1), event(2, "ann@example.com"), event(3, ANONYMOUS)])
    [group] = await stores.events.failure_groups(at(0), at(10))
    assert group.people == {"ann@example.com": 2, ANONYMOUS: 1}
    assert group.met == 1


async def test_who_was_erased_still_counts_under_a_name_that_leads_nowhere(stores):
    await stores.events.write([event(1), event(2)])
    await stores.events.erase_user("bob")
    [group] = await stores.events.failure_groups(at(0), at(10))
    assert group.count == 2 and group.met == 1 and "bob" not in group.people

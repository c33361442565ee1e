"""What every store must give of a window for the cause of an incident to be looked for."""

import random
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime

from guardian.alerting.sample import Released
from guardian.core.time import micros
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event as made
from tracker.event import ANONYMOUS, Failure
from tracker.source import Source
from tracker.sqlite.writer import Writer

START = micros(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
SECOND = 1_000_000


def request(second, user="ann@example.com", status=200, failure=None, latency=None, endpoint="/chat", method="GET"):
    at_us = START + int(second * SECOND)
    return made(
        at_us, user=user, path=endpoint, method=method, feature=endpoint[1:], status=status, ms=5, failure=failure,
        latency_us=latency,
    )  # fmt: skip


def told(sample):
    """Each request by everything that it can differ by."""
    return Counter(
        (
            int(sample.at_us[n] - START) // SECOND, sample.users[sample.user[n]], sample.routes[sample.route[n]],
            int(sample.status[n]), int(sample.duration_us[n]),
            None if sample.failure[n] < 0 else sample.failures[sample.failure[n]],
        )
        for n in range(len(sample))
    )  # fmt: skip


async def test_a_window_that_is_small_is_there_as_a_whole(stores):
    boom = Failure("KeyError", "no", "app.py:1 main\nchat.py:118 answer")
    await stores.events.write(
        [
            request(0), request(1, "bob@example.com", 500, boom), request(2, ANONYMOUS, 404, Failure("HTTP 404", "")),
            request(3, status=200, failure=Failure("Noted", "tool error")), request(4, latency=700, method="POST"),
            request(60),
        ]
    )  # fmt: skip
    sample = stores.history.sample(START, START + 60 * SECOND)
    chat = ("/chat", "GET", "chat")
    assert told(sample) == {
        (0, "ann@example.com", chat, 200, 5_000, None): 1,
        (1, "bob@example.com", chat, 500, 5_000, ("KeyError", "chat.py:118 answer")): 1,
        (2, ANONYMOUS, chat, 404, 5_000, ("HTTP 404", "")): 1,
        (3, "ann@example.com", chat, 1200, 5_000, ("Noted", "")): 1,
        (4, "ann@example.com", ("/chat", "POST", "chat"), 200, 700, None): 1,
    }
    assert sample.weight.tolist() == [1.0] * 5
    assert sample.requests == 5


async def test_an_empty_window_is_an_empty_sample(stores):
    assert len(stores.history.sample(START, START + SECOND)) == 0
    await stores.events.write([request(0)])
    assert len(stores.history.sample(START + SECOND, START + 2 * SECOND)) == 0
    assert stores.history.sample(START + SECOND, START + 2 * SECOND).requests == 0


async def test_of_many_requests_some_stand_for_all_from_all_of_the_window(stores):
    chance = random.Random(3)
    boom = Failure("KeyError", "no", "chat.py:118 answer")
    events = []
    for n in range(6_000):
        bad = chance.random() < 0.5
        who, where = f"u{chance.randrange(3)}@example.com", chance.choice(("/chat", "/chat", "/docs"))
        events.append(request(n / 2, who, 500 if bad else 200, boom if bad else None, endpoint=where))
    await stores.events.write(events)
    sample = stores.history.sample(START, START + 3_000 * SECOND, most=2_000)
    assert 1_000 <= len(sample) <= 2_000
    failed = sample.only(sample.failure >= 0)
    assert abs(sample.requests - 6_000) < 600
    assert abs(failed.requests - sum(event.failure is not None for event in events)) < 400
    chat = [sample.routes[code][0] == "/chat" for code in sample.route.tolist()]
    assert abs(sample.only(chat).requests / sample.requests - 2 / 3) < 0.05
    quarters = Counter((sample.at_us - START) // (750 * SECOND))
    assert set(quarters) == {0, 1, 2, 3}


async def test_who_was_erased_is_in_no_sample_by_name(stores):
    await stores.events.write([request(0), request(1, "bob@example.com")])
    await stores.events.erase_user("ann@example.com")
    sample = stores.history.sample(START, START + 60 * SECOND)
    assert "ann@example.com" not in sample.users
    assert sample.requests == 2


async def test_each_request_has_its_release_and_instance(stores, sqlite_file):
    for second, source in enumerate((Source("2.4.0", "a"), Source("2.4.1", "b"), None)):
        with closing(Writer(str(sqlite_file), made_by=source)) as writer:
            writer.write([request(second)])
    sample = backend(sqlite_file).history(NO_BOOK).sample(START, START + 60 * SECOND)
    by_second = {
        int(at - START) // SECOND: None if code < 0 else sample.sources[code]
        for at, code in zip(sample.at_us.tolist(), sample.source.tolist(), strict=True)
    }
    assert by_second == {0: Source("2.4.0", "a"), 1: Source("2.4.1", "b"), 2: None}


async def test_a_release_that_was_never_seen_is_told_once_with_its_first_request(stores, sqlite_file):
    for second, source in (
        (0, Source("2.4.0", "a")), (10, Source("2.4.1", "b")), (9, Source("2.4.1", "c")), (20, Source("2.4.0", "b")),
        (30, None), (40, Source("2.4.2", "a")),
    ):  # fmt: skip
        with closing(Writer(str(sqlite_file), made_by=source)) as writer:
            writer.write([request(second + 1), request(second)])
    releases = backend(sqlite_file).history(NO_BOOK).releases
    first, second = Released("2.4.1", START + 9 * SECOND), Released("2.4.2", START + 40 * SECOND)
    assert releases(START, START + 60 * SECOND) == [first, second]
    assert releases(START + 10 * SECOND, START + 40 * SECOND) == []


async def test_without_releases_nothing_was_released(stores):
    await stores.events.write([request(0)])
    assert stores.history.releases(START, START + SECOND) == []

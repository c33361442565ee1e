"""What every store must tell of people since an incident: all that failed, and who has succeeded since."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from guardian.alerting.incidents import Incident
from guardian.alerting.recorded import Recorded
from guardian.application.judging.causes import whom_of, why_of
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import AliasBook
from tests.support.events import event as made
from tracker.event import ANONYMOUS, Failure

START = micros(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
SECOND = 1_000_000
HOUR = 3600
SEALED = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BOOM = Failure("KeyError", "no", "app.py:1 main\nchat.py:118 answer")


def request(second, user, status=200, feature="chat", method="POST"):
    at_us = START + int(second * SECOND)
    failure = BOOM if status >= 400 else None
    return made(at_us, user=user, method=method, feature=feature, status=status, ms=5, failure=failure)


def answer(second, user, took_ms, latency_ms=None, status=200, feature="chat"):
    """One that took so long."""
    made = request(second, user, status, feature)._replace(duration_us=int(took_ms * 1000))
    return made if latency_ms is None else made._replace(latency_us=int(latency_ms * 1000))


def asked(stores, since, end=3 * 86_400):
    moments = {pair: START + int(second * SECOND) for pair, second in since.items()}
    return stores.history.succeeded(moments, START + int(end * SECOND))


def told(samples):
    """Each failed request by who, where, how, when and why."""
    return Counter(
        (
            int(sample.at_us[n]), sample.users[sample.user[n]], sample.routes[sample.route[n]], int(sample.status[n]),
            int(sample.duration_us[n]), [*sample.failures, None][sample.failure[n]], float(sample.weight[n]),
        )
        for sample in samples
        for n in range(len(sample))
    )  # fmt: skip


@pytest.mark.parametrize("sealed", [False, True])
async def test_who_used_the_same_feature_with_success_after_their_moment_succeeded(stores, sealed):
    await stores.events.write(
        [
            request(10, "ann"), request(20, "ann", 500), request(30, "ann"),
            request(10, "bob"), request(20, "bob", 500), request(30, "bob", feature="files"),
            request(20, "cat", 500), request(40 * HOUR, "cat", 500), request(41 * HOUR, "cat", method="GET"),
            request(20, "dan"),
        ]
    )  # fmt: skip
    if sealed:
        await stores.events.seal(SEALED)
    since = {(name, "chat"): 20 for name in ("ann", "bob", "cat", "dan", "eve")}
    assert asked(stores, since) == {("ann", "chat"), ("cat", "chat")}
    assert asked(stores, since, end=41 * HOUR) == {("ann", "chat")}, "the end is not inside"
    assert asked(stores, {("bob", "files"): 20, ("bob", "chat"): 5}) == {("bob", "files"), ("bob", "chat")}
    assert asked(stores, {}) == set()


async def test_an_empty_store_knows_nobody(stores):
    assert asked(stores, {("ann", "chat"): 0}) == set()
    assert told(stores.history.failed(START, START + HOUR * SECOND)) == {}


@pytest.mark.parametrize("sealed", [False, True])
async def test_every_failed_request_is_there_once_however_many_one_person_met(stores, sealed):
    events = [request(n * 60, "ann", 500 if n % 2 else 404) for n in range(100)]
    events += [request(n * 70 + 3, ANONYMOUS, 200 if n % 3 else 500, "files") for n in range(100)]
    await stores.events.write(sorted(events))
    if sealed:
        await stores.events.seal(SEALED)
    for first, last in ((0, 86_400), (61, 5_000), (3_600, 7_200)):
        window = START + first * SECOND, START + last * SECOND
        assert told(stores.history.failed(*window)) == told(Recorded(events).failed(*window))


@pytest.mark.parametrize("sealed", [False, True])
async def test_of_slow_answers_each_is_there_and_only_a_quick_one_is_a_success(stores, sealed):
    events = [
        answer(10, "ann", 5_000), answer(20, "ann", 5_000), answer(2 * HOUR, "ann", 100),
        answer(11, "bob", 9_000, latency_ms=50), answer(12, "bob", 2_000), answer(13, "bob", 2_000.001),
        answer(14, "cat", 5_000, status=500), answer(15, "cat", 5_000, status=101), answer(16, "dan", 5_000, 3_000),
        answer(17, "eve", 5_000, feature="files"), answer(5 * HOUR, "dan", 5_000),
        answer(30, "fay", 5_000), answer(6 * HOUR, "fay", 100, status=404),
    ]  # fmt: skip
    await stores.events.write(sorted(events))
    if sealed:
        await stores.events.seal(SEALED)
    window = START, START + 12 * HOUR * SECOND, 2_000_000.0
    slow = told(stores.history.slow(*window, "chat"))
    assert slow == told(Recorded(sorted(events)).slow(*window, "chat"))
    assert sorted(key[1] for key in slow) == ["ann", "ann", "bob", "dan", "dan", "fay"]
    assert "eve" in {key[1] for key in told(stores.history.slow(*window, None))}
    since = {(name, "chat"): START + 25 * SECOND for name in ("ann", "bob", "dan", "fay")}
    assert stores.history.succeeded(since, window[1], 2_000_000.0) == {("ann", "chat")}
    assert stores.history.succeeded(since, START + 2 * HOUR * SECOND, 2_000_000.0) == set()


async def test_what_came_late_into_a_sealed_time_counts(stores):
    await stores.events.write([request(10, "ann", 500)])
    await stores.events.seal(SEALED)
    await stores.events.write([request(20, "ann"), request(30, "bob", 500)])
    assert asked(stores, {("ann", "chat"): 10}) == {("ann", "chat")}
    assert {key[1] for key in told(stores.history.failed(START, START + 60 * SECOND))} == {"ann", "bob"}


class Book:
    def __init__(self, aliases):
        self._aliases = aliases

    def current(self):
        return self._aliases


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_person_has_succeeded_by_any_of_their_ids(open_stores, sealed):
    book = Book(Aliases.of([("7", "ann@example.com"), ("8", "ann@example.com"), ("9", "bob@example.com")]))
    stores = await open_stores(book)
    await stores.events.write(
        [request(10, "7", 500), request(20, "8"), request(10, "9", 500), request(20, "bob@example.com", 500)]
    )
    if sealed:
        await stores.events.seal(SEALED)
    since = {("ann@example.com", "chat"): 10, ("bob@example.com", "chat"): 10}
    assert asked(stores, since) == {("ann@example.com", "chat")}


async def test_where_single_requests_are_deleted_the_later_ones_are_told_of(stores):
    await stores.events.write([request(10, "ann", 500), request(20, "ann"), request(10 * HOUR, "bob")])
    await stores.events.seal(SEALED)
    edge = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    await stores.events.purge(events_before=edge, summaries_before=edge - timedelta(days=30))
    assert ("bob", "chat") in asked(stores, {("ann", "chat"): 0, ("bob", "chat"): 0})


async def test_who_was_erased_is_in_no_failed_request_by_name(stores):
    await stores.events.write([request(10, "ann", 500), request(20, "bob", 500)])
    await stores.events.erase_user("ann")
    users = {key[1] for key in told(stores.history.failed(START, START + 60 * SECOND))}
    assert "bob" in users and "ann" not in users and len(users) == 2


async def test_who_got_another_name_since_their_incident_began_is_still_found(open_stores):
    class Given:
        name = "people.csv"

        def version(self):
            return 1

        def read(self):
            return [("id-1", "ada@example.com")]

    stores = await open_stores(AliasBook(Given()))
    failed = [request(n, "id-1", 500) for n in range(8)]
    await stores.events.write([*failed, request(3, "bob", 500), request(4, "eve"), request(50, "id-1")])
    began, over = START, START + 40 * SECOND
    incident = Incident(
        "i", "user_burst", "id-1", "warning", "resolved", since_us=began, onset_us=began, recovery_us=over,
        resolved_us=over, end="resolved",
    )  # fmt: skip
    rule = parse_rule("user_burst", {})
    found = whom_of(stores.history, rule, incident, START + 60 * SECOND)
    assert [(hit.name, hit.times, hit.fate) for hit in found.people] == [("ada@example.com", 8, "back")]
    assert why_of(stores.history, rule, incident, START + 60 * SECOND).others == (1, 2)


def history(chance):
    """Requests of a day and a half, in knots, so that people fail and succeed in the same 5 minutes."""
    knots = [chance.randrange(0, 36 * HOUR) for _ in range(6)]
    return sorted(
        request(
            chance.choice(knots) + chance.choice((chance.randrange(400), chance.randrange(8_000))) + n / 1_000,
            chance.choice(("ann", "bob", "cat", "dan")),
            chance.choice((200, 200, 404, 500)),
            chance.choice(("chat", "files")),
        )._replace(duration_us=chance.choice((5_000, 2_000_000, 2_000_001, 9_000_000)))
        for n in range(chance.choice((5, 30, 120)))
    )


async def test_it_says_the_same_as_the_plain_rule_over_all_requests(open_stores, store):
    chance = random.Random(16)

    async def law(seed):
        chance.seed(seed)
        stores, events = await open_stores(), history(chance)
        known.extend(events)
        await stores.events.write(events)
        if chance.random() < 0.8:
            await stores.events.seal(datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(hours=chance.randrange(60)))
        plain = Recorded(sorted(known))
        for _ in range(4 if store == "firestore" else 8):
            some = chance.sample(known, min(len(known), 12))
            moments = {(each.user, each.feature): each.at_us + chance.choice((-1, 0, 0, 1)) for each in some}
            end_us = START + chance.randrange(80 * HOUR) * SECOND
            assert stores.history.succeeded(moments, end_us) == plain.succeeded(moments, end_us)
            window = sorted((end_us, START + chance.randrange(80 * HOUR) * SECOND))
            assert told(stores.history.failed(*window)) == told(plain.failed(*window))
            quick = moments, end_us, 2_000_000.0
            assert stores.history.succeeded(*quick) == plain.succeeded(*quick)
            for feature in (None, "chat"):
                slow = *window, 2_000_000.0, feature
                assert told(stores.history.slow(*slow)) == told(plain.slow(*slow))

    known = []
    for seed in range(5 if store == "firestore" else 25):
        await law(seed)

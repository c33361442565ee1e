"""A daemon that has run for long judges a minute as one that has just begun, whatever came in between."""

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.kinds import judge
from guardian.application.judging.live import LiveHistory
from guardian.core.time import moment
from guardian.settings.rules import parse_rule
from guardian.stores.opening import backend
from guardian.stores.people.book import AliasBook
from guardian.stores.sqlite.history import SqliteHistory
from tests.support.events import event as made
from tracker.event import ANONYMOUS, Failure
from tracker.sqlite.writer import Writer

WEEK = 7 * 1440
ZONE = ZoneInfo("Europe/Zurich")
BEFORE_CLOCKS_CHANGE, AFTER = 29_576_000, 29_582_000
"""Minutes since 1970: a few days before, and after, the clocks of Zürich were changed."""
RULES = [
    parse_rule(f"{kind}-{n}", {"kind": kind, **keys})
    for n, (kind, keys) in enumerate(
        [
            ("error_rate", {"feature": "c*", "min_requests": 3, "count": "server", "window": "20m", "min_users": 2}),
            ("feature_down", {"features": ["chat"], "silence": "10m", "silence_requests": 1, "window": "3m"}),
            ("feature_down", {"features": ["c*", "docs"], "silence": "20m", "silence_requests": 1, "min_users": 0}),
            ("user_burst", {"errors": 2, "window": "90s"}),
            ("latency", {"feature": "*", "quantile": 0.5, "threshold_ms": 150, "min_requests": 1, "window": "5m"}),
            ("traffic_drop", {"feature": "c*", "min_requests": 1, "below": "90%", "min_users": 1, "weeks": 2}),
            ("traffic_spike", {"feature": "chat", "min_requests": 1, "above": 1.1, "weeks": 2, "min_weeks": 1}),
            ("new_error", {"warmup": "0", "count": "all", "min_requests": 2, "min_users": 2}),
            ("tracker_silent", {"window": "5m"}),
            ("burn_rate", {"objective": "95%", "feature": "*", "min_requests": 1, "count": "all", "min_users": 1}),
        ]
    )
]
DID = ("nothing", "late", "weeks late", "twice", "burst", "aliases", "erasure", "clock set back", "no requests")


class Names:
    """A source of aliases that changes."""

    name = "people.csv"

    def __init__(self):
        self.rows, self.number = [], 0

    def version(self):
        return self.number

    def read(self):
        return self.rows

    def change(self, rows):
        self.rows, self.number = rows, self.number + 1


def request(chance, minute):
    """Any request of a minute, as often as not at its edge."""
    failure = None
    if chance.random() < 0.3:
        failure = Failure(chance.choice(("Boom", "Bang")), "no", chance.choice(("", "app.py:1 f", "app.py:2 f")))
    return made(
        minute * MINUTE_US + chance.choice((0, 1, chance.randrange(MINUTE_US), MINUTE_US - 1)),
        user=chance.choice((ANONYMOUS, "id-1", *(f"u{n}@x.org" for n in range(5)))),
        feature=chance.choice(("chat", "cut", "docs")),
        status=chance.choice((200, 200, 101)) if failure is None else chance.choice((404, 500)),
        duration_us=chance.randrange(1, 600_000),
        failure=failure,
    )


def said(history, minute):
    """What rules say at a minute, and what they and mails ask of it."""
    snapshot, end_us = history.at(minute), minute * MINUTE_US
    return {
        "verdicts": [sorted(judge(rule, snapshot, {}), key=lambda v: v.subject) for rule in RULES],
        "sightings": dict(history.first_seen),
        "since": (history.first_event_us, history.alive_us),
        "windows": [
            (
                snapshot.counts(window, feature), snapshot.users(window, feature), list(snapshot.bursts(2, 90, window)),
                snapshot.users(window, feature, failed=True), sorted(snapshot.failures(window)),
                history.stretches.timed(end_us - window * 1_000_000, end_us, feature or "docs", 150_000.0),
            )
            for window in (60, 300, 1800, 3600)
            for feature in (None, "chat", "cut")
        ],
        "weeks": [
            snapshot.requests(600, feature, back=snapshot.weeks_ago(week))
            for week in (1, 2)
            for feature in (None, "chat", "cut", "docs")
        ],
        "features": snapshot.features(["*"]),
    }  # fmt: skip


@pytest.mark.parametrize(("seed", "end"), [(1, BEFORE_CLOCKS_CHANGE), (2, AFTER), (3, AFTER)])
async def test_a_daemon_that_has_run_for_long_judges_as_one_that_has_just_begun(tmp_path, seed, end):
    chance, path, names = random.Random(seed), tmp_path / "guardian.db", Names()
    writers = {name: Writer(str(path)) for name in ("one", "two")}
    stored, book = dict.fromkeys(writers, 0), AliasBook(names)
    stores = await backend(path).open(book)

    def write(who, minutes):
        stored[who] += len(minutes)
        row = (who, 0, end * MINUTE_US, stored[who], stored[who], 0, "1")
        writers[who].write([request(chance, minute) for minute in minutes], heartbeat=lambda *_: row)

    write("one", [end - week * WEEK + chance.randrange(-100, 100) for week in (2, 1) for _ in range(150)])
    write("two", [end - chance.randrange(1, 300) for _ in range(200)])
    live = LiveHistory(SqliteHistory(path, book), RULES)
    for did in chance.sample(DID * 2, 12):
        first = end + 1
        end += chance.choice((1, 1, 2, 5, 20))
        for who in writers if did != "no requests" else ():
            write(who, [chance.randrange(first - 1, end) for _ in range(chance.randrange(10))])
        match did:
            case "late":
                write("two", [end - 1 - chance.randrange(100) for _ in range(4)])
            case "weeks late":
                write("one", [end - 1 - chance.choice((chance.randrange(3000), WEEK + chance.randrange(20)))])
            case "twice":
                write("two", [end - 3] * 6)
            case "burst":
                write("one", [end - 1] * 30)
            case "aliases":
                names.change(chance.choice(([("id-1", "u1@x.org")], [("id-1", "ada@x.org")], [])))
            case "erasure":
                await stores.events.erase_user(f"u{chance.randrange(5)}@x.org")
                await stores.events.seal(moment(end * MINUTE_US) + timedelta(minutes=10))
            case "clock set back":
                first = end = end - chance.choice((1, 3))
        grown = await live.until(first, end, ZONE)
        fresh = await LiveHistory(SqliteHistory(path, book), RULES).until(first, end, ZONE)
        for minute in {first, end}:
            assert said(grown, minute) == said(fresh, minute), did
    for writer in writers.values():
        writer.close()
    await stores.close()

"""What every store must tell of latencies through a window: those of each bar, in the days of any zone."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from guardian.application.latency_before import with_latency_before
from guardian.application.usage import UsageGuardian
from guardian.core.releases import p95
from guardian.core.report.timeline import bar_edges
from guardian.core.summary import bin_of
from guardian.core.time import micros
from guardian.stores.sqlite import latencies
from tests.support.events import event as made

START = datetime(2026, 3, 27, tzinfo=UTC)
DAYS = 5


def some(seed, number=400):
    """Requests of every hour, those of an hour in the same five minutes: each such five minutes take Firestore's
    emulator long."""
    chance = random.Random(seed)
    knots = [hour * 3600 + chance.randrange(12) * 300 for hour in range(DAYS * 24)]
    times = sorted(chance.choice(knots) + chance.randrange(300) for _ in range(number))
    return [
        made(micros(START + timedelta(seconds=at)) + n, user=f"u{n % 5}", duration_us=chance.randrange(10**6))
        for n, at in enumerate(times)
    ]


def plainly(events, edges):
    return [
        Counter(bin_of(each.duration_us) for each in events if micros(a) <= each.at_us < micros(b))
        for a, b in pairwise(edges)
    ]


ZONES = ("UTC", "Europe/Zurich", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


async def test_latencies_are_those_of_the_days_of_every_zone_however_much_is_sealed(stores):
    events, late = some(1), some(2, 20)
    window = START + timedelta(hours=5), START + timedelta(days=4, hours=7, minutes=3)
    days = {zone: bar_edges(*window, ZoneInfo(zone)) for zone in ZONES}
    parts = {
        "a day": days["Asia/Kolkata"],
        "two of no zone": [window[0], START + timedelta(days=2), window[1]],
        "an hour": [START, START + timedelta(hours=30), START + timedelta(hours=31), START + timedelta(days=DAYS)],
    }

    async def compared(asked, stored):
        for name, edges in asked.items():
            expected = plainly(stored, edges)
            assert await stores.events.latencies(edges) == expected, name
            activity, _ = await stores.events.activity(edges, most=1, latency=True)
            assert list(activity.latencies) == expected, name

    await stores.events.write(events)
    for sealed, asked in ((0, parts), (3, days), (6, days | parts)):
        await stores.events.seal(START + timedelta(days=sealed))
        await compared(asked, events)
    await stores.events.write(late)
    await compared(days, [*events, *late])


async def test_a_day_that_an_edge_cuts_is_not_read_hour_by_hour(stores, sqlite_file, monkeypatch):
    await stores.events.write(some(3))
    await stores.events.seal(START + timedelta(days=6))
    read, columns = Counter(), latencies.seals.columns

    def counted(db, part, span, start, end, wanted):
        found = columns(db, part, span, start, end, wanted)
        read[span // 3_600_000_000] += (end - start) // span
        return found

    monkeypatch.setattr(latencies.seals, "columns", counted)
    await stores.events.latencies([START + timedelta(days=day, hours=23) for day in range(DAYS - 1)])
    assert read[24] == 2 and read[1] <= 2 + 24, "two days, an hour of each, and the ends of the window"


async def test_the_latency_of_the_period_before_is_that_of_its_requests_with_and_without_a_filter(stores):
    events = [each._replace(feature=("search", "chat")[n % 2]) for n, each in enumerate(some(4))]
    await stores.events.write(events)
    start, length = START + timedelta(days=3, minutes=7), timedelta(hours=9, minutes=2)
    usage = UsageGuardian(stores.events, clock=lambda: START + timedelta(days=DAYS))
    for only in ((), ("search",), ("none*",)):
        mine = [each for each in events if not only or each.feature in only]
        report = await usage.read_report(start_time=start, end_time=start + length, features=only)
        [bins] = plainly(mine, [start - length, start])
        found = await with_latency_before(report, stores.events)
        assert found.baseline.p95_ms == p95(bins), only
        assert replace(found, previous=report.previous) == report


async def test_a_period_before_that_is_no_longer_stored_has_no_latency(stores):
    await stores.events.write(some(5))
    usage = UsageGuardian(stores.events, clock=lambda: START + timedelta(days=DAYS))
    report = await usage.read_report(start_time=START + timedelta(days=3), end_time=START + timedelta(days=3, hours=9))
    await stores.events.purge(events_before=report.period_start, summaries_before=report.period_start)
    assert await with_latency_before(report, stores.events) == report

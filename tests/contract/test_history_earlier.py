"""What every store must tell of the minutes of earlier weeks that rules compare with: what plain counting gives."""

import random
from datetime import UTC, datetime

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.wanted import Wanted
from guardian.core.time import micros
from guardian.stores.importing import STRETCH_US
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event as made
from tests.support.firestore import address_in

NOW = micros(datetime(2026, 3, 23, 9, 0, tzinfo=UTC)) // MINUTE_US
"""The minute, since 1970, at which histories are read first."""
WEEK = 7 * 24 * 60
KEEP = 8 * 60
"""So many minutes of counts stay."""
ASKED = (("chat",), ("chat", "docs"), ("c*",), None)
"""What rules compare: the same features by several of them."""


def week(chance, back):
    """Requests of a quarter of an hour, so many weeks ago."""
    first = (NOW - back * WEEK - 10) * MINUTE_US
    at_us = sorted(chance.randrange(20 * MINUTE_US) for _ in range(60))
    return [made(first + at, user=f"u{at % 7}@x.org", feature=chance.choice(("chat", "docs", "cut"))) for at in at_us]


def wanted(end):
    """A window of ten minutes, one and two weeks before."""
    minutes = frozenset(end - back * WEEK - n for back in (1, 2) for n in range(1, 11))
    return Wanted(dict.fromkeys(ASKED, minutes), (end - 4 * WEEK) * MINUTE_US)


def plain(events, feature, start, end):
    """How many of the events there are in the minutes [start, end), of a feature or of all."""
    return sum(start <= e.at_us // MINUTE_US < end and feature in (None, e.feature) for e in events)


def assert_counted(history, end, events):
    snapshot = history.at(end)
    for feature in ("chat", "docs", "cut", None, "never"):
        for back in (1, 2):
            last = end - back * WEEK
            assert snapshot.requests(600, feature, back=back * WEEK * 60) == plain(events, feature, last - 10, last)


async def test_requests_of_earlier_weeks_are_counted_once_however_many_rules_ask_for_them(stores):
    events = [event for back in (0, 1, 2) for event in week(random.Random(back), back)]
    await stores.events.write(events)
    asked = {"single_events": 3600}
    history = stores.history.read(NOW - KEEP, NOW, imported=False, wanted=wanted(NOW), **asked)
    assert_counted(history, NOW, events)
    for end in (NOW + 1, NOW + 2, NOW + 5):
        history = stores.history.grown(history, end, keep=KEEP, wanted=wanted(end), **asked)
        assert_counted(history, end, events)


async def test_a_window_of_an_earlier_week_may_begin_before_the_counts_and_end_in_them(stores):
    events = week(random.Random(1), 1)
    await stores.events.write(events)
    history = stores.history.read(NOW - WEEK - 4, NOW, single_events=3600, imported=False, wanted=wanted(NOW))
    assert_counted(history, NOW, events)


@pytest.mark.parametrize("place", ["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
async def test_an_imported_past_is_no_earlier_week(place, tmp_path):
    where = tmp_path / "guardian.db" if place == "sqlite" else address_in(tmp_path)
    stores = await backend(where).open(NO_BOOK)
    events = [event for back in (0, 1) for event in week(random.Random(back), back)]
    await stores.events.write(events)
    await stores.close()
    imports = backend(where).imports()
    imported = week(random.Random(2), 2)
    imports.add(imported, {imported[0].at_us // STRETCH_US * STRETCH_US: [1]})
    imports.close()
    stores = await backend(where).open(NO_BOOK)
    history = stores.history.read(NOW - KEEP, NOW, single_events=3600, imported=False, wanted=wanted(NOW))
    assert_counted(history, NOW, events)
    history = stores.history.grown(history, NOW + 3, keep=KEEP, single_events=3600, wanted=wanted(NOW + 3))
    assert_counted(history, NOW + 3, events)
    await stores.close()


# SQLite notices it by the numbers of recorders: tests/integration/test_history_laws.py.
@pytest.mark.only_on("memory", "firestore")
async def test_what_came_a_week_late_is_in_its_week(stores):
    events = [event for back in (0, 1, 2) for event in week(random.Random(back), back)]
    late = events[70:90]
    await stores.events.write([*events[:70], *events[90:]])
    history = stores.history.read(NOW - KEEP, NOW, single_events=3600, imported=False, wanted=wanted(NOW))
    await stores.events.write(late)
    history = stores.history.grown(history, NOW + 1, keep=KEEP, single_events=3600, wanted=wanted(NOW + 1))
    assert_counted(history, NOW + 1, events)

"""What a report says beyond its totals, made from every store."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from guardian.alerting.sample import Released
from guardian.application.usage import UsageGuardian
from guardian.core.language import language
from guardian.core.report.reading import from_json
from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.core.turnover import Group
from guardian.mail.report import moved
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event as made
from tests.support.plain import plain
from tests.support.report_samples import ZONE
from tracker.event import Failure
from tracker.source import Source
from tracker.sqlite.writer import Writer

END = datetime(2026, 3, 30, tzinfo=UTC)
DAY = timedelta(days=1)
BOOM = Failure("KeyError", "no", "app.py:1 main\nchat.py:118 answer")


def request(at, user, feature="chat", failure=None, path="/chat"):
    status = 200 if failure is None else 500
    return made(at, user=user, feature=feature, status=status, ms=50, failure=failure, path=path)


@cache
def four_weeks():
    """Twenty people a day for four weeks; in the last one the chat fails, and one person is new."""
    found = []
    for day in range(28):
        for n in range(20):
            at = END - (28 - day) * DAY + timedelta(hours=9, minutes=n)
            for k in range(5):
                bad = day >= 25 and k < 2
                found.append(request(at + timedelta(seconds=k), f"u{n:02}@x.org", failure=BOOM if bad else None))
                found.append(request(at + timedelta(seconds=30 + k), f"u{n:02}@x.org", "files", path="/files"))
    found.append(request(END - DAY, "new@x.org"))
    return sorted(found)


async def four_weeks_written(stores):
    await stores.events.write(four_weeks())


def usage(stores, history=None):
    return UsageGuardian(stores.events, clock=lambda: END, history=history or stores.history)


async def test_a_weekly_report_says_who_is_new_and_why_the_chat_fails(filled):
    stores = await filled(four_weeks_written)
    written = await usage(stores).generate_report(start_time=END - 7 * DAY, end_time=END)
    report = from_json(written)
    assert report.turnover.new == Group(1, ("new@x.org",))
    assert (report.turnover.active, report.turnover.active_before, report.turnover.quiet) == (21, 20, ())
    assert report.releases == ()
    assert [plain(line) for line in moved.words(report, language(), ZONE)["moved"]] == [
        "chat fails, and did not before: 120 of 701 requests, 20 users, all 500. "
        "120 of 120 failures are KeyError at chat.py:118 (0 of 700 requests a week before)."
    ]


async def test_a_day_has_no_turnover_and_a_report_on_a_feature_nothing_of_it(filled):
    stores = await filled(four_weeks_written)
    day = from_json(await usage(stores).generate_report(start_time=END - DAY, end_time=END))
    assert day.turnover is None and day.causes
    [cause] = day.causes
    assert (cause.feature, cause.days, cause.way.before) == ("chat", 7, 0)
    week = {"start_time": END - 7 * DAY, "end_time": END}
    part = from_json(await usage(stores).generate_report(**week, features=["chat"]))
    assert (part.turnover, part.releases, part.causes) == (None, None, ())
    written = await UsageGuardian(stores.events, clock=lambda: END).generate_report(**week)
    assert "turnover" in written and not {"releases", "causes"} & written.keys()


async def test_an_app_of_one_week_has_no_turnover(stores):
    await stores.events.write([each for each in four_weeks() if each.at_us >= micros(END - 10 * DAY)])
    assert "turnover" not in await usage(stores).generate_report(start_time=END - 7 * DAY, end_time=END)


@pytest.mark.parametrize("number", [1, 3])
async def test_processes_that_start_with_a_release_are_one_marker(stores, sqlite_file, number):
    await stores.events.write(four_weeks())
    released = END - 5 * DAY + timedelta(hours=1)
    for release, begin in (("2.4.0", END - 20 * DAY), ("2.4.1", released)):
        for n in range(number):
            with closing(Writer(str(sqlite_file), made_by=Source(release, f"web-{n}"))) as writer:
                writer.write([request(begin + timedelta(minutes=n), "u00@x.org")])
    assert backend(sqlite_file).history(NO_BOOK).releases(0, micros(END)) == [Released("2.4.1", micros(released))]
    report = from_json(await usage(stores).generate_report(start_time=END - 7 * DAY, end_time=END))
    [release] = report.releases
    assert (release.release, release.since.start, release.since.end) == ("2.4.1", released, END)
    assert (release.since.requests, release.since.errors) == (1001 + number, 120)
    assert (release.before.requests, release.before.errors) == (1000, 0)
    assert (set(release.compared), release.moved) == ({"errors", "latency", "requests"}, ("errors",))


async def test_the_cause_costs_the_report_nothing_where_it_cannot_be_read(filled):
    class Broken:
        def releases(self, *edges):
            return []

        def sample(self, *edges, most):
            raise StorageError("the disk is gone")

    stores = await filled(four_weeks_written)
    report = from_json(await usage(stores, Broken()).generate_report(start_time=END - 7 * DAY, end_time=END))
    assert report.causes == () and report.turnover is not None

from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.quiet import BEFORE, QUIET, Visits, gone_quiet, quiet_window, regular
from guardian.core.summary import Summary
from guardian.core.time import micros
from tests.support.events import event as made
from tracker.event import ANONYMOUS, Failure

DAY = timedelta(days=1)
END = datetime(2026, 3, 20, 8, tzinfo=UTC)
START = END - DAY


def visits(last, *, count=12, span=timedelta(days=4), user="ada@example.com", failed=True):
    """`count` requests of one user over `span`, the last at `last`; that one fails."""
    moments = [last - span * n / (count - 1) for n in range(count - 1, -1, -1)]
    return [
        made(
            at, user=user, path="/api/chat", method="POST", status=500 if failed and at == last else 200,
            failure=Failure("KeyError", "Internal Server Error", "app.py:7 chat") if failed and at == last else None,
        )
        for at in moments
    ]  # fmt: skip


def names(events, start=START, end=END):
    _, since, until = quiet_window(start, end)
    base = Summary.of(sorted(events, key=lambda e: e.at_us))
    failures = {}
    for event in events:
        if event.failure:
            failures.setdefault(event.user, []).append(event)
    found = [
        Visits(name, user.requests, user.first_start_us, user.last_us)
        for name, user in base.users.items()
        if name != ANONYMOUS and micros(since) <= user.last_us < micros(until)
    ]
    return [each.email for each in gone_quiet(regular(found), failures)]


@pytest.mark.parametrize(
    "events, quiet",
    [
        (visits(END - QUIET - timedelta(hours=1)), True),
        (visits(END - QUIET - timedelta(hours=1), failed=False), False),  # left content
        (visits(END - QUIET - timedelta(hours=1), count=9), False),  # no regular user
        (visits(END - QUIET - timedelta(hours=1), span=timedelta(days=1)), False),  # only tried it
        (visits(END - QUIET), False),  # not quiet for long enough yet
        (visits(START - QUIET), True),
        (visits(START - QUIET - timedelta(seconds=1)), False),  # told by the report before
        ([*visits(END - 4 * DAY), *visits(END - DAY, failed=False)], False),  # came back
    ],
)
def test_who_went_quiet(events, quiet):
    assert names(events) == (["ada@example.com"] if quiet else [])


def test_an_error_long_before_the_last_request_is_not_why():
    error, *_ = visits(END - 4 * DAY)[-1:]
    after = visits(END - 4 * DAY + timedelta(minutes=11), failed=False)
    assert names([*visits(END - 4 * DAY), *after]) == []
    after = visits(END - 4 * DAY + timedelta(minutes=10), failed=False)
    assert names([*visits(END - 4 * DAY), *after]) == [error.user]


def test_those_who_did_not_sign_in_never_go_quiet():
    assert names(visits(END - QUIET - timedelta(hours=1), user="anonymous")) == []


def test_reports_that_follow_each_other_name_everybody_once():
    events = visits(END - 4 * DAY)
    windows = [(END + n * DAY / 4, END + (n + 1) * DAY / 4) for n in range(-40, 40)]
    assert sum(len(names(events, start, end)) for start, end in windows) == 1


def test_the_look_back_begins_at_a_midnight_so_that_whole_days_are_read():
    begin, _, _ = quiet_window(START, END)
    assert begin == datetime(2026, 3, 2, tzinfo=UTC)
    assert begin <= START - QUIET - BEFORE

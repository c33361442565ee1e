"""Reports compare with what was recorded in full, and call only that a warning which is unusual."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from guardian.application.usage import UsageGuardian
from guardian.core.report.model import Fired
from guardian.mail.service import EmailService
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event as made
from tracker.event import Failure

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
FAILED = Failure("KeyError", "Internal Server Error", "app.py:7 chat")


def steady(start, end, per_hour=10):
    """The same traffic in every hour, all of it in one minute: each five minutes with traffic take time to seal."""
    hours = round((end - start) / HOUR)
    return [event(start + hour * HOUR + n * SECOND) for hour in range(hours) for n in range(per_hour)]


def event(at, status=200):
    failure = FAILED if status >= 500 else None
    return made(at, path="/api/chat", method="POST", status=status, ms=20, failure=failure)


@pytest.fixture
async def report_on(tmp_path):
    """Makes the report on a day (or longer) and its mail: (report, subject, text)."""
    repository = await SqliteRepository.open(tmp_path / "guardian.db")

    async def made(start, length=DAY, fired=()):
        async def firings(*window):
            return [Fired(*each) for each in fired]

        known = None if fired is None else firings
        usage = UsageGuardian(repository, clock=lambda: start + length + HOUR, fired=known)
        report = await usage.generate_report(start_time=start, end_time=start + length)
        mail = EmailService([], sender="g@example.com", clock=lambda: start + length).compose_guardian_report(
            "a@example.com", {"usage_stats": report}, key="k"
        )
        text = message_from_bytes(mail.body, policy=policy.default).get_body(("plain",)).get_content()
        return report, mail.subject, " ".join(text.split())

    made.repository = repository
    yield made
    await repository.close()


async def test_the_day_after_the_installation_is_the_first_full_day_and_compared_with_nothing(report_on):
    await report_on.repository.write(steady(MONDAY + 17 * HOUR, MONDAY + 2 * DAY))
    report, subject, text = await report_on(MONDAY + DAY)
    assert report["previous"]["total_requests"] == 70  # the key says what it always said
    assert (report["comparison"]["with"], report["comparison"]["period"]) == ("nothing", None)
    assert "This is the first full day: there is nothing to compare it with yet." in text
    assert "↑" not in text and "×" not in text
    assert subject == "1 person used the app, and nothing failed – Guardian"


async def test_the_day_of_the_installation_says_when_recording_began(report_on):
    await report_on.repository.write(steady(MONDAY + 17 * HOUR, MONDAY + DAY))
    _, _, text = await report_on(MONDAY)
    assert "Recording began within this period, on Mon 2 Mar, 17:00." in text
    assert "↑" not in text


async def test_a_day_is_compared_with_the_same_weekday_with_both_values(report_on):
    saturday = MONDAY + 12 * DAY
    await report_on.repository.write(steady(MONDAY, saturday) + steady(saturday, saturday + DAY, 13))
    report, _, text = await report_on(saturday)
    assert report["comparison"]["with"] == "weekday"
    assert report["comparison"]["period"]["period_start"] == "2026-03-07T00:00:00+00:00"
    assert "Requests 312 ↑ from 240 last Saturday" in text
    assert "Active users 1 as last Saturday" in text
    assert "Steady, within 10 %: active users, the share that failed." in text


async def test_an_app_that_is_used_from_monday_to_friday_has_no_warning_on_saturday(report_on):
    for week in range(2):
        start = MONDAY + 7 * week * DAY
        await report_on.repository.write(steady(start, start + 5 * DAY))
    report, subject, _ = await report_on(MONDAY + 12 * DAY)
    assert (report["status"], subject) == ("OK", "Nobody used the app – Guardian")


async def test_a_monday_without_anybody_is_a_warning_that_names_the_monday_before(report_on):
    await report_on.repository.write(steady(MONDAY, MONDAY + 5 * DAY))
    report, subject, _ = await report_on(MONDAY + 7 * DAY)
    assert report["status"] == "WARNING"
    assert subject == "⚠ Nobody used the app, after 240 requests last Monday – Guardian"


async def test_one_server_error_in_20_000_requests_is_an_ordinary_day_and_the_mail_says_so(report_on):
    events = [event(MONDAY + n * timedelta(seconds=4)) for n in range(19_999)]
    await report_on.repository.write([*events, event(MONDAY + 23 * HOUR, 500)])
    report, subject, text = await report_on(MONDAY)
    assert report["status"] == "OK"
    assert subject == "1 person used the app; < 0.01 % of the requests failed – Guardian"
    assert "no rule fired, and < 0.01 % of the requests failed with a server error." in text


async def test_what_fails_every_monday_as_often_is_no_warning_and_three_times_as_much_is(report_on):
    for week, bad in enumerate([2, 2, 2, 2, 3, 9]):
        start = MONDAY + 7 * week * DAY
        await report_on.repository.write(
            [event(start + n * timedelta(minutes=10), 500 if n < bad else 200) for n in range(100)]
        )
    report, _, text = await report_on(MONDAY + 28 * DAY)
    assert (report["status"], report["comparison"]["usual_server_error_rate"]) == ("OK", 0.02)
    assert "3 % of the requests failed with a server error. Usually it is 2 %." in text
    report, subject, text = await report_on(MONDAY + 35 * DAY)
    assert report["status"] == "WARNING"
    assert subject == "⚠ 9 % of the requests failed with a server error – Guardian"
    assert "Usually it is 2 %." in text


async def test_a_rule_that_fired_is_named_and_makes_the_day_a_warning(report_on):
    await report_on.repository.write(steady(MONDAY, MONDAY + DAY))
    report, subject, text = await report_on(MONDAY, fired=[("latency", "warning")])
    assert (report["status"], report["incidents"]) == ("WARNING", [{"rule": "latency", "severity": "warning"}])
    assert subject == "⚠ 1 rule fired; nothing failed – Guardian"
    assert "A rule fired: latency." in text


async def test_two_hours_are_compared_with_the_two_before_once_these_were_recorded(report_on):
    await report_on.repository.write(
        steady(MONDAY + 6 * HOUR, MONDAY + 9 * HOUR) + steady(MONDAY + 9 * HOUR, MONDAY + 12 * HOUR, 30)
    )
    _, _, text = await report_on(MONDAY + 7 * HOUR, 2 * HOUR)
    assert "Nothing to compare with yet: recording began on Mon 2 Mar, 06:00." in text
    _, _, text = await report_on(MONDAY + 10 * HOUR, 2 * HOUR)
    assert "Requests 60 ↑ from 40" in text


@pytest.mark.parametrize("fired", [None, [("new_error", "info")]])
async def test_that_no_rule_fired_is_said_only_where_that_is_known_and_true(report_on, fired):
    await report_on.repository.write(steady(MONDAY, MONDAY + DAY))
    report, _, text = await report_on(MONDAY, fired=fired)
    assert report["status"] == "OK"
    assert "Nothing out of the ordinary: 0 % of the requests failed with a server error." in text
    assert "no rule fired" not in text

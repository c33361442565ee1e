"""Reports that go out by their schedules or on demand, on a real database and through a real mail server."""

import errno
import json
import logging
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from itertools import pairwise

import pytest

import guardian.application.usage
from guardian.application.lead import LEASE_TTL, renew_lead
from guardian.application.reporting import send_due_reports, send_report_now, send_scheduled_report
from guardian.application.root import name_schedules, open_application
from guardian.application.scheduler import Step, deliver_step, purge_step, report_step, run_step
from guardian.application.status import application_status
from guardian.core.storage import WindowGone
from guardian.mail.message import build_message
from guardian.settings.schema import MailSettings, ScheduleSettings, Settings, SmtpSettings
from guardian.stores.state import LeaseLost
from tests.support.events import event as made
from tests.support.mail_servers import serving
from tracker.event import Failure

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


class Inbox:
    """Keeps what an SMTP server accepts, as (recipient, message)."""

    def __init__(self):
        self.mails, self.refuse = [], {}

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.mails += [(to, message) for to in envelope.rcpt_tos]
        return "250 OK"

    def texts(self, recipient="admin@example.com"):
        return [m.get_body(("plain",)).get_content() for to, m in self.mails if to == recipient]


@pytest.fixture
def inbox():
    with serving(Inbox()) as handler:
        yield handler


@pytest.fixture
def application(tmp_path, inbox):
    """Opens the application on one database, at a time that the test sets."""

    @asynccontextmanager
    async def opened(*schedules, now=NOW, admins=("admin@example.com",), smtp=True, mail=None, **more):
        server = SmtpSettings(host="127.0.0.1", port=inbox.port, security="none") if smtp else None
        settings = Settings(
            database=tmp_path / "guardian.db",
            reports_dir=tmp_path / "reports",
            admins=admins,
            schedules=tuple(s if isinstance(s, ScheduleSettings) else ScheduleSettings(when=s) for s in schedules),
            mail=MailSettings(sender="Guardian <guardian@example.com>", smtp=server, **(mail or {})),
            **more,
        )
        async with open_application(settings, clock=lambda: opened.now) as app:
            yield app

    opened.now = NOW
    return opened


def event(at, user="ada@example.com", status=200, feature="chat_message"):
    failure = Failure("HTTP 500", "Internal Server Error") if status >= 400 else None
    return made(at, user=user, feature=feature, path=f"/api/{feature}", method="POST", ms=20,
                status=status, failure=failure)  # fmt: skip


async def mails_of(app):
    """The mails in the outbox, by recipient."""
    items = await app.state.outbox()
    return {i.message.recipient: message_from_bytes(i.message.body, policy=policy.default) for i in items}


def text_of(mail):
    return mail.get_body(("plain",)).get_content()


async def due(app, now=NOW, **values):
    return [result for result in await send_due_reports(app, now=now, **values) if result.claimed]


async def test_the_first_start_owes_nothing_and_the_first_time_that_comes_brings_the_first_report(application):
    async with application("every 2h") as app:
        assert await due(app) == []
        assert await due(app, NOW + HOUR) == []
        [result] = await due(app, NOW + 2 * HOUR)
        assert result.covers == (NOW.replace(minute=0), NOW.replace(minute=0) + 2 * HOUR)
        assert await due(app, NOW + 2 * HOUR) == []


async def test_a_restart_forgets_nothing_and_doubles_nothing(application):
    async with application("every 2h") as app:
        await due(app)
    async with application("every 2h") as app:
        assert len(await due(app, NOW + 2 * HOUR)) == 1
    async with application("every 2h") as app:
        assert await due(app, NOW + 2 * HOUR) == []
        assert len(await app.state.outbox()) == 1


@pytest.mark.parametrize(
    ("before", "after", "edited"), [("08:00", "10:00", 8.5), ("10:00", "08:00", 9), ("08:00", "10:00", 7)]
)
async def test_an_edited_time_of_the_day_doubles_no_report_and_leaves_none_out(application, before, after, edited):
    midnight = NOW.replace(hour=0, minute=0)
    ends = []
    async with application(f"daily at {before}") as app:
        await due(app)
        for hours in (24 + 12, 48 + edited):
            ends += [result.covers.end for result in await due(app, midnight + hours * HOUR)]
    async with application(f"daily at {after}") as app:
        for hours in (48 + edited, 48 + edited + 0.1, 48 + 12, 72 + 12):
            ends += [result.covers.end for result in await due(app, midnight + hours * HOUR)]
    assert ends == [midnight + day * DAY for day in (1, 2, 3)]


async def test_an_edited_weekday_doubles_no_week(application):
    monday = NOW.replace(hour=0, minute=0)
    async with application("weekly Monday 09:00") as app:
        await due(app)
        [result] = await due(app, monday + 7 * DAY + 10 * HOUR)
    async with application("weekly Wednesday 09:00") as app:
        for days in (8, 10, 13):
            assert await due(app, monday + days * DAY) == []
        [again] = await due(app, monday + 16 * DAY + 10 * HOUR)
    assert (result.covers.end, again.covers.end) == (monday + 7 * DAY, monday + 14 * DAY)


async def test_up_to_three_missed_reports_each_go_out_oldest_first(application, inbox):
    async with application("every 2h") as app:
        await app.repository.write([event(NOW + 2 * HOUR, user) for user in ("ada@example.com", "bob@example.com")])
        await due(app)
        results = await due(app, NOW + 6 * HOUR)
        assert [result.covers.start.hour for result in results] == [12, 14, 16]
        application.now, app.token = NOW + 6 * HOUR, 1
        await deliver_step(app, application.now, 1)
        assert ["ada@example.com" in text for text in inbox.texts()] == [False, True, False]


async def test_more_missed_reports_go_out_as_one_that_covers_them_all(application):
    async with application("every 2h", admins=("a@example.com", "b@example.com")) as app:
        await due(app)
        [result] = await due(app, NOW + 3 * DAY)
        assert result.covers == (NOW.replace(minute=0), NOW.replace(minute=0) + 3 * DAY)
        items = await app.state.outbox()
        assert {item.message.recipient for item in items} == {"a@example.com", "b@example.com"}
        assert all("2026-03-05T10:00:00+00:00/2026-03-05T12:00:00+00:00" in item.message.key for item in items)
        assert await due(app, NOW + 3 * DAY) == []


async def test_a_clock_that_was_a_year_ahead_for_a_while_does_not_silence_reports_for_a_year(application):
    async with application("daily at 08:00") as app:
        await due(app)
        await due(app, NOW + 365 * DAY)
        for day in (1, 2):
            [result] = await due(app, NOW + day * DAY)
            assert result.covers.end == NOW.replace(hour=0, minute=0) + day * DAY
        assert len(await app.state.outbox()) == 3


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("step", [5 * MINUTE, HOUR, 23 * HOUR, 7 * DAY], ids=str)
@pytest.mark.parametrize("when", ["every 1h", "daily at 08:00", "weekly Tuesday 09:00", "cron 15 */6 * * *"])
async def test_a_clock_that_was_ahead_and_is_set_right_costs_no_report(application, when, step, restarted):
    """However far it was ahead, and whether or not the daemon runs when the time of the early reports comes."""
    reported = {}

    async def run(app, true, until, ahead=timedelta(0)):
        while true < until:
            for result in await due(app, true + ahead):
                assert ahead or reported.setdefault(result.covers, true) == true, "a right report comes once"
            true = schedule.upcoming(true + ahead)[0] - ahead + timedelta(seconds=20)
        return until

    async with application(when) as app:
        schedule, name = app.schedules[0].schedule, app.schedules[0].name
        true = await run(app, NOW, NOW + 2 * HOUR)
        begin = await app.state.last_period_end(name, now=true)
        true = await run(app, true, true + 20 * MINUTE, ahead=step)
        assert await due(app, true) == [] or step < HOUR
        true += step + HOUR if restarted else timedelta(0)
        period = schedule.last_due(true)
        more = min(step, 30 * HOUR) if when == "every 1h" else step
        true = await run(app, true, true + more + 2 * (period.end - period.start))
    owed = schedule.due_after(begin, true - HOUR)
    covered = sorted(period for period in reported if period.end > begin)
    assert covered[0].start == owed[0].start
    assert covered[-1].end >= owed[-1].end
    assert all(one.end == following.start for one, following in pairwise(covered))
    assert all(at >= schedule.fire(period) for period, at in reported.items())


async def test_a_report_that_is_made_again_says_which_one_it_replaces(application, caplog):
    async with application("every 1h") as app:
        await due(app)
        await due(app, NOW + HOUR)  # the clock is an hour ahead, and then set right
        with caplog.at_level(logging.WARNING):
            assert await due(app, NOW + MINUTE) == []
        assert "1 reports of 'every 1h UTC' came too early" in caplog.text
        await app.repository.write([event(NOW + 20 * MINUTE)])
        [result] = await due(app, NOW + 31 * MINUTE)
        assert result.covers == (NOW - HOUR / 2, NOW + HOUR / 2)
        again, early = await app.state.outbox()
        assert again.message.key.replace("~2", "") == early.message.key
        mail = message_from_bytes(again.message.body, policy=policy.default)
        assert (
            "This report replaces one of the same period that went out too early, at 2026-03-02 13:30 UTC, because the "
            "clock was ahead." in " ".join(text_of(mail).split())
        )
        assert mail["Message-ID"] != message_from_bytes(early.message.body, policy=policy.default)["Message-ID"]
        newest, _ = await app.state.reports()
        saved = await app.state.report(newest.id)
        assert (saved.report["total_requests"], saved.report["notes"][0]["kind"]) == (1, "replaces")
        assert await due(app, NOW + 32 * MINUTE) == []


async def test_an_empty_report_is_not_sent_where_the_schedule_says_so_and_is_done_all_the_same(application):
    async with application(ScheduleSettings(when="every 2h", skip_empty=True)) as app:
        await due(app)
        await due(app, NOW + 2 * HOUR)
        assert await app.state.outbox() == []
        await app.repository.write([event(NOW + 2 * HOUR)])
        await due(app, NOW + 4 * HOUR)
        assert len(await app.state.outbox()) == 1


async def test_that_nothing_was_ever_recorded_in_a_whole_day_goes_out_as_a_warning(application, tmp_path):
    async with application(ScheduleSettings(when="daily at 08:00", skip_empty=True)) as app:
        await due(app)
        await due(app, NOW + DAY)
        [mail] = (await mails_of(app)).values()
        text = mail.get_body(("plain",)).get_content()
        assert "No request has ever been recorded in" in text and "Nobody used" not in text
        assert "* Add UsageTrackingMiddleware to the app, with this database, and use the" in text


@pytest.mark.parametrize("status", ["CRITICAL", "nonsense"])
async def test_a_report_without_requests_goes_out_where_a_companion_report_tells_of_trouble(application, status):
    async with application(ScheduleSettings(when="every 2h", skip_empty=True)) as app:
        await due(app)
        app.settings.reports_dir.mkdir(exist_ok=True)
        (app.settings.reports_dir / "prod_report.json").write_text(json.dumps({"status": status}))
        await due(app, NOW + 2 * HOUR)
        assert len(await app.state.outbox()) == 1


async def test_a_weekday_without_anybody_after_a_busy_one_is_a_warning_that_goes_out(application):
    async with application(ScheduleSettings(when="daily at 08:00", skip_empty=True)) as app:
        await app.repository.write([event(NOW - DAY)])
        await app.repository.write([event(NOW + n * timedelta(minutes=1)) for n in range(20)])
        subjects = []
        for day in range(1, 9):
            await due(app, NOW + day * DAY)
            subjects = [item.message.subject for item in await app.state.outbox()]
        assert sorted(subjects) == [
            "Nobody used the app – Guardian",  # the first Tuesday: whether that is usual is not known yet
            "⚠ Nobody used the app, after 20 requests last Monday – Guardian",
        ]


async def test_a_schedule_has_recipients_of_its_own(application):
    async with application(ScheduleSettings(when="every 2h", recipients=("boss@example.com",))) as app:
        await due(app)
        [result] = await due(app, NOW + 2 * HOUR)
        assert result.recipients == ("boss@example.com",)


async def test_one_schedule_that_fails_does_not_stop_the_next(application, monkeypatch):
    async with application("every 2h", "every 1h") as app:
        await due(app)
        last_period_end = app.state.last_period_end

        async def failing(schedule, **values):
            if schedule.startswith("every 2h"):
                raise OSError("no more file handles")
            return await last_period_end(schedule, **values)

        monkeypatch.setattr(app.state, "last_period_end", failing)
        with pytest.raises(OSError, match="file handles"):
            await send_due_reports(app, now=NOW + 2 * HOUR)
        assert {item.message.key.split("/")[1] for item in await app.state.outbox()} == {"every 1h UTC"}


async def test_a_process_that_lost_the_lead_puts_nothing_into_the_outbox(application):
    async with application("every 2h") as app:
        await due(app)
        await renew_lead(app)
        old = app.token
        await app.state.acquire_lease("daemon", "another", NOW + HOUR, HOUR)
        with pytest.raises(LeaseLost):
            await send_due_reports(app, now=NOW + 2 * HOUR, token=old)
        assert await app.state.outbox() == []


async def test_the_ledger_and_the_saved_report_say_what_the_mail_said(application, tmp_path):
    async with application("every 2h") as app:
        await app.repository.write([event(NOW + HOUR / 2), event(NOW + HOUR / 2, status=500)])
        await due(app)
        await due(app, NOW + 2 * HOUR)
        [saved] = await app.state.reports()
        report = (await app.state.report(saved.id)).report
        assert (report["total_requests"], report["total_errors"], report["active_users"]) == (2, 1, 1)
        assert (tmp_path / "reports" / "usage_report.json").exists()


async def test_a_report_on_demand_is_sent_at_once_and_says_to_whom(application, inbox):
    inbox.refuse = {"gone@example.com": "550 no such user", "busy@example.com": "451 try later"}
    async with application() as app:
        await app.repository.write([event(NOW - HOUR)])
        to = ("admin@example.com", "gone@example.com", "busy@example.com")
        result = await send_report_now(app, hours=2, recipients=to)
        assert result.fates == dict(zip(to, ("sent", "dead", "pending"), strict=True))
        assert set(result.errors) == {"gone@example.com", "busy@example.com"}
        assert result.covers == (NOW - 2 * HOUR, NOW)
        assert len(inbox.mails) == 1
        await send_report_now(app, hours=2)
        assert len(inbox.texts()) == 2


async def test_a_report_on_demand_without_anybody_to_get_it_is_refused(application):
    async with application(admins=()) as app:
        with pytest.raises(ValueError, match="set admins in the configuration, or name a recipient"):
            await send_report_now(app, hours=2)


@pytest.mark.parametrize(("days", "mails"), [(1, 1), (3, 3), (9, 1)])
async def test_a_bell_from_outside_that_was_missed_is_made_up_for(application, days, mails):
    async with application("daily at 08:00") as app:
        await send_scheduled_report(app, now=NOW)
        before = len(await app.state.outbox())
        result = await send_scheduled_report(app, now=NOW + days * DAY)
        assert len(await app.state.outbox()) == before + mails
        assert (result.covers.end, result.claimed) == (NOW.replace(hour=0, minute=0) + days * DAY, True)
        assert await due(app, NOW + days * DAY) == []


async def test_a_bell_from_outside_sends_the_last_complete_period_once(application, inbox):
    async with application("daily at 08:00") as app:
        first = await send_scheduled_report(app, now=NOW)
        again = await send_scheduled_report(app, now=NOW + HOUR, schedule="daily at 08:00 UTC")
        assert (first.claimed, first.covers) == (
            True,
            (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        )
        assert (again.claimed, again.recipients) == (False, ())
        assert len(inbox.texts()) == 1


async def test_a_bell_after_the_first_start_of_a_daemon_still_sends(application, inbox):
    async with application("daily at 08:00") as app:
        await due(app)
        assert (await send_scheduled_report(app, now=NOW)).claimed
        assert await due(app) == []
        assert len(inbox.texts()) == 1


async def test_a_bell_for_an_unknown_schedule_is_refused_with_the_known_ones(application):
    async with application("every 2h") as app:
        with pytest.raises(ValueError, match=r"there is no schedule 'hourly': the configuration has 'every 2h UTC'"):
            await send_scheduled_report(app, now=NOW, schedule="hourly")
    async with application() as app:
        with pytest.raises(ValueError, match="no schedule is configured"):
            await send_scheduled_report(app, now=NOW)


def test_schedules_of_the_same_text_have_ledgers_of_their_own():
    settings = Settings(
        admins=("a@example.com",),
        schedules=(ScheduleSettings(when="2h"), ScheduleSettings(when="every 2h", recipients=("b@example.com",))),
    )
    assert [(s.name, s.recipients) for s in name_schedules(settings)] == [
        ("every 2h UTC", ("a@example.com",)),
        ("every 2h UTC (2)", ("b@example.com",)),
    ]


async def test_a_step_runs_only_in_the_process_that_leads_and_its_failure_is_noted(application, caplog):
    runs = []

    async def failing(app, now, token):
        runs.append(token)
        raise RuntimeError("broken")

    async with application() as app:
        step = Step("sample", 30, failing)
        await run_step(app, step)
        assert (runs, app.health) == ([], {})
        assert await renew_lead(app)
        await run_step(app, step)
        await run_step(app, step)
        assert runs == [app.token] * 2
        assert app.health["sample"].error == "RuntimeError: see the log"
        assert sum("'sample' failed and is tried again in 30 s" in message for message in caplog.messages) == 1


async def test_a_step_that_meets_a_new_leader_steps_back(application):
    async with application("every 2h") as app:
        await renew_lead(app)
        await run_step(app, Step("reports", 30, report_step))
        application.now = NOW + 2 * HOUR
        await app.state.acquire_lease("daemon", "another", application.now, LEASE_TTL)
        await run_step(app, Step("reports", 30, report_step))
        assert app.token is None
        assert not await renew_lead(app)


async def test_old_mails_and_reports_are_purged(application):
    async with application("every 2h") as app:
        await due(app)
        await due(app, NOW + 2 * HOUR)
        application.now, app.token = NOW + 2 * HOUR, 1
        await deliver_step(app, application.now, 1)
        folder = app.settings.reports_dir / "mail"
        folder.mkdir()
        for name in ("20260301T080000.000000-0123abcd.eml", "20260315T080000.000000-0123abcd.eml", "kept.eml"):
            (folder / name).touch()
        await purge_step(app, NOW + 31 * DAY, 1)
        assert sorted(file.name for file in folder.iterdir()) == ["20260315T080000.000000-0123abcd.eml", "kept.eml"]
        assert await app.state.outbox() == []
        assert await app.state.reports() == []


async def test_a_mail_that_cannot_be_written_costs_itself_alone_and_the_status_says_why(
    application, monkeypatch, inbox
):
    def write(content, *, recipient, **more):
        if recipient == "bob@example.com":
            raise ValueError("its header would not say what was meant")
        return build_message(content, recipient=recipient, **more)

    monkeypatch.setattr("guardian.mail.service.build_message", write)
    async with application("every 2h", admins=("ann@example.com", "bob@example.com")) as app:
        await due(app)
        [result] = await due(app, NOW + 2 * HOUR)
        assert result.recipients == ("ann@example.com", "bob@example.com")
        application.now, app.token = NOW + 2 * HOUR, 1
        await deliver_step(app, application.now, 1)
        assert [to for to, _ in inbox.mails] == ["ann@example.com"]
        status = await application_status(app)
        assert (status["outbox"]["sent"], status["outbox"]["dead"]) == (1, 1)
        [lost] = status["dead"]
        assert (lost["recipient"], lost["kind"]) == ("bob@example.com", "report")
        assert lost["error"] == "it cannot be written: its header would not say what was meant"
        result = await send_report_now(app, hours=2)
        assert result.fates == {"ann@example.com": "sent", "bob@example.com": "dead"}
        assert list(result.errors) == ["bob@example.com"]
        with pytest.raises(ValueError, match="is not a mail address"):
            await send_report_now(app, hours=2, recipients=["nobody"])
        assert await due(app, NOW + 2 * HOUR) == []


async def test_an_admin_whose_address_is_in_another_script_gets_the_report_like_the_others(application, inbox):
    async with application("every 2h", admins=("ann@example.com", "josé@bücher.example")) as app:
        await due(app)
        await due(app, NOW + 2 * HOUR)
        application.now, app.token = NOW + 2 * HOUR, 1
        await deliver_step(app, application.now, 1)
        assert [to for to, _ in inbox.mails] == ["ann@example.com", "josé@xn--bcher-kva.example"]
        assert (await application_status(app))["undelivered"] == []


async def test_the_status_says_when_the_next_report_goes_out_and_what_it_covers(application):
    async with application("daily at 08:00 Europe/Zurich") as app:
        status = await application_status(app)
        [schedule] = status["schedules"]
        assert schedule["sentence"] == (
            "next report goes out 2026-03-03 08:00, covering 2026-03-02 00:00 to 2026-03-03 00:00 (Europe/Zurich)"
        )
        assert status["leading"] is False
        assert status["outbox"] == {"pending": 0, "sent": 0, "dead": 0, "dropped": 0}
        assert status["storage"]["events"] == 0


async def test_a_schedule_of_some_features_counts_them_alone_and_leaves_the_report_file_alone(application, tmp_path):
    chat = ScheduleSettings(when="every 2h", name="chat", features=("chat_*",))
    async with application(chat, "every 2h") as app:
        before, at = NOW - HOUR, NOW + HOUR / 2
        await app.repository.write(
            [
                event(before, "bob@example.com"),
                event(before, "bob@example.com", feature="search"),
                event(at),
                event(at + HOUR / 4, status=500),
                event(at + HOUR / 3, status=500, feature="search"),
                event(at, "eve@example.com", feature="search"),
            ]
        )
        await due(app)
        await due(app, NOW + 2 * HOUR)
        saved = {each.schedule: (await app.state.report(each.id)).report for each in await app.state.reports()}
        found = saved["chat"]
        assert (found["total_requests"], found["total_errors"], found["active_users"]) == (2, 1, 1)
        [ada] = found["users"]
        assert (ada["requests_count"], ada["errors_count"], ada["features_used"]) == (2, 1, ["chat_message"])
        assert [error["endpoint"] for error in ada["errors"]] == ["/api/chat_message"]
        assert ada["total_time_minutes"] == 15
        assert found["top_features"] == [{"name": "chat_message", "count": 2}]
        assert found["previous"]["total_requests"] == 1
        assert sum(bar["requests"] for bar in found["timeline"]) == 2
        assert found["only_features"] == ["chat_*"]
        assert saved["every 2h UTC"]["total_requests"] == 4
        file = json.loads((tmp_path / "reports" / "usage_report.json").read_text())
        assert file["total_requests"] == 4
        texts = {i.message.key.split("/")[1]: text_of(message_from_bytes(i.message.body, policy=policy.default))
                 for i in await app.state.outbox()}  # fmt: skip
        assert "· only chat_*" in texts["chat"]
        assert "only" not in texts["every 2h UTC"].split("\n\n")[0]


async def test_a_period_whose_single_requests_are_gone_is_refused_for_some_features_and_told_for_all(application):
    async with application() as app:
        await app.repository.write([event(NOW - 3 * DAY)])
        await app.repository.seal(NOW)
        await app.repository.purge(events_before=NOW - DAY, summaries_before=NOW - 9 * DAY)
        window = {"start_time": NOW - 4 * DAY, "end_time": NOW - 2 * DAY}
        window = {edge: at.replace(minute=0) for edge, at in window.items()}
        assert (await app.usage.generate_report(**window))["total_requests"] == 1
        with pytest.raises(WindowGone, match=r"let retention\.events_days be longer than its period"):
            await app.usage.generate_report(**window, features=("chat_*",))
        assert (await app.usage.generate_report(hours=2, features=("chat_*",)))["total_requests"] == 0


async def test_of_missed_reports_those_that_can_still_be_made_go_out(application, caplog):
    some = ScheduleSettings(when="daily at 08:00", features=("chat_*",), name="chat")
    async with application(some) as app:
        await due(app)
        days = [NOW + n * DAY for n in range(1, 10)]
        await app.repository.write([event(day) for day in days])
        await app.repository.seal(NOW + 10 * DAY)
        await app.repository.purge(events_before=NOW + 5 * DAY, summaries_before=NOW - 9 * DAY)
        [result] = await due(app, NOW + 10 * DAY)
        midnight = NOW.replace(hour=0, minute=0)
        assert result.covers == (midnight + 5 * DAY, midnight + 10 * DAY)
        assert len(await app.state.outbox()) == 1
        assert await due(app, NOW + 10 * DAY) == []
    [said] = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert said.startswith("Report 'chat' for 2026-03-02T00:00+00:00 to 2026-03-07T00:00+00:00 is left out: ")


async def test_a_schedule_chooses_the_sections_and_the_format_of_its_mails(application):
    some = ScheduleSettings(when="every 2h", sections=("summary", "users"), format="text")
    async with application(some, ScheduleSettings(when="2h", recipients=("all@example.com",))) as app:
        await app.repository.write([event(NOW + HOUR / 2), event(NOW + HOUR / 2, status=500)])
        await due(app)
        await due(app, NOW + 2 * HOUR)
        mails = await mails_of(app)
        short, whole = mails["admin@example.com"], mails["all@example.com"]
        assert "WHO USED IT" in text_of(short) and "Requests" in text_of(short)
        assert "WHAT FAILED" not in text_of(short) and "Stored:" not in text_of(short)
        assert [part.get_content_type() for part in short.walk()] == ["text/plain"]
        assert "WHAT FAILED" in text_of(whole) and "Stored:" in text_of(whole)
        assert whole.get_body(("html",)) is not None


async def test_each_recipient_reads_the_report_in_their_language_and_in_the_zone_of_the_schedule(application):
    to = ("ada@example.com", "zoe@example.com", "kim@example.com")
    paris = ScheduleSettings(when="every 2h", timezone="Asia/Tokyo", recipients=to, language="fr")
    mail = {"languages": {"Ada@example.com": "en"}}
    async with application(paris, mail=mail) as app:
        await app.repository.write([event(NOW + HOUR / 2, status=500)])
        await due(app)
        await due(app, NOW + 2 * HOUR)
        texts = {to: text_of(mail) for to, mail in (await mails_of(app)).items()}
        assert "Mon 2 Mar, 20:00 – 22:00 (Asia/Tokyo)" in texts["ada@example.com"]
        assert "lun. 2 mars" in texts["zoe@example.com"] and "lun. 2 mars" in texts["kim@example.com"]


def test_a_wrong_section_or_a_second_time_zone_is_refused_with_the_cure():
    with pytest.raises(
        ValueError, match=r'"user" is not a section of the report mail: did you mean users\? They are sum'
    ):
        ScheduleSettings(when="2h", sections=("user",))
    with pytest.raises(ValueError, match=r"when \(Asia/Tokyo\) and in timezone \(UTC\): keep one"):
        ScheduleSettings(when="2h Asia/Tokyo", timezone="UTC")
    with pytest.raises(ValueError, match="'de' is not known: it is one of en, fr"):
        ScheduleSettings(when="2h", language="de")


def broken_file(tmp_path, how, monkeypatch):
    """Make `usage_report.json` impossible to write, in one of the ways that there are; gives back what mends it."""
    reports = tmp_path / "reports"
    if how == "folder":
        (reports / "usage_report.json").mkdir(parents=True)
        return (reports / "usage_report.json").rmdir
    if how == "no folder":
        reports.write_text("a file")
        return reports.unlink

    def refused(path, report):
        raise OSError(int(how), os.strerror(int(how)))

    write = guardian.application.usage._write_whole
    monkeypatch.setattr(guardian.application.usage, "_write_whole", refused)
    return lambda: monkeypatch.setattr(guardian.application.usage, "_write_whole", write)


@pytest.mark.parametrize("how", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, "folder", "no folder"])
async def test_a_report_goes_out_although_its_file_cannot_be_written_and_that_is_said(
    application, inbox, tmp_path, how, monkeypatch, caplog
):
    async with application("every 2h") as app:
        await due(app)
        mend = broken_file(tmp_path, how, monkeypatch)
        [result] = await due(app, NOW + 2 * HOUR)
        assert result.recipients == ("admin@example.com",)
        assert (await send_report_now(app, hours=2)).fates == {"admin@example.com": "sent"}
        assert sum("usage_report.json cannot be written" in line for line in caplog.messages) == 1
        assert "usage_report.json could not be written:" in " ".join(inbox.texts()[-1].split())
        status = await application_status(app)
        assert "usage_report.json cannot be written" in status["steps"]["report file"]["error"]
        mend()
        await due(app, NOW + 4 * HOUR)
        assert "report file" not in (await application_status(app))["steps"]
        assert (tmp_path / "reports" / "usage_report.json").is_file()

"""The watchdog: late reports are told of once on another channel, and a ping follows each that has gone out."""

import json
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.reporting import send_due_reports
from guardian.application.root import StepHealth, open_application
from guardian.application.scheduler import deliver_step
from guardian.application.watchdog import PING_TRIES, watch_step
from guardian.mail.transport import PermanentError
from guardian.settings.channels import ChannelSettings
from guardian.settings.schedules import WatchdogSettings
from guardian.settings.schema import MailSettings, ScheduleSettings, Settings
from tests.integration.test_channels import Server

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DUE = NOW + HOUR


class Post:
    """A transport that takes every mail, but for addresses that do not exist."""

    name, channel, login = "post", "mail", None

    def __init__(self, *refused):
        self.refused, self.sent = set(refused), []

    async def send(self, message, *, sender, recipient):
        if recipient in self.refused:
            raise PermanentError("550 no such user")
        self.sent.append(recipient)

    async def close(self):
        """Nothing is held open."""


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


@pytest.fixture
def daemon(tmp_path, server):
    """Opens the application on one database, at a time that the test sets; each opening is a restart."""

    @asynccontextmanager
    async def opened(*, channel=False, ping=True, admins=("admin@example.com",), post=None, **schedule):
        table = {"when": "every 1h", "name": "hourly"} | schedule
        url = f"json://127.0.0.1:{server.port}/hook"
        settings = Settings(
            database=tmp_path / "guardian.db",
            reports_dir=tmp_path / "reports",
            admins=admins,
            schedules=(ScheduleSettings(**table),),
            mail=MailSettings(sender="Guardian <guardian@example.com>"),
            channels={"ops": ChannelSettings(url=url, allow_private=True)} if channel else {},
            watchdog=WatchdogSettings(ping_url=f"http://127.0.0.1:{server.port}/ping" if ping else None),
        )
        async with open_application(settings, clock=lambda: opened.now) as app:
            channels = [each for each in app.transports if getattr(each, "channel", "mail") != "mail"]
            app.transports, app.token = [opened.post, *channels], 1
            yield app

    opened.now, opened.post = NOW, Post()
    return opened


async def begin(app):
    await send_due_reports(app, now=NOW)


async def report(app, at):
    """What the step "reports" does at a time, and that it has been done."""
    await send_due_reports(app, now=at)
    await deliver_step(app, at, 1)
    app.health["reports"] = StepHealth(at, None)


def said(server):
    return [json.loads(body) for path, _, body in server.requests if path == "/hook"]


def pings(server):
    return [path for path, _, _ in server.requests if path.startswith("/ping")]


async def test_a_report_that_has_gone_out_is_pinged_once_whatever_restarts(daemon, server):
    async with daemon() as app:
        await begin(app)
        await watch_step(app, NOW, None)
        assert pings(server) == []
    daemon.now = DUE + MINUTE
    async with daemon() as app:
        await send_due_reports(app, now=daemon.now)
    async with daemon() as app:
        await watch_step(app, daemon.now, None)
        assert pings(server) == []  # its mail waits
    async with daemon() as app:
        await deliver_step(app, daemon.now, 1)
    for _ in range(3):
        async with daemon() as app:
            await watch_step(app, daemon.now, None)
    assert pings(server) == ["/ping"]
    assert daemon.post.sent == ["admin@example.com"]


async def test_the_address_of_a_ping_is_in_no_log(daemon, server, caplog):
    daemon.now = DUE + MINUTE
    caplog.set_level(logging.DEBUG)
    async with daemon(ping_url=f"http://127.0.0.1:{server.port}/ping/code?token=hunter2") as app:
        await begin(app)
        await report(app, daemon.now)
        await watch_step(app, daemon.now, None)
    assert pings(server) == ["/ping/code?token=hunter2"]
    assert "hunter2" not in caplog.text
    assert "/ping/code" not in caplog.text


async def test_a_schedule_has_an_address_of_its_own_and_an_empty_report_that_is_kept_back_is_pinged_too(daemon, server):
    daemon.now = DUE + MINUTE
    async with daemon(ping_url=f"http://127.0.0.1:{server.port}/ping/own?status=up", skip_empty=True) as app:
        await begin(app)
        await report(app, daemon.now)
        await watch_step(app, daemon.now, None)
    assert (pings(server), daemon.post.sent) == (["/ping/own?status=up"], [])


async def test_a_ping_that_fails_is_tried_again_a_few_times_and_then_given_up(daemon, server, caplog):
    server.answers = [(503, {}, b"secret words")]
    daemon.now = DUE + MINUTE
    async with daemon() as app:
        await begin(app)
        await report(app, daemon.now)
        for minute in range(40):
            await watch_step(app, daemon.now + minute * MINUTE, None)
    assert len(pings(server)) == PING_TRIES
    assert "given up after 5 tries: the answer was 503" in caplog.text
    assert "secret words" not in caplog.text and "/ping" not in caplog.text


async def test_a_ping_that_fails_once_comes_through_with_the_next(daemon, server):
    server.answers = ["break", (200, {}, b"OK")]
    daemon.now = DUE + MINUTE
    async with daemon() as app:
        await begin(app)
        await report(app, daemon.now)
        await watch_step(app, daemon.now, None)
    async with daemon() as app:
        for minute in (0, 1, 2, 3):
            await watch_step(app, daemon.now + minute * MINUTE, None)
        assert await app.stores.watch.watched() == []
    assert len(pings(server)) == 2


async def test_a_report_that_cannot_be_made_is_told_of_once_on_the_channel_and_in_the_log(daemon, server, caplog):
    async with daemon(channel=True) as app:
        await begin(app)
        app.health["reports"] = StepHealth(DUE + 29 * MINUTE, "StorageError")
        await watch_step(app, DUE + 29 * MINUTE, None)
        assert caplog.records == []
    for minute in (31, 32, 40):
        async with daemon(channel=True) as app:
            app.health["reports"] = StepHealth(DUE + minute * MINUTE, "StorageError")
            daemon.now = DUE + minute * MINUTE
            await watch_step(app, daemon.now, None)
            await deliver_step(app, daemon.now, 1)
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == (
        "Report 'hourly' for 2026-03-02T12:00+00:00 to 2026-03-02T13:00+00:00 was due at 2026-03-02T13:00+00:00 "
        "and has not gone out: the report could not be made (see the log)"
    )
    [message] = said(server)
    assert message["title"] == "The report “hourly” has not gone out"
    assert "It covers Mon 2 Mar, 12:00 – 13:00 and was due on Mon 2 Mar, 13:00 (UTC)." in message["message"]
    assert "Why: the report could not be made (see the log)." in message["message"]
    assert pings(server) == []


async def test_a_report_that_was_told_of_and_goes_out_at_last_is_pinged_and_not_told_of_again(daemon, server):
    async with daemon(channel=True) as app:
        await begin(app)
        daemon.now = DUE + 40 * MINUTE
        app.health["reports"] = StepHealth(daemon.now, "StorageError")
        await watch_step(app, daemon.now, None)
        await report(app, daemon.now)
        await watch_step(app, daemon.now + MINUTE, None)
        await deliver_step(app, daemon.now + MINUTE, 1)
        assert await app.stores.watch.watched() == []
    assert (len(said(server)), len(pings(server))) == (1, 1)


async def test_after_downtime_reports_are_caught_up_before_anything_is_called_late(daemon, server, caplog):
    async with daemon(channel=True) as app:
        await begin(app)
    daemon.now = NOW + 3 * HOUR + MINUTE
    async with daemon(channel=True) as app:
        await watch_step(app, daemon.now, None)  # before the step "reports"
        await send_due_reports(app, now=daemon.now)
        await watch_step(app, daemon.now, None)  # made, not yet delivered
        await report(app, daemon.now)
        await watch_step(app, daemon.now + MINUTE, None)
        await deliver_step(app, daemon.now + MINUTE, 1)
    assert said(server) == []
    assert len(pings(server)) == 3
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_after_a_sleep_of_the_machine_reports_are_caught_up_before_anything_is_called_late(daemon, server):
    async with daemon(channel=True) as app:
        await begin(app)
        for minute in range(3):
            await watch_step(app, NOW + minute * MINUTE, None)
        daemon.now = NOW + 3 * HOUR + MINUTE
        await watch_step(app, daemon.now, None)  # before the step "reports"
        await report(app, daemon.now)
        await watch_step(app, daemon.now + MINUTE, None)
        await deliver_step(app, daemon.now + MINUTE, 1)
    assert said(server) == []
    assert len(pings(server)) == 3


async def test_a_step_that_hangs_is_noticed_all_the_same(daemon, server):
    async with daemon(channel=True) as app:
        await begin(app)
        daemon.now = DUE + HOUR
        await watch_step(app, daemon.now, None)
        await watch_step(app, daemon.now + 4 * MINUTE, None)
        assert await app.state.outbox() == []
        await watch_step(app, daemon.now + 5 * MINUTE, None)
        assert [item.message.recipient for item in await app.state.outbox()] == ["ops"]


async def test_a_sleep_or_a_step_of_the_clock_past_a_due_time_calls_nothing_late_while_it_is_caught_up(daemon, server):
    async with daemon(channel=True) as app:
        await begin(app)
        await watch_step(app, NOW, None)
        daemon.now = DUE + 50 * MINUTE
        # The run that began before the sleep ends after it, and has looked at nothing that is due now.
        app.health["reports"] = StepHealth(daemon.now, None, began_at=NOW + MINUTE)
        for seconds in (0, 60, 120, 180, 240):
            await watch_step(app, daemon.now + timedelta(seconds=seconds), None)
        await send_due_reports(app, now=daemon.now)
        app.health["reports"] = StepHealth(daemon.now + 4 * MINUTE, None, began_at=daemon.now)
        for minute in (5, 6):  # made; its mail is on its way
            await watch_step(app, daemon.now + minute * MINUTE, None)
        await deliver_step(app, daemon.now + 6 * MINUTE, 1)
        await watch_step(app, daemon.now + 7 * MINUTE, None)
    assert said(server) == []
    assert len(pings(server)) == 1


async def test_a_sleep_between_a_report_and_its_mail_calls_nothing_late(daemon, server):
    async with daemon(channel=True) as app:
        await begin(app)
        daemon.now = DUE + MINUTE
        await send_due_reports(app, now=daemon.now)
        await watch_step(app, daemon.now, None)
        await watch_step(app, DUE + 2 * HOUR - MINUTE, None)
        assert [item.message.kind for item in await app.state.outbox()] == ["report"]


async def test_a_report_that_a_run_after_the_sleep_could_not_make_is_told_of_at_once(daemon, server):
    async with daemon(channel=True) as app:
        await begin(app)
        daemon.now = DUE + 50 * MINUTE
        app.health["reports"] = StepHealth(daemon.now + MINUTE, "StorageError", began_at=daemon.now)
        await watch_step(app, daemon.now + MINUTE, None)
        assert [item.message.recipient for item in await app.state.outbox()] == ["ops"]


async def test_a_mail_that_is_dead_is_told_to_the_other_admins_and_not_pinged_until_it_is_out(daemon, server):
    daemon.post.refused = {"gone@example.com"}
    admins = ("admin@example.com", "gone@example.com")
    async with daemon(admins=admins) as app:
        await begin(app)
        daemon.now = DUE + MINUTE
        await report(app, daemon.now)
        await watch_step(app, daemon.now, None)
        for minute in (29, 31, 32):
            await watch_step(app, DUE + minute * MINUTE, None)
        warnings = [i.message for i in await app.state.outbox() if i.message.kind == "warning"]
        assert [(m.recipient, m.subject) for m in warnings] == [
            ("admin@example.com", "Mail to gone@example.com is not being delivered")
        ]
        assert pings(server) == []
        [dead] = await app.state.outbox(status="dead")
        daemon.post.refused, daemon.now = set(), DUE + 35 * MINUTE
        await app.state.retry(dead.id, daemon.now)
        await deliver_step(app, daemon.now, 1)
        await watch_step(app, daemon.now, None)
        assert pings(server) == ["/ping"]


async def test_a_mail_that_an_admin_drops_is_forgotten_without_a_ping(daemon, server):
    daemon.post.refused = {"admin@example.com"}
    daemon.now = DUE + MINUTE
    async with daemon() as app:
        await begin(app)
        await report(app, daemon.now)
        [dead] = await app.state.outbox()
        await app.state.drop(dead.id, daemon.now)
        await watch_step(app, DUE + HOUR, None)
        assert await app.stores.watch.watched() == []
    assert pings(server) == []


async def test_a_report_whose_events_are_deleted_does_not_stop_the_next(daemon, server, caplog):
    from tests.integration.test_reporting import event

    async with daemon(features=["chat_*"]) as app:
        await begin(app)
        await app.repository.write([event(NOW + MINUTE)])
        await app.repository.seal(NOW + 2 * HOUR)
        await app.repository.purge(events_before=NOW + HOUR, summaries_before=NOW - HOUR)
        daemon.now = NOW + 2 * HOUR + MINUTE
        await report(app, daemon.now)
        assert [saved.period_start for saved in await app.state.reports()] == [NOW + HOUR]
        assert "Report 'hourly' for 2026-03-02T12:00+00:00 to 2026-03-02T13:00+00:00 is left out" in caplog.text


def test_a_channel_that_does_not_exist_and_an_address_that_is_none_are_refused_without_showing_the_address():
    with pytest.raises(ValueError, match=r"channels has 'ops', which is not a channel \(known: none is configured\)"):
        Settings(watchdog=WatchdogSettings(channels=("ops",)))
    with pytest.raises(ValueError, match=r"this is not a web address: write it as https://hc-ping\.com/your-code") as e:
        WatchdogSettings(ping_url="hc-ping.com/s3cret")
    assert "s3cret" not in str(e.value)

"""From events to mails in an inbox: the three default rules over a real SMTP server, on a clock that we turn."""

import asyncio
import email
from datetime import UTC, datetime, timedelta
from email import policy

import pytest
from aiosmtpd.smtp import SMTP

from guardian.application.judging.steps import alert_step
from guardian.application.root import open_application
from guardian.core.time import micros
from guardian.settings.schema import Settings
from tests.support.delivering import deliver_due
from tests.support.events import event
from tests.support.plain import plain
from tracker.event import Failure

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)


class Inbox:
    """Keeps what it is given, as (minute, message)."""

    def __init__(self, clock):
        self.clock, self.mails = clock, []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(
            (self.clock.minute, email.message_from_bytes(envelope.original_content, policy=policy.default))
        )
        return "250 OK"


class Clock:
    """The time of the test, in minutes since its start."""

    minute = 0

    def __call__(self):
        return START + timedelta(minutes=self.minute, seconds=10)


def people(minute, number):
    """Users who come in this minute only: none of them meets errors again and again."""
    return [f"u{minute}-{n}@example.com" for n in range(number)]


def requests(minute, feature, users, status=200):
    """One request of each user in this minute."""
    failure = Failure("Boom", "Internal Server Error", "app.py:7 f") if status >= 500 else None
    return [
        event(
            micros(START + timedelta(minutes=minute)) + n,
            user=user,
            path=f"/api/{feature}",
            method="POST",
            feature=feature,
            status=status,
            duration_us=9,
            failure=failure,
        )
        for n, user in enumerate(users)
    ]


@pytest.fixture
async def live(tmp_path):
    """Lives through minutes: `await live(events_of_minute, minutes)` gives the mails that arrived, minute by minute."""
    clock = Clock()
    inbox = Inbox(clock)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox, hostname="localhost"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(
        database=tmp_path / "guardian.db", reports_dir=tmp_path / "reports", admins=["ann@example.org"],
        mail={"smtp": {"host": "127.0.0.1", "port": port, "security": "none"}},
    )  # fmt: skip
    async with server, open_application(settings, clock=clock) as app:

        async def go(events, minutes):
            for clock.minute in range(1, minutes + 1):
                await app.repository.write(events(clock.minute - 1))
                await alert_step(app, clock(), None)
                await deliver_due(app.state, app.transports, now=clock(), holder="test")
            return inbox.mails

        yield go


def told(mails):
    return [(minute, mail["Subject"]) for minute, mail in mails]


async def test_a_feature_that_is_down_is_told_reminded_of_and_told_well_in_one_thread(live):
    def events(minute):
        down = 20 <= minute < 300
        chat = requests(minute, "chat_message", people(minute, 6), 500 if down else 200)
        return chat + requests(minute, "docs", people(minute, 60))

    mails = await live(events, 330)
    assert told(mails) == [
        (30, "● chat_message is down – Guardian"),
        (270, "Re: ● chat_message is down – Guardian"),
        (306, "Re: ● chat_message is down – Guardian"),
    ]
    first, reminder, end = (mail for _, mail in mails)
    assert first["In-Reply-To"] is None
    assert {reminder["In-Reply-To"], end["In-Reply-To"], reminder["References"], end["References"]} == {
        first["Message-ID"]
    }
    assert len({first["Message-ID"], reminder["Message-ID"], end["Message-ID"]}) == 3
    said = [plain(mail.get_body(("plain",)).get_content()).splitlines()[2] for mail in (first, reminder, end)]
    assert said == [
        "Opened. All 60 requests in the last 10 min failed.",
        "Still firing. All 60 requests in the last 10 min failed.",
        "Resolved after 4 h 40 min. At worst, every request failed.",
    ]


async def test_an_error_rate_above_ten_percent_is_told_and_told_well(live):
    def events(minute):
        bad = 2 if 20 <= minute < 60 else 0
        return requests(minute, "docs", people(minute, bad), 500) + requests(minute, "docs", people(minute, 10))

    mails = await live(events, 110)
    assert told(mails) == [
        (46, "⚠ Error rate above 10 % – Guardian"),
        (92, "Re: ⚠ Error rate above 10 % – Guardian"),
    ]
    assert mails[1][1]["In-Reply-To"] == mails[0][1]["Message-ID"]


async def test_a_user_who_keeps_meeting_errors_is_told_with_their_steps_and_can_be_answered(live):
    def events(minute):
        unlucky = requests(minute, "upload", ["rosa@example.com"], 500) if 20 <= minute < 25 else []
        return unlucky + requests(minute, "docs", people(minute, 60))

    mails = await live(events, 60)
    assert told(mails) == [
        (25, "⚠ rosa@example.com keeps hitting errors – Guardian"),
        (40, "Re: ⚠ rosa@example.com keeps hitting errors – Guardian"),
    ]
    assert mails[0][1]["Reply-To"] == "rosa@example.com"
    assert "upload" in mails[0][1].get_body(("plain",)).get_content()
    assert mails[1][1]["In-Reply-To"] == mails[0][1]["Message-ID"]

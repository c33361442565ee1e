"""What the admins hear when an account can no longer send, or soon cannot: by the other transport, once."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from guardian.application.delivering import deliver_now
from guardian.application.logins import login_step
from guardian.application.reporting import send_report_now
from guardian.application.root import open_application
from guardian.settings.mail import GmailSettings
from guardian.settings.schema import MailSettings, Settings, SmtpSettings
from tests.support.google_server import Google
from tests.support.mail_servers import serving

NOW = datetime(2026, 3, 16, 12, 30, tzinfo=UTC)
LOST = "Guardian can no longer send through Gmail"


class Inbox:
    """Keeps the messages that an SMTP server accepts."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def lost(self):
        return [mail for mail in self.mails if mail["Subject"] == LOST]


@pytest.fixture
def inbox():
    with serving(Inbox()) as handler:
        yield handler


@pytest.fixture
def google():
    server = Google()
    server.token_answers = [(400, {"error": "invalid_grant"}, {})]
    yield server
    server.close()


@pytest.fixture
def application(tmp_path, inbox, google):
    """Opens the application with Gmail before SMTP, at a time that the test sets."""

    @asynccontextmanager
    async def opened(*, smtp=True, **token):
        mail = MailSettings(
            sender="Guardian <guardian@example.com>",
            gmail=GmailSettings(token_file=google.token_file(tmp_path / "token.json", **token)),
            smtp=SmtpSettings(host="127.0.0.1", port=inbox.port, security="none") if smtp else None,
        )
        settings = Settings(
            database=tmp_path / "guardian.db",
            reports_dir=tmp_path / "reports",
            admins=("admin@example.com",),
            mail=mail,
        )
        async with open_application(settings, clock=lambda: opened.now) as app:
            yield app

    opened.now = NOW
    return opened


async def drain(app):
    while (await deliver_now(app)).tried:
        pass


async def test_when_gmail_refuses_the_login_the_mail_and_one_warning_go_by_smtp(application, inbox):
    async with application() as app:
        result = await send_report_now(app, hours=2)
        await drain(app)
        assert result.fates == {"admin@example.com": "sent"}
        items = await app.state.outbox()
    assert {item.status for item in items} == {"sent"}
    assert {item.transport for item in items} == {"smtp"}
    assert len(inbox.mails) == 2
    [warning] = inbox.lost()
    assert warning["To"] == "admin@example.com"
    text = " ".join(warning.get_body(("plain",)).get_content().split())
    assert "Gmail: Google refuses the login (invalid_grant): run 'guardian gmail login'." in text


async def test_the_warning_comes_once_a_day_however_often_gmail_refuses(application, inbox, google):
    async with application() as app:
        for minutes, warnings in ((0, 1), (10, 1), (20, 1), (24 * 60, 2), (24 * 60 + 10, 2)):
            application.now = NOW + timedelta(minutes=minutes)
            await send_report_now(app, hours=2)
            await drain(app)
            assert len(inbox.lost()) == warnings
    assert len(google.grants) == 5
    assert len(inbox.mails) == 5 + 2


async def test_without_another_transport_no_warning_waits_for_the_one_that_it_is_about(application, inbox):
    async with application(smtp=False) as app:
        await send_report_now(app, hours=2)
        [item] = await app.state.outbox()
    assert item.status == "pending"
    assert item.last_error == "gmail: Google refuses the login (invalid_grant): run 'guardian gmail login'"


async def test_a_login_that_ends_soon_is_told_once_two_days_ahead(application, inbox):
    expiry = NOW + timedelta(days=4)
    async with application(refresh_token_expiry=expiry.isoformat()) as app:
        told = []
        for hours in range(0, 4 * 24 + 12, 6):
            await login_step(app, NOW + timedelta(hours=hours), None)
            told.append(len(await app.state.outbox()))
        assert told == [0] * 8 + [1] * 10
        [item] = await app.state.outbox()
        assert item.message.subject == "Guardian's login for Gmail expires soon"
        body = message_from_bytes(item.message.body, policy=policy.default).get_body(("plain",)).get_content()
        said = " ".join(body.split())
        assert (
            "It expires on Fri 20 Mar, 12:30 (UTC). To keep sending through Gmail: run 'guardian gmail login'." in said
        )

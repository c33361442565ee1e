"""The report mail from recorded events to a mail server: real database, real report, real SMTP."""

import asyncio
import email
import json
from datetime import UTC, datetime, timedelta
from email import policy

from aiosmtpd.smtp import SMTP

from guardian import EmailService, UsageGuardian
from guardian.mail.companions import load_companions
from guardian.mail.transports.smtp import SmtpTransport
from guardian.settings.schema import SmtpSettings
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event
from tracker.event import Failure

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)


def upload(minutes_ago, status, failure=None):
    return event(
        NOW - timedelta(minutes=minutes_ago), path="/api/documents", feature="document_upload", method="POST",
        status=status, ms=90, failure=failure,
    )  # fmt: skip


class Inbox:
    """Keeps what arrives."""

    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 OK"


async def test_recorded_requests_reach_an_admin_as_a_mail(tmp_path):
    reports = tmp_path / "reports"
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    too_large = Failure("HTTP 413", "File too large")
    await repository.write([upload(n, 200) for n in range(1, 31)] + [upload(n + 40, 413, too_large) for n in range(6)])
    usage, path = await UsageGuardian(repository, reports_dir=reports, clock=lambda: NOW).generate_and_save_report(
        hours=2
    )
    await repository.close()
    (reports / "prod_report.json").write_text(json.dumps({"status": "failed", "summary": {"checks": 3}}))
    (reports / "docs_report.json").write_text("{")

    inbox = Inbox()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: SMTP(inbox, hostname="localhost"), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        transport = SmtpTransport(SmtpSettings(host="127.0.0.1", port=port, security="none"))
        service = EmailService([transport], sender="Guardian <guardian@example.com>", clock=lambda: NOW)
        given = {**load_companions(reports), "usage_stats": json.loads(path.read_text())}
        await service.send_guardian_report(to_email="admin@example.com", reports=given)
        await transport.close()

    assert given["usage_stats"] == usage
    [envelope] = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("guardian@example.com", ["admin@example.com"])
    message = email.message_from_bytes(envelope.content, policy=policy.default)
    assert message["Subject"] == "● Prod report reports FAILED – Guardian"
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for part in (text, html):
        assert "413" in part and "Content Too Large" in part and "File too large" in part
        assert "ada@example.com" in part and "docs_report.json could not be shown: it is not JSON (line 1)." in (
            " ".join(part.replace("</span>", "").split())
        )

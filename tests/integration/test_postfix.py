"""The report mail, end to end through a real Postfix: over TLS into a mailbox, where it is what was composed."""

import asyncio
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from guardian.mail.service import EmailService
from guardian.mail.transport import PermanentError, Unreachable
from guardian.mail.transports.smtp import SmtpTransport
from guardian.settings.schema import SmtpSettings
from tests.support.mail_servers import make_certificate
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.needs_postfix,
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root only"),
]
NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
START = NOW - timedelta(hours=2)
OWNER = 65534
"""Whom mailboxes belong to: nobody, on every Debian."""

MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
myhostname = mx.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
virtual_mailbox_domains = example.org
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = inline:{{ {{ann@example.org=ann/}} {{zoe@example.org=zoe/}} }}
virtual_minimum_uid = 100
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
virtual_transport = virtual
default_transport = error:nothing leaves this test
relay_transport = error:nothing leaves this test
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_chain_files = {home}/server.pem
smtpd_tls_security_level = encrypt
smtpd_tls_received_header = yes
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance of its own under `home`, which delivers mail for two people of example.org."""

    def __init__(self, home):
        self.home, self.config = home, home / "etc"
        self.port = free_port()

    def start(self):
        for name in ("etc", "queue", "data", "mail"):
            (self.home / name).mkdir()
        self.home.chmod(0o755)  # Postfix drops root's rights and must still get here
        shutil.chown(self.home / "data", "postfix")
        os.chown(self.home / "mail", OWNER, OWNER)
        make_certificate(self.home / "server.pem")
        (self.config / "main.cf").write_text(MAIN.format(home=self.home, owner=OWNER))
        (self.config / "master.cf").write_text(MASTER.format(port=self.port))
        self._run("start")

    def _run(self, command):
        done = subprocess.run(["postfix", "-c", self.config, command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"postfix {command}: {done.stderr}\n{self.log()}"

    def log(self):
        path = self.home / "mail.log"
        return path.read_text() if path.exists() else ""

    def stop(self):
        self._run("stop")

    def transport(self, *, trust=True):
        settings = SmtpSettings(host="127.0.0.1", port=self.port, security="starttls", timeout_seconds=60)
        context = ssl.create_default_context(cafile=str(self.home / "server.pem")) if trust else None
        return SmtpTransport(settings, tls_context=context)

    async def mailbox(self, name, count=1):
        """The mails of this person, once there are so many."""
        deadline = time.monotonic() + 60
        while len(files := sorted((self.home / "mail" / name / "new").glob("*"))) < count:
            assert time.monotonic() < deadline, f"nothing arrived\n{self.log()}"
            await asyncio.sleep(0.1)
        return [path.read_bytes() for path in files]


@pytest.fixture(scope="module")
def postfix():
    home = Path(tempfile.mkdtemp(prefix="guardian-postfix-"))  # a short path: its sockets have at most 107 bytes
    running = Postfix(home)
    try:
        running.start()
        yield running
    finally:
        try:
            if (home / "queue" / "pid" / "master.pid").exists():
                running.stop()
        finally:
            shutil.rmtree(home)


def report_mail(recipient):
    report = {
        "period_start": START.isoformat(), "period_end": NOW.isoformat(),
        "active_users": 1, "total_requests": 12, "total_errors": 1,
        "users": [{
            "email": "zoë@example.com", "total_time_minutes": 7, "features_used": ["chat_message"],
            "requests_count": 12, "errors_count": 1,
            "errors": [{"endpoint": "/chat", "error": "Timeout", "timestamp": NOW.isoformat(), "code": 504}],
        }],
        "top_features": [{"name": "chat_message", "count": 12}], "error_breakdown": {"504": 1},
    }  # fmt: skip
    email = EmailService([], sender="Guardian <guardian@example.com>", clock=lambda: NOW)
    return email.compose_guardian_report(recipient, {"usage_stats": report}, key=f"report/daily/{recipient}")


async def test_a_report_mail_is_in_the_mailbox_as_it_was_composed(postfix):
    mail, transport = report_mail("ann@example.org"), postfix.transport()
    await transport.send(mail.body, sender="guardian@example.com", recipient=mail.recipient)
    await transport.close()
    [data] = await postfix.mailbox("ann")
    composed = mail.body.replace(b"\r\n", b"\n")  # lines end as files of this system have them
    sent, got = (message_from_bytes(each, policy=policy.default) for each in (composed, data))
    added = [name for name in got if name not in sent]
    # The trace that RFC 5321 (4.4) asks of a server, and what a mailbox is told of the envelope.
    assert added == ["Return-Path", "X-Original-To", "Delivered-To", "Received"]
    assert [(name, str(value)) for name, value in got.items() if name not in added] == [
        (name, str(value)) for name, value in sent.items()
    ]
    assert (got["Subject"], got["Message-ID"]) == (mail.subject, sent["Message-ID"])
    assert got["Return-Path"] == "<guardian@example.com>"
    assert "using TLSv1" in got["Received"]
    assert [part.get_content_type() for part in got.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    for kind in ("plain", "html"):
        assert got.get_body((kind,)).get_content() == sent.get_body((kind,)).get_content()
    # An address may be broken after its "@" and its dots on a narrow screen.
    assert "zoë@<wbr>example.<wbr>com" in got.get_body(("html",)).get_content()
    assert data.split(b"\n\n", 1)[1] == composed.split(b"\n\n", 1)[1]


async def test_an_unknown_recipient_is_refused_for_good_and_the_next_mail_goes(postfix):
    transport = postfix.transport()
    with pytest.raises(PermanentError, match=r"^the server refuses the recipient for good \(550\)$"):
        await transport.send(b"Subject: x\r\n\r\nx\r\n", sender="guardian@example.com", recipient="gone@example.org")
    mail = report_mail("zoe@example.org")
    await transport.send(mail.body, sender="guardian@example.com", recipient=mail.recipient)
    await transport.close()
    [data] = await postfix.mailbox("zoe")
    assert message_from_bytes(data)["Message-ID"] == message_from_bytes(mail.body)["Message-ID"]


async def test_a_certificate_that_nobody_vouches_for_gets_no_mail(postfix):
    transport = postfix.transport(trust=False)
    with pytest.raises(Unreachable, match="certificate"):
        await transport.send(b"Subject: x\r\n\r\nx\r\n", sender="guardian@example.com", recipient="ann@example.org")

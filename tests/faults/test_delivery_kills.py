"""kill -9 at two hundred points of a delivery against a real SMTP server: nothing is lost, little is doubled."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from queue import Queue

from guardian.core.outgoing import Outgoing
from guardian.mail.message import Content, build_message
from guardian.stores.sqlite.state import SqliteStateStore
from tests.support.mail_servers import AnyPort
from tests.support.patience import SECONDS

KILLS = 200
NOW = datetime(2026, 3, 16, tzinfo=UTC)
STAGES = ("EHLO", "MAIL", "RCPT", "DATA", "accepted")
"""Where the server kills its client: before it answers the command, or once the mail is kept and before the OK."""


class Server:
    """Keeps what it accepts, and kills its client at the stage that is set."""

    def __init__(self):
        self.kept, self.stage, self.mails = [], None, 0
        self.clients = Queue()

    def reached(self, stage):
        if stage == self.stage and self.mails <= 0:
            self.stage = None
            os.kill(self.clients.get(timeout=60), signal.SIGKILL)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.reached("EHLO")
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.reached("MAIL")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.reached("RCPT")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.reached("DATA")
        self.kept.append(envelope.content)
        self.reached("accepted")
        self.mails -= 1
        return "250 OK"


def a_mail(number):
    recipient = f"user{number % 23}@example.org"
    key = f"report/daily/{number}/{recipient}"
    content = Content(f"Mail {number}", "Hi\n")
    body = build_message(content, sender="Guardian <guardian@example.com>", recipient=recipient, key=key, now=NOW)
    return Outgoing(key, recipient, body)


async def test_two_hundred_kills_lose_no_mail_and_double_at_most_one_each(tmp_path):
    database = tmp_path / "guardian.db"
    state = await SqliteStateStore.open(database)
    mails = [a_mail(number) for number in range(KILLS + 60)]
    await state.enqueue(mails, now=NOW)
    await state.close()
    chance, server = random.Random(4), Server()
    controller = AnyPort(server)
    controller.start()
    child = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("delivery_child.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    killed = 0
    try:
        for number in range(3 * KILLS):
            before = list(server.kept)
            server.stage = STAGES[number % len(STAGES)] if killed < KILLS else None
            server.mails = chance.randrange(3) if server.stage != "EHLO" else 0
            server.clients = Queue()
            child.stdin.write(f"{database} {controller.port} {number * 600}\n")
            child.stdin.flush()
            server.clients.put(int(child.stdout.readline()))
            fate = child.stdout.readline().strip()
            killed += fate == "killed"
            doubled = [content for content in server.kept[len(before) :] if content in before]
            assert len(doubled) <= 1, "a kill doubles at most the one mail that was under way"
            if fate == "done" and killed >= KILLS:
                break
    finally:
        child.stdin.close()
        child.wait(SECONDS)
        controller.stop()
    assert killed == KILLS
    arrived = Counter(message_from_bytes(content)["Message-ID"] for content in server.kept)
    sent = {message_from_bytes(mail.body)["Message-ID"] for mail in mails}
    assert set(arrived) == sent, "a mail was lost, or one came that nobody wrote"
    assert sum(arrived.values()) - len(sent) <= KILLS
    assert max(arrived.values()) >= 2, "no kill came between the server's keeping and the mark: the test proves nothing"
    state = await SqliteStateStore.open(database)
    assert await state.outbox_counts() == {"pending": 0, "sent": len(mails), "dead": 0, "dropped": 0}
    await state.close()

"""The outbox through real SMTP servers that put off, refuse, break, hang or go away; the clock is the test's own."""

import asyncio
import functools
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest
from aiosmtpd.smtp import SMTP
from typer.testing import CliRunner

from guardian.cli import app as guardian
from guardian.mail.circuits import Circuits
from guardian.mail.service import EmailService
from guardian.mail.transport import Unreachable
from guardian.mail.transports.smtp import SmtpTransport
from guardian.settings.schema import SmtpSettings
from guardian.stores.sqlite.state import SqliteStateStore
from tests.support.delivering import deliver_due

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ANN, BEN, CLEO = "ann@example.org", "ben@example.org", "cleo@example.org"


class MailServer:
    """An SMTP server on one port that can go away and come back; `rcpt` and `data` answer instead of it, if set."""

    def __init__(self):
        self.kept, self.open, self.server, self.port = [], [], None, 0
        self.rcpt, self.data, self.options = None, None, {}

    async def start(self):
        def connected():
            self.open.append(SMTP(self, hostname="localhost", **self.options))
            return self.open[-1]

        self.server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self):
        """Close the port, and cut what is connected."""
        self.server.close()
        for each in self.open:
            if each.transport:
                each.transport.abort()
        self.open.clear()
        await asyncio.sleep(0)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if refusal := self.rcpt and self.rcpt(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = await self.data(server, envelope) if self.data else None
        if answer is None or answer.startswith("250"):
            self.kept.append((envelope.rcpt_tos[0], envelope.original_content))
        return answer or "250 OK"


class Counted(SmtpTransport):
    """The real transport; when it was asked to send, by the clock of the test."""

    def __init__(self, settings):
        super().__init__(settings)
        self.now, self.tried_at = NOW, []

    async def send(self, message, *, sender, recipient):
        self.tried_at.append(self.now)
        await super().send(message, sender=sender, recipient=recipient)


@pytest.fixture
async def server():
    started = MailServer()
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def transport(server):
    settings = SmtpSettings(host="127.0.0.1", port=server.port, security="none", timeout_seconds=60)
    made = Counted(settings)
    yield made
    await made.close()


@pytest.fixture
async def state(tmp_path):
    store = await SqliteStateStore.open(tmp_path / "guardian.db")
    yield store
    await store.close()


@functools.cache  # its parts are told apart by a boundary that is made anew each time
def mail(recipient, key="first"):
    service = EmailService([], sender="Guardian <guardian@example.com>", clock=lambda: NOW)
    return service.compose_test(recipient, key=f"{key}/{recipient}")


async def deliver(state, transport, now=NOW, circuits=None):
    transport.now = now
    while (await deliver_due(state, [transport], now=now, holder="me", circuits=circuits, random=lambda: 0.0)).tried:
        pass


def ids(bodies):
    return [message_from_bytes(body)["Message-ID"] for body in bodies]


async def test_six_hours_without_a_server_cost_few_tries_and_everything_arrives_in_order_soon_after(
    state, server, transport
):
    gone, back, circuits = NOW + MINUTE, NOW + timedelta(hours=6, minutes=1), Circuits()
    sent, arrived_at = {ANN: [], BEN: [], CLEO: []}, []
    for now in (NOW + n * MINUTE for n in range(6 * 60 + 12)):
        if now == gone:
            await server.stop()
        if now == back:
            assert len(server.kept) == 3
            await server.start()
        if now == NOW or (now.minute % 20 == 0 and now < back):
            mails = [mail(recipient, f"{now:%H:%M}") for recipient in sent]
            for each in mails:
                sent[each.recipient].append(each.body)
            await state.enqueue(mails, now=now)
        await deliver(state, transport, now, circuits)
        arrived_at += [now] * (len(server.kept) - len(arrived_at))
    assert {to: [body for each, body in server.kept if each == to] for to in sent} == sent
    assert (await state.outbox_counts())["sent"] == 3 * 19
    assert max(arrived_at) <= back + 10 * MINUTE
    meanwhile = [at for at in transport.tried_at if gone <= at < back]
    for hour in range(6):
        begin = gone + timedelta(hours=hour)
        assert 10 <= sum(begin <= at < begin + timedelta(hours=1) for at in meanwhile) <= 30


async def test_a_greylisted_mail_is_put_off_and_accepted_later(state, server, transport):
    met = set()

    def grey(address):
        return None if address in met or met.add(address) else "451 4.7.1 greylisted, come back"

    server.rcpt = grey
    await state.enqueue([mail(ANN)], now=NOW)
    await deliver(state, transport)
    [item] = await state.outbox()
    assert (item.status, item.attempts, server.kept) == ("pending", 1, [])
    assert item.last_error == "smtp: the server does not take the recipient now (451)"
    await deliver(state, transport, item.next_attempt_at - timedelta(seconds=10))
    assert server.kept == []
    await deliver(state, transport, item.next_attempt_at)
    assert server.kept == [(ANN, mail(ANN).body)]


async def test_one_recipient_that_is_refused_keeps_nobody_elses_mail_back_and_the_outbox_shows_it(
    state, server, transport, tmp_path, monkeypatch
):
    server.rcpt = lambda address: "550 5.1.1 no such user" if address == BEN else None
    await state.enqueue([mail(to) for to in (ANN, BEN, CLEO)], now=NOW)
    await deliver(state, transport)
    assert [to for to, _ in server.kept] == [ANN, CLEO]
    config = tmp_path / "guardian.toml"
    config.write_text(f'admins = ["{ANN}"]')
    monkeypatch.setenv("COLUMNS", "300")
    listed = await asyncio.to_thread(
        CliRunner().invoke, guardian, ["outbox", "list", "--status", "dead", "--config", str(config)]
    )
    assert listed.exit_code == 0, listed.output
    assert BEN in listed.output and ANN not in listed.output
    assert "smtp: the server refuses the recipient for good (550)" in listed.output
    assert "no such user" not in listed.output


@pytest.mark.parametrize("kept_before", [True, False])
async def test_a_connection_that_drops_in_data_is_followed_by_the_same_mail_on_the_same_transport(
    state, server, transport, kept_before
):
    async def cut(server_side, envelope):
        server.data = None
        if kept_before:
            server.kept.append((envelope.rcpt_tos[0], envelope.original_content))
        server_side.transport.abort()
        return "451 never read"

    class Second(Counted):
        name = "second"

    server.data = cut
    second = Second(transport._settings)
    await state.enqueue([mail(ANN)], now=NOW)
    for now in (NOW, NOW + 2 * MINUTE):
        await deliver_due(state, [transport, second], now=now, holder="me", random=lambda: 0.0)
    bodies = [body for _, body in server.kept]
    assert bodies == [mail(ANN).body] * (2 if kept_before else 1)
    assert len(set(ids(bodies))) == 1
    assert (len(transport.tried_at), second.tried_at) == (2, [])
    [item] = await state.outbox()
    assert (item.status, item.transport, item.attempts) == ("sent", "smtp", 2)


async def test_a_server_that_is_too_slow_may_have_the_mail_and_gets_the_same_again(state, server):
    released = asyncio.Event()

    async def slow(server_side, envelope):
        await released.wait()

    def hurry(address):
        hasty._client.timeout = 0.1  # from here on, so that it cannot run out before the data

    server.data, server.rcpt = slow, hurry
    hasty = Counted(SmtpSettings(host="127.0.0.1", port=server.port, security="none", timeout_seconds=60))
    await state.enqueue([mail(ANN)], now=NOW)
    await deliver(state, hasty)
    [item] = await state.outbox()
    assert (item.status, item.transport) == ("pending", "smtp")
    assert item.last_error == "smtp: the connection broke while the message was sent (no answer in time)"
    released.set()
    server.data = server.rcpt = None
    await deliver(state, hasty, NOW + 2 * MINUTE)
    assert server.kept[-1] == (ANN, mail(ANN).body)
    assert (await state.outbox())[0].status == "sent"
    await hasty.close()


async def test_a_mail_over_the_servers_limit_is_dead_at_once_and_the_next_one_goes(state, server, transport):
    server.options = {"data_size_limit": 1000}
    await state.enqueue([mail(ANN)], now=NOW)
    await deliver(state, transport)
    [item] = await state.outbox()
    assert (item.status, item.last_error) == ("dead", "smtp: the server refuses the message for good (552)")
    server.options = {}
    await server.stop()
    await server.start()
    await state.enqueue([mail(ANN, "next")], now=NOW)
    await deliver(state, transport)
    assert [to for to, _ in server.kept] == [ANN]


async def test_a_server_that_loses_its_starttls_gets_no_mail_in_the_clear(state, server):
    wary = Counted(SmtpSettings(host="127.0.0.1", port=server.port, security="starttls", timeout_seconds=60))
    with pytest.raises(Unreachable, match="it does not offer STARTTLS"):
        await wary.send(mail(ANN).body, sender="guardian@example.com", recipient=ANN)
    await state.enqueue([mail(ANN)], now=NOW)
    for minutes in range(0, 60, 10):
        await deliver(state, wary, NOW + minutes * MINUTE, Circuits())
    [item] = await state.outbox()
    assert (item.status, server.kept) == ("pending", [])
    assert item.last_error.endswith("cannot be used (it does not offer STARTTLS)")

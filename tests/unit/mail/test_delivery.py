"""Delivery: what happens to a mail for each answer of a transport, and how an outage is sat out."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.outgoing import Outgoing
from guardian.mail.circuits import Circuits
from guardian.mail.delivery import GIVE_UP, LEASE, Desk, backoff
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome, Unreachable, pause_asked
from guardian.stores.sqlite.state import SqliteStateStore
from tests.support.delivering import deliver_due, deliver_lane

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


BUSY = DeliveryError("429", retry_after=timedelta(hours=1))


class Script:
    """A transport that answers as told: an exception to raise, or None to accept. The last answer is repeated."""

    channel, login = "mail", None

    def __init__(self, name, *answers):
        self.name, self.answers, self.accepted, self.tries = name, list(answers) or [None], [], 0

    async def send(self, message, *, sender, recipient):
        self.tries += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        self.accepted.append((sender, recipient, message))

    async def close(self):
        pass


@pytest.fixture
async def state(tmp_path):
    store = await SqliteStateStore.open(tmp_path / "state.db")
    yield store
    await store.close()


def mail(key, recipient="a@example.com"):
    body = f"From: Guardian <guardian@example.com>\r\nSubject: {key}\r\n\r\n{key}\r\n".encode()
    return Outgoing(key=key, recipient=recipient, body=body)


async def deliver(state, *transports, now=NOW, circuits=None, limit=20):
    return await deliver_due(
        state, transports, now=now, holder="me", limit=limit, circuits=circuits, random=lambda: 0.0
    )


async def only(state):
    [item] = await state.outbox()
    return item


async def test_a_mail_is_sent_with_its_own_sender_and_marked(state):
    smtp = Script("smtp")
    await state.enqueue([mail("a")], now=NOW)
    counts = await deliver(state, smtp)
    assert (counts.sent, counts.retried, counts.dead, counts.tried) == (1, 0, 0, 1)
    assert smtp.accepted == [("guardian@example.com", "a@example.com", mail("a").body)]
    item = await only(state)
    assert (item.status, item.transport, item.attempts, item.last_error) == ("sent", "smtp", 1, None)
    assert (await deliver(state, smtp)).tried == 0


@pytest.mark.parametrize(
    ("failure", "falls_over"),
    [
        (DeliveryError("451 try later"), True),
        (Unreachable("connection refused"), True),
        (PermanentError("550 no such user"), False),
        (UnknownOutcome("cut after DATA"), False),
        (RuntimeError("a bug"), False),
    ],
)
async def test_the_next_transport_is_tried_only_when_the_first_has_surely_not_sent(state, failure, falls_over):
    second = Script("second")
    await state.enqueue([mail("a")], now=NOW)
    await deliver(state, Script("first", failure), second)
    assert bool(second.accepted) == falls_over


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("90", 90), (" 5 ", 5), ("Mon, 02 Mar 2026 12:02:00 GMT", 120), ("0", None), ("-5", None), ("soon", None),
        ("", None), (None, None), ("9" * 40, None), ("Mon, 02 Mar 2026 11:00:00 GMT", None), ("Mon, 02 Mar 2026", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_nothing_else_is_a_pause(header, seconds):
    assert pause_asked(header, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("asked", "waited"), [(90, 90), (5, 5), (3600 * 24, 3600)], ids=["obeyed", "short", "at most an hour"]
)
async def test_a_server_that_says_when_to_come_back_is_obeyed(state, asked, waited):
    gmail = Script("gmail", DeliveryError("429", retry_after=timedelta(seconds=asked)), None)
    await state.enqueue([mail("a")], now=NOW)
    await deliver(state, gmail)
    assert abs((await only(state)).next_attempt_at - NOW - timedelta(seconds=waited)) < timedelta(seconds=1)
    assert (await deliver(state, gmail, now=NOW + timedelta(seconds=waited - 2))).tried == 0
    assert (await deliver(state, gmail, now=NOW + timedelta(seconds=waited + 2))).sent == 1


async def test_a_server_that_wants_a_rest_is_not_asked_by_the_next_mails(state):
    gmail, circuits = Script("gmail", DeliveryError("429", retry_after=timedelta(seconds=90)), None), Circuits()
    await state.enqueue([mail(str(n), f"{n}@example.com") for n in range(5)], now=NOW)
    await deliver(state, gmail, circuits=circuits)
    await deliver(state, gmail, now=NOW + MINUTE, circuits=circuits)
    assert gmail.tries == 1
    assert (await deliver(state, gmail, now=NOW + 2 * MINUTE, circuits=circuits)).sent == 5


async def test_a_server_that_wants_a_long_rest_gets_it_while_mail_comes_in_and_the_other_carries_it(state):
    gmail, smtp, circuits = Script("gmail", *[BUSY] * 30), Script("smtp"), Circuits()
    for minute in range(60):
        await state.enqueue([mail(str(minute), f"{minute}@example.com")], now=NOW + minute * MINUTE)
        await deliver(state, gmail, smtp, now=NOW + minute * MINUTE, circuits=circuits)
    assert (gmail.tries, len(smtp.accepted)) == (1, 60)
    # A clock that is set back means no rest of years.
    await state.enqueue([mail("later", "later@example.com")], now=NOW - timedelta(days=1))
    await deliver(state, gmail, now=NOW - timedelta(days=1), circuits=circuits)
    assert gmail.tries == 2


async def test_a_mail_that_one_server_puts_off_waits_even_when_the_other_is_unreachable(state):
    first, second = Script("first", DeliveryError("451")), Script("second", Unreachable("refused"))
    await state.enqueue([mail("a")], now=NOW)
    await deliver(state, first, second)
    assert (first.tries, second.tries) == (1, 1)


async def test_an_unknown_outcome_is_retried_by_the_same_transport_only(state):
    first, second = Script("first", UnknownOutcome("cut"), DeliveryError("451"), None), Script("second")
    await state.enqueue([mail("a")], now=NOW)
    for minutes in (0, 2, 5):
        await deliver(state, first, second, now=NOW + minutes * MINUTE)
    assert (first.tries, len(first.accepted), second.tries) == (3, 1, 0)


async def test_a_second_copy_beats_no_mail_when_the_transport_of_unknown_outcome_never_recovers(state):
    first, second, now = Script("first", UnknownOutcome("cut"), DeliveryError("login refused")), Script("second"), NOW
    await state.enqueue([mail("a")], now=NOW)
    for _ in range(8):
        await deliver(state, first, second, now=now)
        now += timedelta(minutes=30)
    assert (len(second.accepted), (await only(state)).status) == (1, "sent")


async def test_a_refusal_for_good_is_dead_and_does_not_hold_back_the_next_mail(state):
    smtp = Script("smtp", PermanentError("550 no such user"), None)
    await state.enqueue([mail("a"), mail("b")], now=NOW)
    counts = await deliver(state, smtp)
    assert (counts.dead, counts.sent) == (1, 1)
    [dead] = await state.outbox(status="dead")
    assert (dead.message.key, dead.last_error) == ("a", "smtp: 550 no such user")


async def test_a_recipient_that_is_put_off_does_not_hold_back_another(state):
    smtp = Script("smtp", DeliveryError("451 greylisted"), None)
    await state.enqueue([mail("a1"), mail("a2"), mail("b1", "b@example.com")], now=NOW)
    counts = await deliver(state, smtp)
    assert (counts.retried, counts.sent) == (1, 1)
    assert [recipient for _, recipient, _ in smtp.accepted] == ["b@example.com"]
    await deliver(state, smtp, now=NOW + 2 * MINUTE)
    assert [body for _, _, body in smtp.accepted[1:]] == [mail("a1").body, mail("a2").body]


async def test_a_fault_in_a_transport_is_noted_without_its_text(state):
    await state.enqueue([mail("a"), mail("b", "b@example.com")], now=NOW)
    counts = await deliver(state, Script("smtp", RuntimeError("secret"), None))
    assert (counts.retried, counts.sent) == (1, 1)
    [item] = await state.outbox(status="pending")
    assert item.last_error == "smtp: failed with RuntimeError, so it may have been sent"


async def test_a_message_goes_only_through_what_carries_its_channel(state):
    smtp, slack = Script("smtp"), Script("slack")
    slack.channel = "slack"
    messages = [Outgoing(channel, f"to-{channel}", b"text", channel=channel) for channel in ("mail", "slack", "fax")]
    await state.enqueue(messages, now=NOW)
    await deliver(state, smtp, slack)
    assert [[to for _, to, _ in each.accepted] for each in (smtp, slack)] == [["to-mail"], ["to-slack"]]
    [dead] = await state.outbox(status="dead")
    assert dead.last_error == "nothing is configured that carries fax"


async def test_a_mail_is_given_up_after_five_days(state):
    await state.enqueue([mail("a")], now=NOW)
    await deliver(state, Script("smtp", DeliveryError("451 later")), now=NOW + GIVE_UP)
    item = await only(state)
    assert (item.status, item.last_error) == ("dead", "given up after 5 days; smtp: 451 later")


async def test_a_process_that_dies_between_sending_and_marking_sends_the_same_bytes_again(state):
    class Dying(Script):
        async def send(self, message, *, sender, recipient):
            await super().send(message, sender=sender, recipient=recipient)
            raise asyncio.CancelledError  # what is under way ends here: nothing is marked

    dying, next_one = Dying("smtp"), Script("smtp")
    await state.enqueue([mail("a")], now=NOW)
    with pytest.raises(asyncio.CancelledError):
        await deliver(state, dying)
    assert (await deliver(state, next_one, now=NOW + LEASE - MINUTE)).tried == 0
    assert (await deliver(state, next_one, now=NOW + LEASE + MINUTE)).sent == 1
    assert dying.accepted == next_one.accepted


async def test_without_any_transport_mails_wait(state):
    await state.enqueue([mail("a")], now=NOW)
    assert (await deliver(state)).tried == 0
    assert (await only(state)).attempts == 0


class Outage(Script):
    """A server that cannot be reached until a given time, by the clock of the test."""

    def __init__(self, until):
        super().__init__("smtp")
        self.until, self.now, self.tried_at, self.accepted_at = until, NOW, [], []

    async def send(self, message, *, sender, recipient):
        self.tried_at.append(self.now)
        if self.now < self.until:
            raise Unreachable("connection refused")
        await super().send(message, sender=sender, recipient=recipient)
        self.accepted_at.append(self.now)


@pytest.mark.parametrize("recipients", [1, 20])
async def test_six_hours_without_a_server_cost_few_tries_and_everything_is_sent_in_order_soon_after(state, recipients):
    back = NOW + timedelta(hours=6)
    server, circuits = Outage(back), Circuits()
    names = [f"{n}@example.com" for n in range(recipients)]
    for now in (NOW + n * timedelta(seconds=10) for n in range(6 * 360 + 60)):
        if now.minute == 30 and now.second == 0 and now < back:
            await state.enqueue([mail(f"{now.hour}/{name}", name) for name in names], now=now)
        server.now = now
        while (await deliver(state, server, now=now, circuits=circuits, limit=1)).tried:
            pass
    for hour in range(6):
        begin = NOW + timedelta(hours=hour)
        assert sum(begin <= at < begin + timedelta(hours=1) for at in server.tried_at) <= 30
    assert (await state.outbox_counts())["sent"] == 6 * recipients
    assert max(server.accepted_at) <= back + 10 * MINUTE
    for name in names:
        got = [body for _, recipient, body in server.accepted if recipient == name]
        assert got == [mail(f"{hour}/{name}").body for hour in range(12, 18)]


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_between_tries_grows_from_about_a_minute_to_half_an_hour(attempts, chance):
    wait = backoff(attempts, lambda: chance)
    assert timedelta(seconds=45) <= wait <= timedelta(minutes=30)
    assert backoff(attempts + 1, lambda: chance) >= wait


async def test_an_unreachable_server_is_left_alone_and_the_other_is_used_meanwhile(state):
    first, second, circuits = Script("first", Unreachable("refused")), Script("second"), Circuits()
    await state.enqueue([mail(str(n), f"{n}@example.com") for n in range(5)], now=NOW)
    await deliver(state, first, second, circuits=circuits)
    assert (first.tries, len(second.accepted)) == (1, 5)


def alert(key, severity="warning", **values):
    return replace(mail(key, f"{key}@example.com"), kind="alert", severity=severity, **values)


async def test_after_two_hangs_a_transport_is_left_alone_and_what_waits_loses_no_try(state):
    smtp, circuits = Script("smtp", UnknownOutcome("no answer in time")), Circuits()
    await state.enqueue([alert(f"{n}") for n in range(8)], now=NOW)
    await deliver(state, smtp, circuits=circuits)
    assert smtp.tries == 2
    assert sorted(item.attempts for item in await state.outbox()) == [0] * 6 + [1] * 2
    for seconds in range(0, 660, 10):
        await deliver(state, smtp, now=NOW + timedelta(seconds=seconds), circuits=circuits)
    assert smtp.tries == 2 + 3, "one try at a time, after a minute, two more and four more"
    smtp.answers = [None]
    for minutes in range(11, 50):
        await deliver(state, smtp, now=NOW + minutes * MINUTE, circuits=circuits)
    assert len(smtp.accepted) == 8


async def test_a_slow_refusal_is_a_hang_too_and_one_that_comes_at_once_is_none(state):
    clock = iter(range(0, 10_000, 15))
    for slow, tries in ((True, 2), (False, 8)):
        smtp = Script("smtp", DeliveryError("the connection broke before the message was sent"))
        await state.enqueue([alert(f"{slow}{n}") for n in range(8)], now=NOW)
        desk = Desk(
            state=state, transports=[smtp], holder="me", clock=lambda: NOW, random=lambda: 0.0,
            monotonic=lambda slow=slow: next(clock) if slow else 0.0,
        )  # fmt: skip
        await deliver_lane(desk, "mail", 20)
        assert smtp.tries == tries
        for item in await state.outbox():
            await state.drop(item.id, NOW)


async def test_a_mail_that_only_a_hanging_transport_may_carry_waits_and_the_others_go_by_the_next(state):
    first, second, circuits = Script("first", UnknownOutcome("no answer in time")), Script("second"), Circuits()
    await state.enqueue([alert(f"{n}") for n in range(8)], now=NOW)
    await deliver(state, first, second, circuits=circuits)
    assert (first.tries, len(second.accepted)) == (2, 6)
    before = await state.outbox(status="pending")
    circuits.closed_until["first"] = NOW + timedelta(hours=1)
    await deliver(state, first, second, now=NOW + 30 * MINUTE, circuits=circuits)
    assert await state.outbox(status="pending") == before


async def test_alerts_go_before_reports_and_the_gravest_first(state):
    smtp = Script("smtp")
    reports = [mail("report", "a@example.com"), replace(mail("grave", "b@example.com"), severity="critical")]
    alerts = [alert("info", "info"), alert("old"), alert("new"), alert("grave-alert", "critical")]
    await state.enqueue([*reports, *alerts], now=NOW)
    await deliver(state, smtp)
    order = ["grave-alert", "old", "new", "info", "b", "a"]
    assert [recipient.split("@")[0] for _, recipient, _ in smtp.accepted] == order


class Hanging(Script):
    """A server that never answers."""

    async def send(self, message, *, sender, recipient):
        self.tries += 1
        await asyncio.Event().wait()


async def test_what_hangs_in_one_channel_holds_up_nothing_of_another(state):
    smtp, ops = Hanging("smtp"), Script("ops")
    ops.channel = "ops"
    await state.enqueue([mail(f"{n}", f"{n}@example.com") for n in range(8)], now=NOW)
    await state.enqueue([replace(alert("critical"), channel="ops", recipient="ops")], now=NOW)
    under_way = asyncio.ensure_future(deliver(state, smtp, ops))
    async with asyncio.timeout(60):
        while not ops.accepted:
            await asyncio.sleep(0)
    assert smtp.tries == 1
    under_way.cancel()

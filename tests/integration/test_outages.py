"""Messages that are not delivered are told of where somebody can still be reached, once, and so is the end of it."""

import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from guardian.application.delivering import deliver_now
from guardian.application.root import open_application
from guardian.application.status import application_status
from guardian.application.watchdog import watch_step
from guardian.core.outgoing import Outgoing
from guardian.mail.channels.message import read_message
from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, UnknownOutcome
from guardian.settings.channels import ChannelSettings
from guardian.settings.schedules import WatchdogSettings
from guardian.settings.schema import MailSettings, Settings
from guardian.stores.watching import TELLING

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ANN, BOB = "ann@example.com", "bob@example.com"
REFUSED = LoginRefused("localhost refuses the login (535): check mail.smtp")


class Post:
    """A transport that fails with what is set: for all, or for those named."""

    login = None

    def __init__(self, channel):
        self.name, self.channel = ("smtp" if channel == "mail" else f"channel {channel}"), channel
        self.failure, self.failures, self.taken = None, {}, []

    async def send(self, message, *, sender, recipient):
        if failure := self.failures.get(recipient, self.failure):
            raise failure
        if self.channel == "mail":
            self.taken.append((recipient, message_from_bytes(message, policy=policy.default)["Subject"]))
        else:
            self.taken.append((read_message(message).title, read_message(message).resolved))

    async def close(self):
        """Nothing is held open."""


@pytest.fixture
def daemon(tmp_path):
    """Opens the application on one database, at a time that the test sets; each opening is a restart."""

    @asynccontextmanager
    async def opened(*channels, admins=(ANN, BOB), **watchdog):
        settings = Settings(
            database=tmp_path / "guardian.db", reports_dir=tmp_path / "reports", admins=admins,
            mail=MailSettings(sender="Guardian <guardian@example.com>"),
            channels={name: ChannelSettings(url=f"json://127.0.0.1/{name}", allow_private=True) for name in channels},
            watchdog=WatchdogSettings(**watchdog),
        )  # fmt: skip
        async with open_application(settings, clock=lambda: opened.now) as app:
            app.transports = [opened.posts.setdefault(name, Post(name)) for name in ("mail", *channels)]
            yield app

    opened.now, opened.posts = NOW, {}
    return opened


def alert(app, key, *to, channel="mail", severity="critical"):
    """Messages of one alert, in real mails."""
    made = []
    for each in to:
        body = b'{"title": "%s", "text": ""}' % key.encode()
        if channel == "mail":
            body = app.email.compose_warning(each, key, "x", key=f"incident/{key}/{each}").body
        made.append(Outgoing(f"incident/{key}/{each}", each, body, "alert", channel, severity, key))
    return made


async def go_on(daemon, app, minutes, step=MINUTE):
    """Deliver every ten seconds, and look once a minute."""
    end = daemon.now + minutes * MINUTE
    while daemon.now < end:
        for _ in range(int(step / timedelta(seconds=10))):
            while (await deliver_now(app)).tried:
                pass
            daemon.now += timedelta(seconds=10)
        await watch_step(app, daemon.now, None)
    while (await deliver_now(app)).tried:
        pass


async def test_a_login_that_is_refused_is_told_on_a_channel_after_two_tries_and_so_is_the_end(daemon):
    async with daemon("ops") as app:
        mail, ops = app.transports
        mail.failure = REFUSED
        await app.state.enqueue(alert(app, "chat is down", ANN, BOB), now=NOW)
        await go_on(daemon, app, 3)
        assert ops.taken == [("Mail to ann@example.com is not being delivered", False)]
        [item] = [each for each in await app.state.outbox() if each.message.channel == "ops"]
        assert item.created_at <= NOW + 2 * MINUTE and item.message.severity == "critical"
        assert read_message(item.message.body).text == (
            "1 message has been waiting since Mon 2 Mar, 12:00 (UTC). Critical alerts are among them. The last "
            "answer was: smtp: localhost refuses the login (535): check mail.smtp. 'guardian outbox list' shows what "
            "is waiting or was given up, 'guardian check' what is wrong."
        )
    async with daemon("ops") as app:  # a restart, and new mail meanwhile, are no news
        await app.state.enqueue(alert(app, "docs are down", ANN, BOB), now=daemon.now)
        await go_on(daemon, app, 60)
        assert len(ops.taken) == 1
        mail.failure = None
        await go_on(daemon, app, 10)
        assert ops.taken[1:] == [("Mail is being delivered again", True)]
        assert len(mail.taken) == 4
        await go_on(daemon, app, 30)
        assert len(ops.taken) == 2
        assert await app.stores.watch.undelivered(before=daemon.now, tries=2) == []


async def test_a_channel_that_fails_is_told_to_the_admins_by_mail_and_to_another_channel_if_there_is_one(daemon):
    for channels in (("ops",), ("ops", "pager")):
        async with daemon(*channels) as app:
            posts = {post.channel: post for post in app.transports}
            for post in posts.values():
                post.taken.clear()
            posts["ops"].failure = DeliveryError("503")
            await app.state.enqueue(alert(app, f"{channels}", "ops", channel="ops"), now=daemon.now)
            await go_on(daemon, app, 15)
            if len(channels) == 1:
                begun = "Messages to the channel “ops” are not being delivered"
                assert sorted(posts["mail"].taken) == [(ANN, begun), (BOB, begun)]
            else:
                assert posts["pager"].taken == [("Messages to the channel “ops” are not being delivered", False)]
                assert posts["mail"].taken == []
            posts["ops"].failure = None
            await go_on(daemon, app, 40)
            over = "Messages to the channel “ops” are being delivered again"
            told = posts["pager"].taken if len(channels) == 2 else posts["mail"].taken
            assert [each for each in told if over in each] == (
                [(over, True)] if len(channels) == 2 else [(ANN, over), (BOB, over)]
            )


async def test_a_recipient_who_is_refused_for_good_is_told_once_to_the_others_until_mail_arrives_again(daemon):
    async with daemon() as app:
        [mail] = app.transports
        mail.failures = {ANN: PermanentError("550")}
        for hour in range(5):
            await app.state.enqueue(alert(app, f"alert {hour}", ANN, BOB), now=daemon.now)
            await go_on(daemon, app, 60)
        told = [subject for to, subject in mail.taken if to == BOB and not subject.startswith("alert")]
        assert told == ["Mail to ann@example.com is not being delivered"]
        mail.failures = {}
        await app.state.enqueue(alert(app, "alert 5", ANN, BOB), now=daemon.now)
        await go_on(daemon, app, 10)
        told = [subject for to, subject in mail.taken if to == BOB and not subject.startswith("alert")]
        assert told[1:] == ["Mail to ann@example.com is being delivered again"]


async def test_one_message_that_is_refused_is_told_without_an_end_where_others_arrive(daemon):
    async with daemon() as app:
        [mail] = app.transports
        mail.failures = {ANN: PermanentError("552")}
        await app.state.enqueue(alert(app, "too large", ANN), now=NOW)
        await deliver_now(app)
        mail.failures = {}
        daemon.now += timedelta(seconds=5)
        await app.state.enqueue(alert(app, "small", ANN), now=daemon.now)
        await go_on(daemon, app, 30)
        assert mail.taken == [(ANN, "small"), (BOB, "Mail to ann@example.com is not being delivered")]


async def test_who_can_be_told_only_later_is_told_then_and_hears_the_end(daemon, caplog):
    async with daemon("ops") as app:
        mail, ops = app.transports
        mail.failure, ops.failure = REFUSED, DeliveryError("503")
        await app.state.enqueue([*alert(app, "a", ANN), *alert(app, "b", "ops", channel="ops")], now=NOW)
        await go_on(daemon, app, 30)
        assert "nobody can be told" in caplog.text
        ops.failure = None
        await go_on(daemon, app, 40)
        assert ops.taken == [("b", False), ("Mail to ann@example.com is not being delivered", False)]
        mail.failure = None
        await go_on(daemon, app, 10)
        assert ops.taken[2:] == [("Mail to ann@example.com is being delivered again", True)]


async def test_that_nothing_could_be_told_is_not_told(daemon):
    async with daemon("ops") as app:
        mail, ops = app.transports
        mail.failure, ops.failure = REFUSED, PermanentError("404")
        await app.state.enqueue(alert(app, "a", ANN), now=NOW)
        await go_on(daemon, app, 120)
        keys = [item.message.key for item in await app.state.outbox()]
        assert len(keys) == 2 and sum(key.startswith(TELLING) for key in keys) == 1


async def test_what_waits_after_the_machine_slept_gets_its_chance_first(daemon):
    async with daemon("ops") as app:
        mail, ops = app.transports
        await go_on(daemon, app, 20)
        daemon.now += timedelta(seconds=5)
        await app.state.enqueue(alert(app, "a", ANN), now=daemon.now)
        daemon.now += 3 * HOUR
        await watch_step(app, daemon.now, None)
        await go_on(daemon, app, 20)
        assert (ops.taken, mail.taken) == ([], [(ANN, "a")])


async def test_the_status_shows_what_is_not_delivered(daemon):
    async with daemon("ops") as app:
        app.transports[0].failure = REFUSED
        await app.state.enqueue(alert(app, "a", ANN), now=NOW)
        await go_on(daemon, app, 3)
        [shown] = (await application_status(app))["undelivered"]
        assert shown == {
            "channel": "mail", "recipient": ANN, "waiting": 1, "dead": 0, "since": NOW.isoformat(),
            "error": "smtp: localhost refuses the login (535): check mail.smtp", "told": ["ops"],
        }  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
async def test_no_message_waits_unseen_for_more_than_ten_minutes(daemon, seed):
    """Channels fail and recover at random, in every way; whatever waits ten minutes was told of where that was
    possible, and of an outage there is one beginning and at most one end."""
    chance = random.Random(seed)
    failures = [REFUSED, DeliveryError("451"), PermanentError("550"), UnknownOutcome("no answer in time"), None, None]
    async with daemon("ops", "pager") as app:
        mail, ops, pager = app.transports
        await watch_step(app, daemon.now, None)
        for number in range(90):
            for post in (mail, ops):
                if chance.random() < 0.05:
                    post.failure = chance.choice(failures)
                if chance.random() < 0.05:
                    post.failures = {chance.choice((ANN, "ops")): chance.choice(failures)}
            if chance.random() < 0.3:
                to = chance.sample((ANN, BOB), chance.randint(1, 2))
                await app.state.enqueue(alert(app, f"{number}", *to), now=daemon.now)
                await app.state.enqueue(alert(app, f"{number}", "ops", channel="ops"), now=daemon.now)
            await go_on(daemon, app, 1, timedelta(seconds=60))
            known = await app.stores.watch.undelivered(before=daemon.now - 10 * MINUTE, tries=10**9)
            for each in known:
                assert not (each.waiting or each.new_dead) or (each.outage and each.outage.audience), each
        begun = [title for title, resolved in pager.taken if not resolved]
        mail.failure = ops.failure = None
        mail.failures, ops.failures = {}, {}
        await go_on(daemon, app, 40)
        await app.state.enqueue(alert(app, "last", ANN, BOB), now=daemon.now)
        await app.state.enqueue(alert(app, "last", "ops", channel="ops"), now=daemon.now)
        await go_on(daemon, app, 5)
        threads = {}
        for item in await app.state.outbox(limit=10_000):
            if item.message.channel == "pager":
                said = read_message(item.message.body)
                threads.setdefault(said.thread, []).append(said.resolved)
        assert begun and all(ends.count(False) == 1 and ends.count(True) <= 1 for ends in threads.values())
        assert all(each.outage is None for each in await app.stores.watch.undelivered(before=NOW, tries=10**9))

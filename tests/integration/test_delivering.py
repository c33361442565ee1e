"""The step that delivers: what hangs in one channel holds up no other, not even what comes in meanwhile."""

import asyncio
from datetime import UTC, datetime

import pytest

from guardian.application.delivering import deliver_all, deliver_now
from guardian.application.root import open_application
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.settings.schema import Settings

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Post:
    """A transport that takes what it gets once `open` is set."""

    login = None

    def __init__(self, channel, *, hangs=False):
        self.name = self.channel = channel
        self.open, self.taken = asyncio.Event(), []
        if not hangs:
            self.open.set()

    async def send(self, message, *, sender, recipient):
        await self.open.wait()
        self.taken.append(message)

    async def close(self):
        """Nothing is held open."""


@pytest.fixture
async def app(tmp_path):
    settings = Settings(database=tmp_path / "guardian.db", reports_dir=tmp_path / "reports")
    async with open_application(settings, clock=lambda: NOW) as opened:
        yield opened


def message(key, channel):
    return Outgoing(key, channel, key.encode(), "alert", channel, "critical")


async def eventually(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_comes_in_while_mail_hangs_goes_out_by_its_own_channel(app):
    mail, ops = Post("mail", hangs=True), Post("ops")
    app.transports = [mail, ops]
    await app.state.enqueue([message("report", "mail"), message("first", "ops")], now=NOW)
    step = asyncio.ensure_future(deliver_all(app, lambda: True, look_again=0.01))
    await eventually(lambda: ops.taken == [b"first"])
    await app.state.enqueue([message("second", "ops")], now=NOW)
    await eventually(lambda: ops.taken == [b"first", b"second"])
    assert not step.done()
    mail.open.set()
    await step
    assert mail.taken == [b"report"]
    assert (await app.state.outbox_counts())["sent"] == 3


async def test_a_process_that_stops_takes_up_nothing_more(app):
    app.transports = [Post("mail")]
    await app.state.enqueue([message("a", "mail")], now=NOW)
    await deliver_all(app, lambda: False)
    assert app.transports[0].taken == []


async def test_a_database_that_does_not_answer_leaves_no_other_channel_in_the_middle_of_a_send(app, monkeypatch):
    mail, ops = Post("mail", hangs=True), Post("ops")
    app.transports = [mail, ops]
    await app.state.enqueue([message("a", "mail"), message("b", "ops")], now=NOW)
    mark = app.state.mark_sent

    async def marked(item, **values):
        if item.message.channel == "ops":
            mail.open.set()
            raise StorageError("the database does not answer")
        await mark(item, **values)

    monkeypatch.setattr(app.state, "mark_sent", marked)
    with pytest.raises(StorageError):
        await deliver_all(app, lambda: True, look_again=0.01)
    assert mail.taken == [b"a"]
    assert (await app.state.outbox_counts())["sent"] == 1


async def test_who_sends_mail_waits_for_no_other_channel(app):
    mail, ops = Post("mail"), Post("ops", hangs=True)
    app.transports = [mail, ops]
    await app.state.enqueue([message("a", "mail"), message("b", "ops")], now=NOW)
    assert (await deliver_now(app, "mail")).sent == 1
    assert (mail.taken, ops.taken) == ([b"a"], [])

# ruff: noqa: F401, F811 (fixtures)
"""Real daemons that share a database of Firestore, with a real mail server: doubled, killed, and left without it."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from guardian.core.outgoing import Outgoing
from guardian.stores.firestore.state import FirestoreStateStore
from tests.faults.test_daemon_processes import inbox, owe, settings, start, stop
from tests.support.firestore import HOST, address_in, emulator
from tests.support.patience import SECONDS
from tests.support.wire import Wire
from tracker.firestore.address import parse

pytestmark = pytest.mark.needs_firestore
SLOW = "6.0,0.5,3.0"
"""A lease of 6 seconds, since a loaded machine answers late; see daemon_child."""


@pytest.fixture
async def shared(settings, tmp_path):
    """The state that the daemons share."""
    settings["database"] = address_in(tmp_path)
    return await FirestoreStateStore.open(parse(settings["database"]))


async def fill(state, count, first=0):
    mails = [
        Outgoing(
            key=f"test/{n}",
            recipient=f"{'ab'[n % 2]}@example.com",
            body=f"From: g@example.com\r\nMessage-ID: <{n}@example.com>\r\nX-Number: {n}\r\n\r\n{n}\r\n".encode(),
        )
        for n in range(first, first + count)
    ]
    await state.enqueue(mails, now=datetime.now(UTC))


async def all_sent(state):
    deadline = time.monotonic() + SECONDS
    while (await state.outbox_counts())["pending"]:
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.1)


async def test_two_daemons_send_each_mail_once_and_the_second_takes_over_from_one_that_was_killed(
    shared,
    settings,
    start,
    inbox,
):
    await owe(shared, settings, 2)
    first, second = start(settings, quick=SLOW), start(settings, quick=SLOW)
    assert "STATUS=stands by for another process that leads" in second.heard
    await fill(shared, 12)
    await all_sent(shared)
    first.kill()
    await fill(shared, 12, first=12)
    await all_sent(shared)
    assert Counter(number for _, number, _ in inbox.mails if number) == Counter(map(str, range(24)))
    assert len(inbox.mails) == 24 + 4
    assert stop(second) == 0


async def test_a_daemon_whose_database_does_not_answer_for_a_while_goes_on_after(shared, settings, start, inbox):
    wire = Wire(emulator())
    child = start(settings, quick=SLOW, **{HOST: wire.place})
    with wire.still():
        time.sleep(12)  # the span is what is tested: longer than a call may take, and than the lease
    await fill(shared, 6)
    await all_sent(shared)
    assert Counter(number for _, number, _ in inbox.mails) == Counter(map(str, range(6)))
    assert stop(child) == 0
    wire.close()

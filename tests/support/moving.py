"""A database in which everything is kept that there is to keep, and what of it can be seen through the Protocols."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.actions import edit_for
from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.alerting.links import LinkUsed
from guardian.core.mentions import Mention
from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period
from guardian.core.time import micros
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from guardian.stores.sign_ins import AskedLink, Session
from guardian.stores.watching import Outage, Undelivered
from tracker.event import Event, Failure

NOW = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
PERIOD = (NOW - DAY, NOW)
LINK, BROWSER, COOKIE = b"l" * 32, b"b" * 32, b"c" * 32


def events(random, days=12, many=600):
    """Requests of these days before NOW: of people, of nobody, failed, noted as failed, streamed."""
    for _ in range(many):
        at = micros(NOW) - random.randrange(1, days * 86_400_000_000)
        duration = random.randrange(1, 3_000_000)
        user = random.choice(["ada@example.com", "bob@example.com", "Cyd", "eve@example.com", "anonymous"])
        feature = random.choice(["chat", "search", "export"])
        failure, status = None, 200
        if random.random() < 0.2:
            status = random.choice([200, 404, 500])
            failure = Failure("KeyError", "no such thread", "app.py:12 chat") if status == 500 else None
            failure = failure or Failure("HTTP 404", "Not Found") if status != 200 else Failure("tool", "tool error")
        latency = random.choice([None, duration // 2])
        yield Event(at, user, f"/{feature}/{{id}}", "GET", feature, status, duration, failure, latency)


async def fill(database, *, seed=1, many=250, purged=5):
    """Make a database of everything: single requests of the last days and, of before, only their summaries."""
    kind = backend(database)
    stores = await kind.open(NO_BOOK)
    try:
        await stores.events.write(list(events(Random(seed), many=many)))
        await stores.events.seal(NOW)
        await stores.events.purge(events_before=NOW - purged * DAY, summaries_before=NOW - 10 * DAY)
        await stores.events.erase_user("eve@example.com")
        await _fill_state(stores)
        await stores.state.forget("eve@example.com", buried_at=NOW)
    finally:
        await stores.close()


async def _fill_state(stores):
    state = stores.state
    mails = [mail(name) for name in ("sent", "waiting", "tried", "given up")]
    long = replace(mail("long"), body=b"Subject: x\r\n\r\n" + Random(2).randbytes(1_500_000))
    report = {"users": [{"email": "ada@example.com"}], "noise": Random(3).randbytes(1_000_000).hex()}
    await state.claim_period("daily", *PERIOD, report=report, mails=[*mails, long], now=NOW)
    await state.claim_period("weekly", NOW - 7 * DAY, NOW, report={"users": []}, mails=[], now=NOW)
    for item in await state.claim_due(NOW, holder="one", lease=HOUR, limit=9):
        name = item.message.key
        if name == "sent":
            await state.mark_sent(item, holder="one", now=NOW, transport="smtp")
        elif name in ("tried", "given up"):
            retry = NOW + HOUR if name == "tried" else None
            await state.mark_failed(item, holder="one", now=NOW, error="refused", retry_at=retry, transport="smtp")
    await state.unsubscribe("daily", "bob@example.com", wanted=False, now=NOW)
    await stores.watch.tell("late", [Period(NOW - HOUR, NOW)], [mail("late/1")], now=NOW, token=None)
    told = Undelivered("mail", "ada@example.com", newest_dead=4)
    outage = Outage("outage/1", NOW, (("mail", "admin@example.com"), ("slack", "ops")))
    await stores.watch.note_outages([(told, outage)], [], now=NOW, token=None)
    us = micros(NOW)
    over = Incident("o", "slow", "search", "warning", "resolved", since_us=us, opened_us=us, resolved_us=us + 1)
    going = Incident("g", "errors", "chat", "critical", "open", since_us=us, opened_us=us, names=("ada@example.com",))
    known = {each.rule: Memory(latest={each.subject: each}) for each in (over, going)}
    await stores.alerts.commit(AlertState(us // 60_000_000, known), [mail("incident/g")], now=NOW)
    acknowledge = edit_for("acknowledge", by="admin@example.com", now=NOW, zone=ZoneInfo("UTC"))
    await stores.alerts.change_by_link("nonce", "g", acknowledge, NOW)
    await stores.alerts.link_key()
    session = Session(COOKIE, "admin@example.com", NOW, NOW + MINUTE)
    await stores.sign_ins.keep_link(AskedLink(LINK, "admin@example.com", NOW + DAY, BROWSER), NOW)
    await stores.sign_ins.open_link(LINK, BROWSER, session, NOW)


def mail(key):
    """A message to somebody of its own, which names one person."""
    named = (Mention("ada@example.com", "subject", 0, 15),)
    to = f"{key.replace(' ', '-').replace('/', '-')}@example.com"
    return Outgoing(
        key=key, recipient=to, body=b"Subject: x\r\n\r\nada@example.com\r\n", subject="ada@example.com", people=named
    )


async def looks_as_filled(stores):
    """What the filled database says through its Protocols."""
    state, mails = stores.state, {item.message.key: item for item in await stores.state.outbox()}
    assert {key: item.status for key, item in mails.items()} == {
        "sent": "sent", "waiting": "pending", "tried": "pending", "given up": "dead", "long": "pending",
        "late/1": "pending", "incident/g": "pending",
    }  # fmt: skip
    assert (mails["tried"].attempts, mails["tried"].next_attempt_at) == (1, NOW + HOUR)
    assert len(mails["long"].message.body) > 1_500_000
    assert await state.last_period_end("daily") == NOW
    assert not await state.claim_period("daily", *PERIOD, report=None, mails=[], now=NOW)
    assert (await state.report(1)).report["users"] == [{"email": "ada@example.com"}]
    assert await state.unsubscribed("daily") == {"bob@example.com"}
    assert await state.erased_since(["eve@example.com", "ada@example.com"], NOW) == {"eve@example.com"}
    assert {each.id: each.status for each in await stores.alerts.incidents()} == {"o": "resolved", "g": "acknowledged"}
    assert {each.id for each in (await stores.alerts.load()).incidents()} == {"o", "g"}
    with pytest.raises(LinkUsed):
        await stores.alerts.change_by_link("nonce", "g", lambda state, incident: state, NOW)
    assert (await stores.sign_ins.session(COOKIE)).address == "admin@example.com"
    assert len(await stores.watch.watched()) == 3
    assert dict(await stores.events.names()).keys() == {"ada@example.com", "bob@example.com", "Cyd"}
    # What is new gets numbers that nobody had.
    await state.enqueue([mails["waiting"].message.__class__("new", "new@example.com", b"\r\n\r\n")], now=NOW)
    assert (await state.outbox())[0].id > max(item.id for item in mails.values())
    assert (await state.forget("ada@example.com", buried_at=NOW)).mails == len(mails)

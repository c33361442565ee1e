"""What every store must remember of reports that are late or on their way."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period
from guardian.stores.state import LeaseLost
from guardian.stores.watching import TELLING, Outage, report_key

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PERIODS = [Period(NOW - n * HOUR, NOW - (n - 1) * HOUR) for n in (3, 2, 1)]
OLD, BEFORE, LAST = PERIODS
WORD = Outgoing("watchdog/x/ops", "ops", b"late", "alert", "ops", "warning")


def mails(period, *recipients, schedule="daily"):
    key = report_key(schedule, period)
    return [Outgoing(f"{key}/{to}", to, b"Subject: x\r\n\r\nhello\r\n") for to in recipients]


async def made(stores, period, *recipients, earlier=(), report=None, schedule="daily"):
    return await stores.state.claim_period(
        schedule, period.start, period.end, report={} if report is None else report,
        mails=mails(period, *recipients, schedule=schedule), now=NOW, earlier=earlier,
    )  # fmt: skip


async def test_a_report_is_watched_from_when_it_is_made_until_it_is_settled(open_stores):
    stores = await open_stores()
    assert await stores.watch.watched() == []
    await made(stores, LAST, "a@example.com", "b@example.com", "c@example.com")
    [report] = await (await open_stores()).watch.watched()
    assert (report.schedule, report.period, report.claimed_at, report.mails) == ("daily", LAST, NOW, 3)
    assert (report.sent, report.pending, report.dead, report.told, report.tries) == (0, 3, 0, False, 0)
    a, b, _ = await stores.state.claim_due(NOW, holder="one", lease=HOUR, limit=9)
    await stores.state.mark_sent(a, holder="one", now=NOW, transport="smtp")
    await stores.state.mark_failed(b, holder="one", now=NOW, error="550", retry_at=None, transport=None)
    [report] = await stores.watch.watched()
    assert (report.sent, report.pending, report.dead) == (1, 1, 1)
    assert report.stuck == {"b@example.com", "c@example.com"}
    await stores.watch.settle(report, token=None)
    assert await stores.watch.watched() == []


async def test_mails_of_a_schedule_whose_name_begins_alike_are_not_counted(stores):
    await made(stores, LAST, "a@example.com")
    await made(stores, LAST, "a@example.com", "b@example.com", schedule="daily/2")
    assert sorted((r.schedule, r.pending) for r in await stores.watch.watched()) == [("daily", 1), ("daily/2", 2)]


async def test_somebody_is_told_once_of_a_late_report(open_stores):
    one, two = await open_stores(), await open_stores()
    assert await one.watch.tell("daily", [OLD, BEFORE], [WORD], now=NOW, token=None)
    assert not await two.watch.tell("daily", [OLD, BEFORE], [WORD], now=NOW, token=None)
    assert [item.message for item in await one.state.outbox()] == [WORD]
    assert [(r.period, r.told, r.claimed_at) for r in await two.watch.watched()] == [
        (OLD, True, None),
        (BEFORE, True, None),
    ]
    assert await one.watch.tell("daily", [BEFORE, LAST], [], now=NOW, token=None), "of the last one nobody was told"


async def test_a_report_that_is_made_late_keeps_that_somebody_was_told(stores):
    await stores.watch.tell("daily", [LAST], [], now=NOW, token=None)
    await made(stores, LAST, "a@example.com")
    [report] = await stores.watch.watched()
    assert (report.told, report.claimed_at, report.mails) == (True, NOW, 1)
    assert not await stores.watch.tell("daily", [LAST], [WORD], now=NOW, token=None)


async def test_a_bundle_leaves_only_its_last_period_to_watch(stores):
    await stores.watch.tell("daily", PERIODS, [], now=NOW, token=None)
    await made(stores, LAST, "a@example.com", earlier=[(p.start, p.end) for p in (OLD, BEFORE)])
    assert [r.period for r in await stores.watch.watched()] == [LAST]


async def test_a_period_without_a_report_is_not_watched(stores):
    await stores.watch.tell("daily", [LAST], [], now=NOW, token=None)
    assert await stores.state.claim_period("daily", LAST.start, LAST.end, report=None, mails=[], now=NOW)
    assert await stores.watch.watched() == []


async def test_pings_in_vain_are_counted(stores):
    await made(stores, LAST)
    for tries in (1, 2):
        [report] = await stores.watch.watched()
        await stores.watch.ping_failed(report, next_at=NOW + tries * HOUR, token=None)
    [report] = await stores.watch.watched()
    assert (report.tries, report.next_at) == (2, NOW + 2 * HOUR)


async def test_whoever_lost_the_lease_notes_nothing(stores):
    old = await stores.state.acquire_lease("daemon", "one", NOW, HOUR)
    await stores.state.acquire_lease("daemon", "two", NOW + HOUR, HOUR)
    await made(stores, LAST)
    [report] = before = await stores.watch.watched()
    for change in (
        stores.watch.tell("daily", [OLD], [WORD], now=NOW, token=old),
        stores.watch.settle(report, token=old),
        stores.watch.ping_failed(report, next_at=NOW, token=old),
    ):
        with pytest.raises(LeaseLost):
            await change
    assert await stores.watch.watched() == before
    assert await stores.state.outbox() == []


async def test_what_is_old_is_no_longer_watched(stores):
    await made(stores, LAST)
    await stores.watch.tell("weekly", [LAST], [], now=NOW, token=None)
    await stores.state.purge_state(NOW, incidents_before=NOW)
    assert len(await stores.watch.watched()) == 2
    await stores.state.purge_state(NOW + HOUR, incidents_before=NOW)
    assert await stores.watch.watched() == []


async def put(stores, *keys, channel="ops", severity="warning", at=NOW):
    await stores.state.enqueue([Outgoing(key, channel, b"x", "alert", channel, severity) for key in keys], now=at)


async def fail(stores, *, retry_at=None, channel="ops", at=NOW):
    [item] = await stores.state.claim_due(at, holder="one", lease=HOUR, limit=1, channel=channel)
    await stores.state.mark_failed(item, holder="one", now=at, error="503", retry_at=retry_at, transport=None)


async def stuck(stores, before=NOW - HOUR):
    return await stores.watch.undelivered(before=before, tries=2)


async def test_what_waits_too_long_or_failed_twice_is_undelivered(open_stores):
    stores = await open_stores()
    await put(stores, "a", "b", severity="critical")
    assert await stuck(stores) == []
    await fail(stores, retry_at=NOW)
    assert await stuck(stores) == []
    await fail(stores, retry_at=NOW)
    [found] = await stuck(await open_stores())
    assert (found.channel, found.recipient, found.waiting, found.dead, found.new_dead) == ("ops", "ops", 1, 0, 0)
    assert (found.since, found.critical, found.error, found.outage) == (NOW, True, "503", None)
    [found] = await stuck(stores, before=NOW)
    assert found.waiting == 2


async def test_what_was_given_up_is_undelivered_until_it_was_told_and_something_was_delivered_after_it(stores):
    await put(stores, "a", "b")
    await fail(stores)
    [found] = await stuck(stores)
    assert (found.waiting, found.dead, found.new_dead, found.newest_dead) == (0, 1, 1, 1)
    outage = Outage(f"{TELLING}ops/1", NOW, (("mail", "a@example.com"),))
    await stores.watch.note_outages([(found, outage)], [WORD], now=NOW, token=None)
    assert [item.message for item in await stores.state.outbox(limit=1)] == [WORD]
    [found] = [each for each in await stuck(stores) if each.recipient == "ops"]
    assert (found.dead, found.new_dead, found.outage) == (1, 0, outage)
    [item] = await stores.state.claim_due(NOW, holder="one", lease=HOUR, limit=1)
    await stores.state.mark_sent(item, holder="one", now=NOW + HOUR, transport="ops")
    [found] = await stuck(stores)
    assert (found.dead, found.last_sent, found.channel_sent) == (0, NOW + HOUR, NOW + HOUR)
    await stores.watch.note_outages([(found, None)], [], now=NOW, token=None)
    assert await stuck(stores) == []


async def test_of_messages_about_messages_nothing_is_told(stores):
    await put(stores, f"{TELLING}mail/1/ops")
    await fail(stores)
    assert await stuck(stores, before=NOW + HOUR) == []


async def test_whoever_lost_the_lease_notes_no_outage(stores):
    old = await stores.state.acquire_lease("daemon", "one", NOW, HOUR)
    await stores.state.acquire_lease("daemon", "two", NOW + HOUR, HOUR)
    await put(stores, "a")
    [found] = await stuck(stores, before=NOW)
    with pytest.raises(LeaseLost):
        await stores.watch.note_outages([(found, Outage("x", NOW, ()))], [WORD], now=NOW, token=old)
    assert [each.outage for each in await stuck(stores, before=NOW)] == [None]


async def test_an_outage_goes_with_an_erased_person(stores):
    await put(stores, "a")
    [found] = await stuck(stores, before=NOW)
    for audience in ((("mail", "ada@example.com"),), (("mail", "bob@example.com"),)):
        await stores.watch.note_outages([(found, Outage("x", NOW, audience))], [], now=NOW, token=None)
        await stores.state.forget("ada@example.com")
        [found] = await stuck(stores, before=NOW)
        assert (found.outage is None) == (audience[0][1] == "ada@example.com")


async def test_the_oldest_message_that_waits_is_known(stores):
    assert await stores.watch.oldest_unsent() is None
    await put(stores, "a")
    await put(stores, "b", at=NOW + HOUR)
    assert await stores.watch.oldest_unsent() == NOW
    await fail(stores)
    assert await stores.watch.oldest_unsent() == NOW + HOUR

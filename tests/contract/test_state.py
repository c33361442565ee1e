"""What every state store must do: lease, ledger, reports, outbox, unsubscribing, erasing."""

import json
import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial

import pytest

from guardian.core.mentions import Mention
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.stores.sqlite.state import SqliteStateStore
from guardian.stores.state import FAITHFUL_TRIES, Edition, LeaseLost

NOW = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
TTL = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def open_store(open_stores):
    """Opens the same database again and again: as many connections as one likes."""

    async def another():
        return (await open_stores()).state

    return another


@pytest.fixture
async def state(open_store):
    return await open_store()


def mail(key, recipient="a@example.com", **values):
    return Outgoing(key=key, recipient=recipient, body=b"Subject: x\r\n\r\nhello\r\n", **values)


async def claim(state, now=NOW, *, holder="one", limit=10):
    return await state.claim_due(now, holder=holder, lease=MINUTE, limit=limit)


def keys(items):
    return [item.message.key for item in items]


# Lease


async def test_one_holder_leads_and_renews_with_the_same_token(state):
    token = await state.acquire_lease("daemon", "one", NOW, TTL)
    assert token is not None
    assert await state.acquire_lease("daemon", "two", NOW + TTL / 2, TTL) is None
    assert await state.acquire_lease("daemon", "one", NOW + TTL / 2, TTL) == token


async def test_an_expired_lease_goes_to_the_next_holder_with_a_greater_token(state):
    first = await state.acquire_lease("daemon", "one", NOW, TTL)
    second = await state.acquire_lease("daemon", "two", NOW + TTL, TTL)
    assert second > first
    assert await state.acquire_lease("daemon", "one", NOW + TTL, TTL) is None


async def test_a_released_lease_is_free_at_once_and_its_token_is_spent(state):
    first = await state.acquire_lease("daemon", "one", NOW, TTL)
    await state.release_lease("daemon", "one")
    with pytest.raises(LeaseLost):
        await state.enqueue([mail("a")], now=NOW, token=first)
    assert await state.acquire_lease("daemon", "two", NOW, TTL) > first


async def test_only_the_holder_can_release(state):
    token = await state.acquire_lease("daemon", "one", NOW, TTL)
    await state.release_lease("daemon", "two")
    assert await state.enqueue([mail("a")], now=NOW, token=token) == 1


async def test_a_lease_that_ends_in_a_far_future_was_taken_by_a_wrong_clock_and_is_free(state):
    await state.acquire_lease("daemon", "one", NOW + timedelta(days=1), TTL)
    assert await state.acquire_lease("daemon", "two", NOW, TTL) is not None


async def test_a_lease_is_held_from_its_start_until_its_end_or_its_release(open_store):
    """As a process sees it that holds nothing itself."""
    state, another = await open_store(), await open_store()
    assert not await another.lease_held("daemon", NOW, TTL)
    await state.acquire_lease("daemon", "one", NOW, TTL)
    assert await another.lease_held("daemon", NOW + TTL - timedelta(microseconds=1), TTL)
    assert not await another.lease_held("daemon", NOW + TTL, TTL)
    assert not await another.lease_held("another", NOW, TTL)
    await state.release_lease("daemon", "one")
    assert not await another.lease_held("daemon", NOW, TTL)


async def test_a_lease_that_a_wrong_clock_took_is_held_by_nobody(state):
    await state.acquire_lease("daemon", "one", NOW + timedelta(days=1), TTL)
    assert not await state.lease_held("daemon", NOW, TTL)


async def test_whoever_lost_the_lease_changes_nothing(state):
    old = await state.acquire_lease("daemon", "one", NOW, TTL)
    await state.acquire_lease("daemon", "two", NOW + TTL, TTL)
    with pytest.raises(LeaseLost):
        await state.enqueue([mail("a")], now=NOW, token=old)
    with pytest.raises(LeaseLost):
        await state.claim_period("daily", NOW - HOUR, NOW, report={}, mails=[mail("b")], now=NOW, token=old)
    assert await state.outbox() == []
    assert await state.last_period_end("daily") is None


# Ledger and reports


async def test_a_period_is_claimed_once_with_its_report_and_mails(state):
    report = {"users": [{"email": "zoë@example.com"}], "total_requests": 3}
    assert await state.last_period_end("daily") is None
    for expected in (True, False):
        mails = [mail(f"{expected}/a"), mail(f"{expected}/b", "b@example.com")]
        got = await state.claim_period("daily", NOW - HOUR, NOW, report=report, mails=mails, now=NOW)
        assert got is expected
    assert await state.last_period_end("daily") == NOW
    assert await state.last_period_end("weekly") is None
    assert await state.ledger_names() == ["daily"]
    assert sorted(keys(await state.outbox())) == ["True/a", "True/b"]
    [saved] = await state.reports()
    assert (saved.schedule, saved.period_start, saved.period_end, saved.created_at) == ("daily", NOW - HOUR, NOW, NOW)
    assert saved.report == {}
    assert (await state.report(saved.id)).report == report
    assert await state.report(saved.id + 1) is None


async def test_the_beginning_of_a_ledger_does_not_stand_for_a_period(state):
    await state.claim_period("daily", NOW, NOW, report=None, mails=[], now=NOW)
    assert await state.last_period_end("daily") == NOW
    assert await state.claim_period("daily", NOW - HOUR, NOW, report={}, mails=[], now=NOW)
    assert await state.claim_period("daily", NOW, NOW + HOUR, report={}, mails=[], now=NOW)


async def test_a_bundle_puts_each_period_into_the_ledger_and_saves_one_report(state):
    hours = [(NOW - n * HOUR, NOW - (n - 1) * HOUR) for n in (4, 3, 2)]
    assert await state.claim_period("2h", NOW - HOUR, NOW, report={"n": 1}, mails=[mail("a")], now=NOW, earlier=hours)
    for start, end in hours:
        assert not await state.claim_period("2h", start, end, report={}, mails=[mail("b")], now=NOW)
    [saved] = await state.reports()
    assert (saved.period_start, saved.period_end) == (NOW - 4 * HOUR, NOW)
    assert keys(await state.outbox()) == ["a"]


async def test_two_daemons_claim_a_period_once(open_store):
    one, two = await open_store(), await open_store()
    got = [
        await store.claim_period("daily", NOW - HOUR, NOW, report={}, mails=[mail("a")], now=NOW)
        for store in (one, two)
    ]
    assert sorted(got) == [False, True]
    assert len(await two.outbox()) == 1


async def test_a_period_that_ends_after_now_was_reported_by_a_clock_that_was_ahead_and_does_not_count(state):
    await state.claim_period("1h", NOW - HOUR, NOW, report={}, mails=[mail("a")], now=NOW)
    await state.claim_period("1h", NOW, NOW + HOUR, report={}, mails=[mail("b")], now=NOW + HOUR)
    back = NOW + MINUTE
    assert await state.last_period_end("1h", now=back) == NOW
    assert await state.last_period_end("1h", now=NOW + HOUR) == NOW + HOUR  # nothing was noted yet
    assert await state.doubt_early(back) == {"1h": 1}
    assert await state.doubt_early(back) == {}
    for now in (back, NOW + HOUR, NOW + 9 * HOUR):
        assert await state.last_period_end("1h", now=now) == NOW
        assert await state.edition("1h", NOW, NOW + HOUR, now=now) == Edition(2, NOW + HOUR)
    assert await state.edition("1h", NOW - HOUR, NOW, now=back) == Edition(1)
    assert await state.edition("1h", NOW + HOUR, NOW + 2 * HOUR, now=back) == Edition(1)


async def test_a_period_that_was_reported_too_early_is_claimed_once_more(state):
    await state.claim_period("1h", NOW, NOW + HOUR, report={}, mails=[mail("a")], now=NOW + HOUR)
    await state.doubt_early(NOW + MINUTE)
    late = NOW + 2 * HOUR
    assert await state.claim_period("1h", NOW, NOW + HOUR, report={}, mails=[mail("b")], now=late)
    assert not await state.claim_period("1h", NOW, NOW + HOUR, report={}, mails=[mail("c")], now=late)
    assert await state.last_period_end("1h", now=late) == NOW + HOUR
    assert await state.edition("1h", NOW, NOW + HOUR, now=late) == Edition(2)
    assert keys(await state.outbox()) == ["b", "a"]


async def test_a_bundle_claims_again_what_was_reported_too_early(state):
    for n in range(3):
        period = (NOW + n * HOUR, NOW + (n + 1) * HOUR)
        await state.claim_period("1h", *period, report={}, mails=[], now=NOW + 3 * HOUR)
    assert await state.doubt_early(NOW) == {"1h": 3}
    late, earlier = NOW + 5 * HOUR, [(NOW + n * HOUR, NOW + (n + 1) * HOUR) for n in range(2)]
    last = (NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert await state.claim_period("1h", *last, report={}, mails=[], now=late, earlier=earlier)
    for period in (*earlier, last):
        assert await state.edition("1h", *period, now=late) == Edition(2)


async def test_a_clock_that_begins_in_1970_at_each_start_brings_no_report_again(state):
    await state.claim_period("1h", NOW - HOUR, NOW, report={}, mails=[mail("a")], now=NOW)
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    assert await state.last_period_end("1h", now=begin) is None
    assert await state.doubt_early(begin) == {}
    assert await state.last_period_end("1h", now=NOW + MINUTE) == NOW


async def test_a_correction_of_seconds_makes_no_report_doubtful(state):
    await state.claim_period("1h", NOW - HOUR, NOW, report={}, mails=[], now=NOW + timedelta(seconds=5))
    back = NOW - timedelta(seconds=5)
    assert await state.doubt_early(back) == {}
    assert await state.last_period_end("1h", now=back) == NOW


async def test_whoever_lost_the_lease_doubts_nothing(state):
    old = await state.acquire_lease("daemon", "one", NOW, TTL)
    await state.claim_period("1h", NOW, NOW + HOUR, report={}, mails=[], now=NOW + HOUR)
    await state.acquire_lease("daemon", "two", NOW + TTL, TTL)
    with pytest.raises(LeaseLost):
        await state.doubt_early(NOW + MINUTE, token=old)


# Outbox


async def test_a_key_is_stored_once(state):
    assert await state.enqueue([mail("a"), mail("a"), mail("b")], now=NOW) == 2
    assert await state.enqueue([mail("a")], now=NOW) == 0
    assert await state.enqueue([], now=NOW) == 0


async def test_a_mail_keeps_every_byte_and_word(state):
    message = Outgoing("k", "ü@example.com", bytes(range(256)), "alert", "slack", "critical", "Sùbject")
    await state.enqueue([message], now=NOW)
    [item] = await claim(state)
    assert item.message == message
    assert (item.status, item.attempts, item.created_at, item.next_attempt_at) == ("pending", 0, NOW, NOW)
    assert (item.sent_at, item.transport, item.last_error) == (None, None, None)


async def test_a_mail_that_is_put_off_again_and_again_lets_those_behind_it_pass(state):
    await state.enqueue([mail("report"), mail("alert"), mail("another alert")], now=NOW)
    now = NOW
    for _ in range(6):
        [item] = await claim(state, now, limit=9)
        assert item.message.key == "report"
        now += 30 * MINUTE
        await state.mark_failed(item, holder="one", now=now, error="no", retry_at=now, transport="smtp")
    assert keys(await claim(state, now)) == ["report", "alert"]
    [_, alert] = await state.outbox(limit=2)
    await state.mark_sent(alert, holder="one", now=now, transport="smtp")
    assert keys(await claim(state, now + HOUR)) == ["report", "another alert"]


async def test_a_recipient_gets_one_mail_at_a_time_in_the_order_they_were_written(state):
    await state.enqueue([mail("a1"), mail("a2"), mail("b1", "b@example.com"), mail("a3")], now=NOW)
    first = await claim(state)
    assert keys(first) == ["a1", "b1"]
    assert await claim(state) == []
    await state.mark_sent(first[0], holder="one", now=NOW, transport="smtp")
    assert keys(await claim(state)) == ["a2"]


async def test_a_mail_that_waits_for_its_next_try_holds_back_only_its_own_recipient(state):
    await state.enqueue([mail("a1"), mail("a2"), mail("b1", "b@example.com")], now=NOW)
    [a1, b1] = await claim(state)
    await state.mark_failed(a1, holder="one", now=NOW, error="451 later", retry_at=NOW + HOUR, transport=None)
    await state.mark_sent(b1, holder="one", now=NOW, transport="smtp")
    assert await claim(state, NOW + HOUR - MINUTE) == []
    [again] = await claim(state, NOW + HOUR)
    assert (again.message.key, again.attempts, again.last_error) == ("a1", 1, "451 later")


async def test_an_alert_does_not_wait_behind_a_report_and_the_gravest_comes_first(state):
    report, other = mail("report"), mail("report of another", "b@example.com", severity="critical")
    alerts = [mail(grave, f"{grave}@example.com", kind="alert", severity=grave) for grave in ("info", "critical")]
    second = mail("second", kind="alert", severity="warning")
    await state.enqueue([report, other, *alerts, second], now=NOW)
    [first] = await claim(state, limit=1)
    assert first.message.key == "critical"
    assert keys(await claim(state)) == ["second", "info", "report of another", "report"]


async def test_a_channel_is_claimed_for_itself_and_so_is_what_nothing_carries(state):
    await state.enqueue([mail(each, each, channel=each) for each in ("mail", "ops", "fax")], now=NOW)
    claimed = partial(state.claim_due, NOW, holder="one", lease=MINUTE, limit=9)
    assert keys(await claimed(channel="ops")) == ["ops"]
    assert keys(await claimed(besides=("mail", "ops"))) == ["fax"]
    assert keys(await claimed(besides=("ops", "fax"))) == ["mail"]


async def test_what_only_a_resting_transport_may_carry_is_left_where_it_is(state):
    await state.enqueue([mail("a"), mail("b", "b@example.com")], now=NOW)
    a, b = await claim(state)
    await state.mark_failed(a, holder="one", now=NOW, error="cut", retry_at=NOW, transport="smtp")
    await state.mark_failed(b, holder="one", now=NOW, error="put off", retry_at=NOW, transport=None)
    claimed = partial(state.claim_due, holder="one", lease=MINUTE, limit=9, resting=("smtp",))
    assert keys(await claimed(NOW)) == ["b"]
    for _ in range(FAITHFUL_TRIES - 1):
        [item] = [each for each in await claim(state) if each.message.key == "a"]
        await state.mark_failed(item, holder="one", now=NOW, error="cut", retry_at=NOW, transport="smtp")
    assert keys(await claimed(NOW)) == ["a"], "a second copy beats no mail"


async def test_the_limit_is_kept(state):
    await state.enqueue([mail(str(n), f"{n}@example.com") for n in range(5)], now=NOW)
    assert keys(await claim(state, limit=2)) == ["0", "1"]
    assert keys(await claim(state, limit=2)) == ["2", "3"]


async def test_an_expired_claim_is_claimed_again(open_store):
    one, two = await open_store(), await open_store()
    await one.enqueue([mail("a")], now=NOW)
    assert keys(await claim(one)) == ["a"]
    assert await claim(two, NOW + MINUTE / 2, holder="two") == []
    assert keys(await claim(two, NOW + MINUTE, holder="two")) == ["a"]


async def test_a_late_word_of_success_counts_and_a_late_word_of_failure_does_not(state):
    await state.enqueue([mail("a"), mail("b", "b@example.com")], now=NOW)
    [a, b] = await claim(state)
    await claim(state, NOW + MINUTE, holder="two")
    await state.mark_failed(b, holder="one", now=NOW, error="late", retry_at=None, transport=None)
    await state.mark_sent(a, holder="one", now=NOW, transport="smtp")
    assert await state.outbox_counts() == {"pending": 1, "sent": 1, "dead": 0, "dropped": 0}
    assert (await state.outbox_item(b.id)).last_error is None


async def test_an_unknown_outcome_names_the_transport_to_retry(state):
    await state.enqueue([mail("a")], now=NOW)
    [item] = await claim(state)
    await state.mark_failed(item, holder="one", now=NOW, error="cut", retry_at=NOW, transport="gmail")
    assert (await claim(state))[0].transport == "gmail"


async def test_a_dead_mail_frees_its_recipient_and_can_be_retried(state):
    await state.enqueue([mail("a1"), mail("a2")], now=NOW)
    [item] = await claim(state)
    await state.mark_failed(item, holder="one", now=NOW, error="550 no such user", retry_at=None, transport=None)
    assert [i.last_error for i in await state.outbox(status="dead")] == ["550 no such user"]
    [second] = await claim(state)
    await state.mark_sent(second, holder="one", now=NOW, transport="smtp")
    assert await state.retry(item.id, NOW + HOUR)
    assert keys(await claim(state, NOW + HOUR)) == ["a1"]
    assert not await state.retry(second.id, NOW)
    assert not await state.retry(999, NOW)


async def test_a_mail_that_could_not_be_written_is_dead_from_the_start_with_its_reason_and_can_never_be_sent(state):
    lost = Outgoing("k/1", "a@example.com", b"", "report", unwritten="it cannot be written: no address")
    await state.enqueue([lost, mail("k/2", "b@example.com")], now=NOW)
    [item] = await state.outbox(status="dead")
    assert (item.message.key, item.last_error, item.attempts) == ("k/1", "it cannot be written: no address", 0)
    assert not await state.retry(item.id, NOW)
    assert [each.message.key for each in await state.claim_due(NOW, holder="d", lease=MINUTE, limit=9)] == ["k/2"]
    assert await state.drop(item.id, NOW)


async def test_mails_go_out_although_the_clock_was_set_back(state):
    later = NOW + 2 * timedelta(days=365)
    await state.enqueue([mail("new"), mail("tried", "b@example.com"), mail("claimed", "c@example.com")], now=later)
    [_, tried, _] = await claim(state, later)
    await state.mark_failed(tried, holder="one", now=later, error="451", retry_at=later + MINUTE, transport=None)
    assert keys(await claim(state)) == ["new", "tried", "claimed"]


async def test_a_dropped_mail_is_never_sent(state):
    await state.enqueue([mail("a")], now=NOW)
    [item] = await state.outbox()
    assert await state.drop(item.id, NOW)
    assert not await state.drop(item.id, NOW)
    assert await claim(state) == []
    assert (await state.outbox_item(item.id)).status == "dropped"


# Forgetting


async def test_a_purge_takes_what_is_done_and_old_and_leaves_what_waits_and_the_ledger(state):
    await state.claim_period(
        "daily", NOW - HOUR, NOW, report={}, mails=[mail("a"), mail("b", "b@example.com")], now=NOW
    )
    [a, _] = await claim(state)
    await state.mark_sent(a, holder="one", now=NOW, transport="smtp")
    assert await state.purge_state(NOW, incidents_before=NOW) == 0
    assert await state.count_old(NOW + MINUTE, incidents_before=NOW) == 2
    assert await state.purge_state(NOW + MINUTE, incidents_before=NOW) == 2
    assert keys(await state.outbox()) == ["b"]
    assert await state.reports() == []
    assert await state.last_period_end("daily") == NOW


async def test_what_is_finished_outlives_the_purge_of_what_never_was(state):
    long = replace(mail("a"), body=b"\r\n\r\n" + os.urandom(2_000_000))
    report = {"noise": os.urandom(1_000_000).hex()}
    await state.claim_period("daily", NOW - HOUR, NOW, report=report, mails=[long, mail("b")], now=NOW)
    assert await state.purge_unfinished(datetime(2100, 1, 1, tzinfo=UTC)) == 0
    assert {item.message.key: item.message.body for item in await state.outbox()}["a"] == long.body
    assert (await state.report((await state.reports())[0].id)).report == report


def letter(text, **headers):
    message = EmailMessage()
    message["Subject"] = headers.get("subject", "Report")
    message["Message-ID"] = "<one@example.com>"
    message.set_content(text, cte="base64")
    message.add_alternative(f"<p>{text}</p>", subtype="html", cte="quoted-printable")
    return message.as_bytes()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Bob@Example.com met 3 errors", True),
        ("in the end bob@example.com.", True),
        ("jbob@example.com met 3 errors", False),
        ("bob@example.com.au met 3 errors", False),
        ("x" * 75 + " bob@example.com", True),
    ],
)
async def test_an_address_that_no_note_tells_of_is_found_in_a_mail_and_the_mail_stays(state, text, gone):
    """Of an older version, or out of a companion report."""
    before = letter(text)
    await state.enqueue([Outgoing("k", "a@example.com", before)], now=NOW)
    assert (await state.forget("bob@example.com")).mails == gone
    [item] = await state.outbox()
    mail = message_from_bytes(item.message.body, policy=policy.default)
    for part in mail.iter_parts():
        assert ("bob@" not in part.get_content().lower() and "(erased)" in part.get_content()) == gone
    assert mail["Subject"] == "Report"
    assert (item.message.body == before) == (not gone)


async def test_mails_to_an_erased_person_go(state):
    await state.enqueue([mail("k", "Bob@example.com")], now=NOW)
    assert (await state.forget("bob@example.com")).mails == 1
    assert await state.outbox() == []


async def test_mails_to_somebody_whom_the_settings_have_mailed_stay(state):
    await state.enqueue([mail("k", "bob@example.com")], now=NOW)
    await state.unsubscribe("daily", "bob@example.com", wanted=False, now=NOW)
    assert (await state.forget("bob@example.com", recipients={"bob@example.com"})).rows == 0
    assert await state.unsubscribed("daily") == {"bob@example.com"}
    forgotten = await state.forget("bob@example.com")
    assert (forgotten.mails, forgotten.unsubscribed) == (1, 1)
    assert await state.unsubscribed("daily") == set()


async def test_who_was_buried_is_known_by_the_name_and_the_time(state):
    await state.forget("bob@example.com", buried_at=NOW)
    names = {"bob@example.com", "eve@example.com"}
    assert await state.erased_since(names, NOW) == {"bob@example.com"}
    assert await state.erased_since(names, NOW + MINUTE) == set()


async def test_an_erasure_that_no_reader_holds_up_leaves_nothing_to_settle(state):
    assert await state.unsettled_erasures() == 0
    await state.forget("ada@example.com", buried_at=NOW)
    assert await state.settle_erasures()
    assert await state.unsettled_erasures() == 0


async def test_every_process_sees_that_somebody_was_erased_since_it_looked(open_store):
    mine, theirs = await open_store(), await open_store()
    seen = [await mine.erasures()]
    for name, at in (("bob@example.com", NOW), ("eve@example.com", NOW), ("bob@example.com", NOW + MINUTE)):
        assert await mine.erasures() == seen[-1]
        await theirs.forget(name, buried_at=at)
        seen.append(await mine.erasures())
    assert len(set(seen)) == 4


async def test_a_report_that_was_read_before_somebody_was_erased_comes_without_them(state):
    await state.forget("bob", buried_at=NOW)
    report = {"generated_at": (NOW - MINUTE).isoformat(), "users": [{"email": "bob"}, {"email": "eve"}]}
    named = Outgoing("k", "a@example.com", letter("bob met errors"), people=(Mention("bob", "1", 0, 3),))
    await state.claim_period("daily", NOW - HOUR, NOW, report=report, mails=[named], now=NOW + MINUTE)
    await state.enqueue([replace(named, key="k2")], now=NOW + MINUTE, since=NOW - MINUTE)
    await state.enqueue([replace(named, key="k3")], now=NOW + MINUTE, since=NOW + MINUTE)
    said = [
        message_from_bytes(item.message.body, policy=policy.default).get_body(("plain",)).get_content().split()[0]
        for item in await state.outbox()
    ]
    assert said == ["bob", "(erased)", "(erased)"], "the newest first: who came back is a new person"
    assert (await state.report(1)).report["users"] == [{"email": "(erased)"}, {"email": "eve"}]


WORDS = ("subject", "status", "memories", "00", "1", "users", "chat_message", "500", "email", "k", "mail", "report")


@pytest.mark.parametrize("name", WORDS)
async def test_a_name_that_is_a_word_of_the_mail_or_the_report_takes_nothing_else_with_it(stores, name):
    state = stores.state
    report = {
        "period_end": "2026-03-02T06:00:00+00:00", "total_requests": 9, "status": "OK", "error_breakdown": {"500": 1},
        "users": [{"email": name, "features_used": ["chat_message"]}, {"email": "eve@example.com"}],
    }  # fmt: skip
    text = f"{name} met 500 errors in chat_message: subject, status, memories, 00, 1, users"
    subject = f"{name} keeps meeting errors in {name}"
    noted = (
        Mention(name, "1", 0, len(name)),
        Mention(name, "2", 3, 3 + len(name)),
        Mention(name, "subject", 0, len(name)),
    )
    named = Outgoing("k", "a@example.com", letter(text, subject=subject), subject=subject, people=noted)
    other = Outgoing("other", "b@example.com", letter(text))
    await state.claim_period("daily", NOW - HOUR, NOW, report=report, mails=[named, other], now=NOW)
    forgotten = await state.forget(name)
    assert (forgotten.mails, forgotten.reports) == (1, 1)
    [after, first] = await state.outbox()
    assert (after.message.body, first.status) == (other.body, "pending")
    mail_, rest = message_from_bytes(first.message.body, policy=policy.default), subject[len(name) :]
    assert first.message.subject == mail_["Subject"] == f"(erased){rest}"
    [plain, page] = [part.get_content().strip() for part in mail_.iter_parts()]
    assert plain == f"(erased){text[len(name) :]}"
    assert page == f"<p>(erased){text[len(name) :]}</p>"
    assert mail_["Message-ID"] == "<one@example.com>"
    [saved] = await state.reports()
    expected = {**report, "users": [{**report["users"][0], "email": "(erased)"}, report["users"][1]]}
    assert (await state.report(saved.id)).report == expected


async def test_others_whom_a_mail_names_can_be_erased_after(state):
    text = "bob and eve and bob met errors"
    noted = tuple(Mention(text[s:e], "1", s, e) for s, e in ((0, 3), (8, 11), (16, 19)))
    await state.enqueue([Outgoing("k", "a@example.com", letter(text), people=noted)], now=NOW)
    for name, left in (("bob", "(erased) and eve and (erased)"), ("eve", "(erased) and (erased) and (erased)")):
        assert (await state.forget(name)).mails == 1
        [item] = await state.outbox()
        plain = message_from_bytes(item.message.body, policy=policy.default).get_body(("plain",))
        assert plain.get_content() == f"{left} met errors\n"


async def test_a_channels_message_is_written_again(state):
    said = {"title": "status keeps meeting errors", "text": "Opened: status keeps", "severity": "warning"}
    noted = (Mention("status", "title", 0, 6), Mention("status", "text", 8, 14))
    await state.enqueue([Outgoing("k", "ops", json.dumps(said).encode(), "alert", "ops", people=noted)], now=NOW)
    assert (await state.forget("status")).mails == 1
    [item] = await state.outbox()
    after = {"title": "(erased) keeps meeting errors", "text": "Opened: (erased) keeps", "severity": "warning"}
    assert json.loads(item.message.body) == after


async def test_a_saved_report_keeps_its_totals_and_loses_the_name(state):
    report = {"total_requests": 9, "users": [{"email": "bob@example.com"}, {"email": "eve@example.com"}]}
    await state.claim_period("daily", NOW - HOUR, NOW, report=report, mails=[], now=NOW)
    assert (await state.forget("bob@example.com")).reports == 1
    assert (await state.forget("bob@example.com")).rows == 0
    [saved] = await state.reports()
    expected = {"total_requests": 9, "users": [{"email": "(erased)"}, {"email": "eve@example.com"}]}
    assert (await state.report(saved.id)).report == expected


# Unsubscribing


async def test_who_unsubscribed_is_remembered_by_schedule_until_they_want_it_again(open_store):
    state = await open_store()
    for _ in range(2):
        await state.unsubscribe("daily", "a@example.com", wanted=False, now=NOW)
    await state.unsubscribe("weekly", "b@example.com", wanted=False, now=NOW)
    assert await (await open_store()).unsubscribed("daily") == {"a@example.com"}
    for _ in range(2):
        await state.unsubscribe("daily", "a@example.com", wanted=True, now=NOW)
    assert await state.unsubscribed("daily") == set()
    assert await state.unsubscribed("weekly") == {"b@example.com"}


# The file


async def test_nothing_of_an_erased_person_is_left_in_the_file(state, sqlite_file):
    await state.enqueue([Outgoing("k", "a@example.com", b"Subject: x\r\n\r\nbob@example.com\r\n")], now=NOW)
    await state.forget("bob@example.com")
    assert all(b"bob@" not in path.read_bytes() for path in sqlite_file.parent.iterdir())


async def test_state_survives_being_closed_and_closing_twice_is_safe(open_store):
    one = await open_store()
    await one.enqueue([mail("a")], now=NOW)
    await one.close()
    await one.close()
    assert keys(await (await open_store()).outbox()) == ["a"]
    with pytest.raises(StorageError, match="is closed"):
        await one.outbox()


async def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "broken.db").write_bytes(b"not a database, certainly not" * 100)
    with pytest.raises(StorageError, match=r"broken\.db cannot be opened: file is not a database"):
        await SqliteStateStore.open(tmp_path / "broken.db")


async def test_a_newer_database_is_refused_in_a_sentence(tmp_path):
    await (await SqliteStateStore.open(tmp_path / "new.db")).close()
    db = sqlite3.connect(tmp_path / "new.db")
    with db:
        db.execute("INSERT INTO guardian_migration VALUES ('guardian/9999_later', '')")
    db.close()
    with pytest.raises(StorageError, match="'guardian/9999_later', which this version of Guardian does not know"):
        await SqliteStateStore.open(tmp_path / "new.db")

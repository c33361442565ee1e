"""What only a database that many machines write to can get wrong: contention, lost answers, zombies, long messages."""

import asyncio
import os
import socket
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.root import open_application
from guardian.application.upkeep import clean_up
from guardian.core.mentions import Mention
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.settings.schema import Settings
from guardian.stores.firestore import client, database
from guardian.stores.firestore.alerts import ALERTS, INCIDENT, OPEN_US, FirestoreAlertStore
from guardian.stores.firestore.database import name_of
from guardian.stores.firestore.draft import INLINE_BYTES, PARTS, Draft
from guardian.stores.firestore.queries import Query
from guardian.stores.firestore.state import FirestoreStateStore
from guardian.stores.state import LeaseLost
from tests.support.firestore import HOST, address_in
from tracker.firestore.address import parse

pytestmark = pytest.mark.needs_firestore

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, TTL = timedelta(hours=1), timedelta(seconds=30)
PERIOD = (NOW - HOUR, NOW)


@pytest.fixture
def address(tmp_path):
    return parse(address_in(tmp_path))


@pytest.fixture
async def state(address):
    return await FirestoreStateStore.open(address)


async def daemons(address, many=20):
    """Stores that share nothing but the database."""
    return [await FirestoreStateStore.open(address) for _ in range(many)]


def mail(key, recipient="a@example.com", body=b"Subject: x\r\n\r\nhello\r\n", **values):
    return Outgoing(key=key, recipient=recipient, body=body, **values)


# Contention


async def test_of_twenty_that_want_the_lease_at_once_one_gets_it_and_nobody_errs(address):
    them = await daemons(address)
    got = await asyncio.gather(*(s.acquire_lease("daemon", str(n), NOW, TTL) for n, s in enumerate(them)))
    assert Counter(token is not None for token in got) == {True: 1, False: 19}


async def test_of_twenty_that_claim_a_period_at_once_one_does_so_and_its_mails_are_there_once(address):
    them = await daemons(address)
    claims = (
        s.claim_period("daily", *PERIOD, report={"n": n}, mails=[mail("a"), mail("b")], now=NOW)
        for n, s in enumerate(them)
    )
    assert Counter(await asyncio.gather(*claims)) == {True: 1, False: 19}
    assert len(await them[0].outbox()) == 2
    assert len(await them[0].reports()) == 1


async def test_what_twenty_enqueue_at_once_is_all_there_with_a_number_of_its_own(address):
    them = await daemons(address)
    new = await asyncio.gather(*(s.enqueue([mail(f"own/{n}"), mail("same")], now=NOW) for n, s in enumerate(them)))
    assert sum(new) == 21
    assert sorted(item.id for item in await them[0].outbox()) == list(range(1, 22))


async def test_each_mail_goes_out_once_from_two_daemons_that_deliver_at_the_same_time(address):
    them = await daemons(address, 2)
    await them[0].enqueue([mail(f"{n}", f"{n % 10}@example.com") for n in range(30)], now=NOW)
    sent = Counter()

    async def deliver(holder, store):
        while items := await store.claim_due(NOW, holder=holder, lease=HOUR, limit=3):
            for item in items:
                sent[item.message.key] += 1
                await store.mark_sent(item, holder=holder, now=NOW, transport="smtp")

    while (await them[0].outbox_counts())["pending"]:
        await asyncio.gather(*(deliver(str(n), store) for n, store in enumerate(them)))
    assert sent == {f"{n}": 1 for n in range(30)}


async def test_a_zombie_that_was_stopped_between_looking_and_writing_changes_nothing(state, address, monkeypatch):
    token = await state.acquire_lease("daemon", "one", NOW, TTL)
    other, commit = await FirestoreStateStore.open(address), Draft.commit

    async def late(draft):
        monkeypatch.setattr(Draft, "commit", commit)
        await other.acquire_lease("daemon", "two", NOW + TTL, TTL)
        await commit(draft)

    monkeypatch.setattr(Draft, "commit", late)
    with pytest.raises(LeaseLost):
        await state.enqueue([mail("a")], now=NOW, token=token)
    assert await other.outbox() == []


async def test_a_renewed_lease_stops_nobody_who_holds_it(state, monkeypatch):
    token, commit = await state.acquire_lease("daemon", "one", NOW, TTL), Draft.commit
    other = await FirestoreStateStore.open(state.address)

    async def late(draft):
        monkeypatch.setattr(Draft, "commit", commit)
        await other.acquire_lease("daemon", "one", NOW + TTL / 2, TTL)
        await commit(draft)

    monkeypatch.setattr(Draft, "commit", late)
    assert await state.enqueue([mail("a")], now=NOW, token=token) == 1


async def test_who_is_erased_while_a_report_is_written_is_not_in_it(state, address, monkeypatch):
    commit, other = Draft.commit, await FirestoreStateStore.open(address)

    async def late(draft):
        monkeypatch.setattr(Draft, "commit", commit)
        await other.forget("bob", buried_at=NOW)
        await commit(draft)

    monkeypatch.setattr(Draft, "commit", late)
    report = {"generated_at": (NOW - TTL).isoformat(), "users": [{"email": "bob"}]}
    named = mail("k", subject="bob met errors", people=(Mention("bob", "subject", 0, 3),))
    assert await state.claim_period("daily", *PERIOD, report=report, mails=[named], now=NOW)
    assert (await state.report(1)).report["users"] == [{"email": "(erased)"}]
    assert [item.message.subject for item in await state.outbox()] == ["(erased) met errors"]


# Answers that get lost


@pytest.mark.parametrize("took_place", [True, False])
async def test_a_commit_whose_answer_is_lost_is_looked_up(state, monkeypatch, took_place):
    from google.api_core.exceptions import DeadlineExceeded

    commit = Draft.commit

    async def lost(draft):
        monkeypatch.setattr(Draft, "commit", commit)
        if took_place:
            await commit(draft)
        raise DeadlineExceeded("504 Deadline Exceeded")

    monkeypatch.setattr(Draft, "commit", lost)
    claimed = state.claim_period("daily", *PERIOD, report={}, mails=[mail("a")], now=NOW)
    if took_place:
        assert await claimed is True
    else:
        with pytest.raises(StorageError, match="does not answer"):
            await claimed
    assert len(await state.outbox()) == took_place


async def test_a_database_that_does_not_answer_is_a_sentence_in_time(monkeypatch):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv(HOST, f"127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setattr(client, "SECONDS", 0.3)
        monkeypatch.setattr("guardian.stores.firestore.draft.SECONDS", 0.3)
        with pytest.raises(StorageError, match=r"^the database firestore://deaf-one (cannot be used|did not answer).*"):
            await asyncio.wait_for(FirestoreStateStore.open(parse("firestore://deaf-one")), 60)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("PermissionDenied", "403 Missing or insufficient permissions.", "give it the role roles/datastore.user"),
        ("PermissionDenied", "403 has not been used in project 7", "run gcloud services enable"),
        ("NotFound", "404 The database (default) does not exist", "run gcloud firestore databases create|make it by"),
        ("Unauthenticated", "401", "does not accept the credentials"),
        ("FailedPrecondition", "400 The query requires an index.", "an index is missing in Firestore"),
        ("ResourceExhausted", "429 Quota exceeded.", "the quota of Firestore is used up"),
    ],
)
async def test_what_google_refuses_is_a_sentence_with_the_cure(state, kind, text, said):
    from google.api_core import exceptions

    async def refused(draft):
        raise getattr(exceptions, kind)(text)

    for ask in (state.read, state.transact):
        with pytest.raises(StorageError, match=f"^the database {state.address} cannot be used: .*({said})"):
            await ask(refused)


async def test_without_credentials_it_is_said_how_to_get_some(monkeypatch):
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def none(*_, **__):
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.delenv(HOST, raising=False)
    monkeypatch.setattr(google.auth, "default", none)
    with pytest.raises(StorageError, match="run gcloud auth application-default login"):
        await FirestoreStateStore.open(parse("firestore://nobodys"))


async def test_a_damaged_document_is_a_sentence_with_the_cure(state):
    alerts = FirestoreAlertStore(state)

    async def damage(draft):
        fields = {"id": "a", "opened_us": 1, "until_us": OPEN_US, "body": '{"id": 7}'}
        draft.force(INCIDENT, name_of("a"), fields)
        draft.force(ALERTS, "now", {"body": b"nothing of ours", "parts": []})

    await state.transact(damage)
    for asked in (alerts.incidents(), alerts.incidents(open_only=True), alerts.incident("a"), alerts.load()):
        with pytest.raises(StorageError, match=r"a document is damaged .*restore a backup"):
            await asked


async def test_a_database_of_a_newer_version_is_refused_in_a_sentence(state, monkeypatch):
    monkeypatch.setattr(database, "VERSION", 0)
    with pytest.raises(StorageError, match="has the layout 1, which this version of Guardian does not know"):
        await FirestoreStateStore.open(state.address)


# What is long


async def parts(state):
    return len(await state.find(Query(PARTS)))


async def test_a_message_that_no_document_holds_comes_back_whole_and_goes_whole(state):
    body = b"Subject: x\r\n\r\n" + os.urandom(4 * INLINE_BYTES)
    await state.enqueue([mail("long", body=body), mail("short", "b@example.com")], now=NOW)
    assert await parts(state) == 5
    items = await state.claim_due(NOW, holder="one", lease=HOUR, limit=9)
    assert [item.message.body == body for item in items] == [True, False]
    assert await state.drop(items[0].id, NOW)
    assert await state.purge_state(NOW + HOUR, incidents_before=NOW) == 1
    assert await parts(state) == 0


async def test_messages_that_no_commit_holds_are_stored_together(state):
    many = [mail(f"{n}", f"{n}@example.com", b"\r\n\r\n" + os.urandom(INLINE_BYTES - 1000)) for n in range(20)]
    await state.claim_period("daily", *PERIOD, report={}, mails=many, now=NOW)
    items = await state.outbox()
    assert {item.message.key: item.message.body for item in items} == {each.key: each.body for each in many}


async def test_of_a_claim_that_came_too_late_no_part_is_left(state, address):
    other = await FirestoreStateStore.open(address)
    long = mail("long", body=os.urandom(2 * INLINE_BYTES))
    token = await state.acquire_lease("daemon", "one", NOW, TTL)
    await other.acquire_lease("daemon", "two", NOW + TTL, TTL)
    with pytest.raises(LeaseLost):
        await state.enqueue([long], now=NOW, token=token)
    await asyncio.gather(*(each.enqueue([long], now=NOW) for each in (state, other)))
    assert await parts(state) == 3


async def test_a_long_report_loses_an_erased_person_and_the_parts_that_named_them(state):
    report = {"users": [{"email": "bob"}], "noise": os.urandom(INLINE_BYTES).hex()}
    await state.claim_period("daily", *PERIOD, report=report, mails=[], now=NOW)
    before = await parts(state)
    assert (await state.forget("bob")).reports == 1
    assert (await state.report(1)).report == {**report, "users": [{"email": "(erased)"}]}
    assert await parts(state) == before > 0


class Died(BaseException):
    """The process is gone: nothing of it clears up."""


@pytest.fixture
def die(monkeypatch):
    """Let a change die once its parts are written, before it is committed."""

    async def dying(change):
        async def nothing(draft):
            raise Died

        async def cleared(draft):
            """Nobody is left who would."""

        with monkeypatch.context() as dead, pytest.raises(Died):
            dead.setattr(Draft, "commit", nothing)
            dead.setattr(Draft, "clear_parts", cleared)
            await change

    return dying


async def test_parts_of_a_message_that_a_process_died_over_go_once_they_are_some_hours_old(state, die):
    long = mail("long", body=b"\r\n\r\n" + os.urandom(2 * INLINE_BYTES))
    await state.enqueue([long], now=NOW)
    await die(state.enqueue([mail("lost", body=os.urandom(2 * INLINE_BYTES))], now=NOW))
    await die(state.claim_period("daily", *PERIOD, report={"x": os.urandom(INLINE_BYTES).hex()}, mails=[], now=NOW))
    everything, written = await parts(state), datetime.now(UTC)
    assert everything > 3 + 3
    assert await state.purge_unfinished(written - HOUR) == 0
    assert await state.purge_unfinished(written + HOUR) == everything - 3
    assert await parts(state) == 3
    assert (await state.outbox())[0].message.body == long.body


async def test_erasing_somebody_leaves_no_part_of_a_message_that_a_process_died_over(state, die):
    bob = Mention("bob@example.com", "0", 0, 15)
    lost = mail("lost", body=b"bob@example.com" + os.urandom(2 * INLINE_BYTES), people=(bob,))
    await die(state.enqueue([lost], now=NOW))
    assert await parts(state) == 3
    await state.forget("bob@example.com", buried_at=NOW)
    assert await parts(state) == 0


async def test_parts_of_before_there_were_marks_stay_as_long_as_a_message_names_them(state):
    long = mail("long", body=b"\r\n\r\n" + os.urandom(2 * INLINE_BYTES))
    await state.enqueue([long], now=NOW)

    async def unmarked(draft):
        for name, fields in await draft.find(Query(PARTS)):
            await draft.client.collection(PARTS).document(name).set({"body": fields["body"]})
        await draft.client.collection(PARTS).document("lost").set({"body": b"bob@example.com"})

    await state.read(unmarked)
    assert await state.purge_unfinished(datetime.now(UTC) + HOUR) == 1
    assert (await state.outbox())[0].message.body == long.body


async def test_a_message_whose_parts_are_cleared_before_it_is_committed_is_written_again(state, monkeypatch):
    body, commit, cleared = b"\r\n\r\n" + os.urandom(2 * INLINE_BYTES), Draft.commit, []

    async def late(draft):
        if draft.parts and not cleared:
            cleared.append(await state.read(lambda other: other.find(Query(PARTS))))
            for name, _ in cleared[0]:
                await draft.client.collection(PARTS).document(name).delete()
        await commit(draft)

    monkeypatch.setattr(Draft, "commit", late)
    await state.enqueue([mail("long", body=body)], now=NOW)
    assert len(cleared[0]) == 3
    assert (await state.outbox())[0].message.body == body


async def test_the_daily_cleanup_removes_what_a_process_died_over(state, die):
    await die(state.enqueue([mail("lost", body=os.urandom(2 * INLINE_BYTES))], now=NOW))
    now = datetime.now(UTC)
    settings = Settings(database=str(state.address), admins=("admin@example.com",))
    async with open_application(settings, clock=lambda: now) as app:
        await clean_up(app, now)
        assert await parts(state) == 3  # it may be under way
        await clean_up(app, now + 7 * HOUR)
    assert await parts(state) == 0


# Processes and loops


def test_each_event_loop_has_a_client_of_its_own(address):
    async def once(key):
        state = await FirestoreStateStore.open(address)
        return await state.enqueue([mail(key)], now=NOW)

    assert [asyncio.run(once(key)) for key in ("a", "b", "a")] == [1, 1, 0]

"""Erasing a person where the database is Firestore: every field of every document of every collection is searched."""

import asyncio
import zlib
from datetime import timedelta
from email import policy
from email.message import EmailMessage

import pytest

from guardian.application.erasing import erase_again, erase_person
from guardian.application.reporting import send_report_now
from guardian.stores.firestore.alerts import ALERTS
from guardian.stores.firestore.ledger import REPORT
from guardian.stores.firestore.mails import OUTBOX
from tests.integration.test_erasing import LONG, RULES, mailed, readable, traffic, written
from tests.support.api_client import NOW, bearer, calling, event, open_incident, opened
from tests.support.firestore import address_in, late_first
from tracker import Recorder
from tracker.event import Client
from tracker.firestore.address import parse
from tracker.firestore.client import client_of
from tracker.firestore.clients import CLIENTS
from tracker.firestore.people import PEOPLE
from tracker.firestore.sink import FirestoreSink, Waiting

pytestmark = pytest.mark.needs_firestore
BOB = "bob@example.com"
HOME = Client("198.51.100.77", "Bobs own browser")
HERE = "http://127.0.0.1:8765"


@pytest.fixture
def address(tmp_path):
    return address_in(tmp_path)


def packed_in(value):
    """What lies compressed in these bytes, at whatever place, and in that again."""
    for at in range(len(value) - 1):
        if value[at] == 0x78 and int.from_bytes(value[at : at + 2]) % 31 == 0:  # RFC 1950, 2.2
            try:
                inside = zlib.decompressobj().decompress(value[at:])
            except zlib.error:
                continue
            yield inside
            yield from packed_in(inside)


def leaves(value):
    """All texts and bytes of a value, those that are compressed among them, and the text of mails."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key.encode()
            yield from leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        for each in (value, *packed_in(value)):
            yield each
            if b"MIME-Version" in each[:5_000]:
                yield readable([each], {}).replace("<wbr>", "").encode()


def places_of(address, *texts):
    """The collections whose documents say one of these texts, in a field, a name of one, or that of the document."""
    found = {}
    for collection in client_of(parse(address)).collections():
        for each in collection.stream():
            for leaf in (each.id.encode(), *leaves(each.to_dict())):
                if any(text.encode() in leaf for text in texts):
                    found.setdefault(collection.id, []).append(each.id)
    return found


def from_home(events):
    """The same, where all but Eve come from an address that is stored."""
    return [each if each.user.startswith("eve") else each._replace(client=HOME) for each in events]


async def kept(app, address, name):
    """Everything that may name somebody names them: events, addresses, sessions, reports, mails, alerts, a page."""
    sink = FirestoreSink(address, Waiting())
    sink.write(from_home(traffic(name)))
    await mailed(app)
    await send_report_now(app, hours=2)
    report = await app.usage.generate_report(2)
    await app.state.claim_period("by hand", NOW - timedelta(hours=2), NOW, report=report, mails=(), now=NOW)
    await open_incident(app, "chat", names=(name,), users=1)
    await app.repository.seal(NOW + timedelta(hours=2))
    return sink


async def by_function(app):
    assert (await erase_person(app, BOB)).everywhere


async def by_api(app):
    async with calling(app, bearer()) as admin:
        assert (await admin.delete(f"/api/usage/users/{BOB}")).json()["everywhere"]


async def by_page(app):
    async with calling(app, {**bearer(email="admin@example.com"), "Origin": HERE}) as admin:
        page = (await admin.get("/people/erase", params={"name": BOB})).text
        csrf = page.split('name="csrf" value="')[1].partition('"')[0]
        answer = await admin.post("/people/erase", data={"csrf": csrf, "name": BOB, "again": BOB})
        assert answer.status_code in (200, 303), answer.text


@pytest.mark.parametrize("erase", [by_function, by_api, by_page])
async def test_no_document_says_the_name_of_somebody_who_was_erased(tmp_path, address, erase):
    async with opened(tmp_path, events=[], rules=RULES, database=address, public_url=HERE) as app:
        await kept(app, address, BOB)
        said = places_of(address, BOB, HOME.address, HOME.user_agent)
        assert {PEOPLE, CLIENTS, OUTBOX, REPORT, ALERTS} <= set(said), said
        await erase(app)
        assert places_of(address, BOB, HOME.address, HOME.user_agent) == {}
        for path, content in written(tmp_path).items():
            assert BOB.encode() not in content, path
        assert places_of(address, "eve@example.com"), "and of others all is there"


async def test_a_long_name_that_is_in_parts_of_messages_goes_too(tmp_path, address):
    async with opened(tmp_path, events=[], rules=RULES, database=address) as app:
        await kept(app, address, LONG)
        await erase_person(app, LONG)
        assert places_of(address, LONG, LONG[:30]) == {}


async def test_what_was_queued_before_brings_nobody_back(tmp_path, address, monkeypatch):
    late_first(monkeypatch)
    async with opened(tmp_path, events=[], rules=RULES, database=address) as app:
        known = await kept(app, address, BOB)
        fresh, recorder = FirestoreSink(address, Waiting()), Recorder(address, flush_interval=3_600)
        queued = from_home(traffic(BOB))
        for each in queued:
            recorder.add(each)
        await erase_person(app, BOB)
        known.write(queued)  # has their id in memory
        fresh.write(queued)  # asks who they are
        assert await asyncio.to_thread(recorder.close)
        await erase_again(app)
        assert places_of(address, BOB, HOME.address, HOME.user_agent) == {}
        people = [each.to_dict()["name"] for each in client_of(parse(address)).collection(PEOPLE).stream()]
        assert all(name.startswith("erased-") or name == "eve@example.com" for name in people)
        report = await app.usage.generate_report(2)
        assert report["total_requests"] == 4 * 16, "and no request is lost by it"


async def test_what_they_do_later_is_a_new_persons(tmp_path, address):
    async with opened(tmp_path, events=[], rules=RULES, database=address) as app:
        await kept(app, address, BOB)
        await erase_person(app, BOB)
        FirestoreSink(address, Waiting()).write([event(NOW + timedelta(minutes=5), BOB)])
        await erase_again(app)
        report = await app.usage.generate_report(start_time=NOW, end_time=NOW + timedelta(minutes=10))
        [bob] = [user for user in report["users"] if user["email"] == BOB]
        assert bob["requests_count"] == 1


def test_the_search_itself_finds_what_is_packed():
    deep = b"\x00\x01" + zlib.compress(b"..." + zlib.compress(b"bob@example.com"))
    assert any(b"bob@example.com" in leaf for leaf in leaves({"a": [{"b": deep}]}))
    mail = EmailMessage(policy=policy.SMTP)
    mail.set_content("bob@example.com", cte="base64")
    assert any(b"bob@example.com" in leaf for leaf in leaves({"body": zlib.compress(bytes(mail))}))

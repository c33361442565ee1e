"""Erasing a person, end to end: every byte of the database, its log, mails, reports and exports is searched."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from email import message_from_bytes, policy

import pytest

from guardian.application.erasing import REMAINS, erase_again, erase_person
from guardian.application.judging.steps import alert_step
from guardian.application.reporting import send_due_reports, send_report_now
from guardian.stores.packing import read_people
from tests.support.api_client import NOW, bearer, calling, event, opened
from tests.support.firestore import address_in
from tracker.event import Client
from tracker.sqlite.tombstones import Tombstones

WORDS = ("subject", "status", "memories", "00", "1", "users", "chat_message", "500")
LONG = "a.very.long.address.of.somebody@a-department.of-a-university.example.com"
LONGEST = "l" * 64 + "@" + ".".join(["d" * 60] * 4) + ".example"
NAMES = ("bob@example.com", "b@x.io", LONG, LONGEST, "o'neil<&>@example.com", "Zoë Müller", 'a; b, "c"')
RULES = {"user_burst": {"kind": "user_burst"}, "error_rate": {"kind": "error_rate", "min_requests": 5}}


def traffic(*users):
    """Each of them keeps meeting errors in the minute before NOW; somebody else does not."""
    at = NOW - timedelta(seconds=50)
    return [
        event(at + timedelta(milliseconds=100 * n + place), user, 500)
        for place, user in enumerate([*users, "eve@example.com"])
        for n in range(8)
    ]


async def mailed(app):
    """Alerts and a report are in the outbox, none of them sent."""
    later = NOW + timedelta(seconds=20)
    await alert_step(app, later, None)
    app.clock = lambda: later
    await send_due_reports(app, now=later)
    for schedule in app.schedules:
        await app.state.claim_period(schedule.name, NOW, NOW, report=None, mails=(), now=NOW)
    await app.usage.generate_and_save_report(2)


def written(folder):
    """Every byte that lies in the folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def readable(app_mails, export):
    """What mails and exports say once they are decoded, as one text."""
    texts = [json.dumps(export, ensure_ascii=False)]
    for body in app_mails:
        mail = message_from_bytes(body, policy=policy.default)
        texts += [str(value) for value in mail.values()]
        texts += [
            part.get_payload(decode=True).decode() for part in mail.walk() if part.get_content_maintype() == "text"
        ]
    return "\n".join(texts)


@pytest.mark.parametrize("name", NAMES)
async def test_no_byte_of_an_erased_name_is_left(tmp_path, name):
    async with opened(tmp_path, events=traffic(name), rules=RULES) as app:
        await mailed(app)
        await send_report_now(app, hours=2)
        before = await app.state.outbox()
        receipt = await erase_person(app, name)
        assert receipt.everywhere
        assert receipt.files >= 2, "the report and the mail"
        after = await app.state.outbox()
        assert [item.message.key for item in after] == [item.message.key for item in before]
        for old, new in zip(before, after, strict=True):
            ids = [message_from_bytes(item.message.body)["Message-ID"] for item in (old, new)]
            assert ids[0] == ids[1]
        bodies = [item.message.body for item in after] + [path.read_bytes() for path in tmp_path.rglob("*.eml")]
        said = readable(bodies, await app.repository.export_user("eve@example.com"))
        report = await app.usage.generate_report(2)
        reports = [(await app.state.report(each.id)).report for each in await app.state.reports()]
        said += json.dumps([report, *reports], ensure_ascii=False)
        said += repr(await app.stores.alerts.load()) + repr(await app.stores.alerts.incidents())
        assert name not in said.replace("<wbr>", "")
        assert len(name) < 20 or name[:20] not in said.replace("<wbr>", "")
        assert "eve@example.com" in said
    for path, content in written(tmp_path).items():
        assert name.encode() not in content, path


@pytest.mark.parametrize("name", WORDS)
async def test_a_name_that_is_any_word_takes_nothing_of_others_with_it(tmp_path, name):
    users = ["ada@example.com", name]
    async with opened(tmp_path, events=traffic(*users), rules=RULES) as app:
        await mailed(app)
        others = [i.message.body for i in await app.state.outbox() if not any_names(app, i, name)]
        receipt = await erase_person(app, name)
        assert receipt is not None
        after = [item.message.body for item in await app.state.outbox()]
        assert set(others) <= set(after)
        await alert_step(app, NOW + timedelta(minutes=2), None)
        state = await app.stores.alerts.load()
        assert set(state.memories) == {"user_burst", "error_rate"}
        assert name not in state.memories["user_burst"].latest
        known = {each for each in state.memories["user_burst"].latest if not each.startswith("erased-")}
        assert known == {"ada@example.com", "eve@example.com"}
        report = await app.usage.generate_report(2)
        assert report["error_breakdown"] == {"500": 24}
        assert name not in {user["email"] for user in report["users"]}


def any_names(app, item, name):
    """Whether the mail notes that it names this person."""
    with closing(sqlite3.connect(app.settings.database)) as db:
        (noted,) = db.execute("SELECT people FROM guardian_outbox WHERE id = ?", (item.id,)).fetchone()
    return name in {each.name for each in read_people(noted)}


@pytest.mark.parametrize("name", [*WORDS, "never@example.com"])
async def test_somebody_who_was_never_seen_is_404_and_nothing_is_touched(tmp_path, name):
    async with opened(tmp_path, events=traffic("ada@example.com"), rules=RULES) as app, calling(app, bearer()) as admin:
        await mailed(app)
        before = [item.message for item in await app.state.outbox()]
        assert (await admin.delete(f"/api/usage/users/{name}")).status_code == 404
        assert [item.message for item in await app.state.outbox()] == before
        assert (await admin.delete("/api/usage/users/admin@example.com")).status_code == 404, "an admin, no user"
        assert [item.message for item in await app.state.outbox()] == before


@pytest.mark.parametrize("asked", ["ADA@Example.com", "  ada@example.com ", "Ada@example.COM"])
async def test_a_name_is_the_same_however_it_is_written(tmp_path, asked):
    async with opened(tmp_path, events=traffic("ada@example.com")) as app, calling(app, bearer()) as admin:
        receipt = (await admin.delete(f"/api/usage/users/{asked}")).json()
        assert receipt["removed"][0] == {"where": "names in the events, their sessions and totals", "count": 1}
        assert (receipt["everywhere"], receipt["remains"]) == (True, list(REMAINS))
        assert {name for name, _ in await app.repository.names()} == {"eve@example.com"}


async def test_a_letter_and_its_accent_are_the_letter_with_it(tmp_path):
    async with opened(tmp_path, events=traffic("zoë@example.com")) as app:
        assert await erase_person(app, "ZOE\u0308@example.com") is not None
        assert {name for name, _ in await app.repository.names()} == {"eve@example.com"}


@pytest.fixture(params=[True, False], ids=["this tracker", "one of before, which knows no tombstones"])
def again(request, monkeypatch):
    """How many people are left for the daemon to erase again."""
    if not request.param:
        monkeypatch.setattr(Tombstones, "erased_us", lambda self, name: None)
    return 0 if request.param else 1


async def test_an_event_that_was_queued_before_does_not_bring_the_name_back(tmp_path, again):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        await erase_person(app, "bob@example.com")
        await app.repository.write([event(NOW - timedelta(seconds=5), "bob@example.com")])
        assert await erase_again(app) == again
        assert {name for name, _ in await app.repository.names()} == {"eve@example.com"}
        assert await erase_again(app) == 0
        report = await app.usage.generate_report(1)
        assert (report["total_requests"], "bob@example.com" in json.dumps(report)) == (17, False)


async def test_what_they_do_after_counts_as_a_new_person(tmp_path, again):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        await erase_person(app, "bob@example.com")
        after = NOW + timedelta(minutes=1)
        late = [event(NOW - timedelta(seconds=5), "bob@example.com"), event(after, "bob@example.com")]
        await app.repository.write(late)
        app.clock = lambda: after
        assert await erase_again(app) == again
        rows = (await app.repository.export_user("bob@example.com"))["feature_usage"]
        assert [row["timestamp"][:19] for row in rows] == [after.isoformat()[:19]]
        assert await erase_again(app) == 0


@pytest.fixture
def older_tracker(monkeypatch):
    monkeypatch.setattr(Tombstones, "erased_us", lambda self, name: None)


@pytest.mark.usefixtures("older_tracker")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((-300,), (60, 90), [(60, 90)]),  # one session on both sides of the erasure
        ((-7200, -5), (4000, 4060, 9000), [(4000, 4060), (9000, 9000)]),
        ((-7200,), (1, 4000), [(1, 1), (4000, 4000)]),
    ],
)
async def test_sessions_of_somebody_who_came_back_stay_and_begin_after_the_erasure(tmp_path, before, after, expected):
    name = "bob@example.com"
    async with opened(tmp_path, events=traffic(name)) as app:
        await erase_person(app, name)
        client = Client("198.51.100.1", "curl/8")
        queued = [event(NOW + timedelta(seconds=s), name)._replace(client=client) for s in (*before, *after)]
        await app.repository.write(queued)
        app.clock = lambda: NOW + timedelta(hours=3)
        assert await erase_again(app) == 1
        found = (await app.repository.export_user(name))["user_sessions"]
        begin = [NOW + timedelta(seconds=s, milliseconds=-20) for s, _ in expected]
        assert [datetime.fromisoformat(each["session_start"]) for each in found] == begin
        ends = [NOW + timedelta(seconds=s) for _, s in expected]
        assert [datetime.fromisoformat(each["session_end"]) for each in found] == ends
        cut = before[-1] > after[0] - 1800
        assert [each["ip_address"] is None for each in found] == [cut, *([False] * (len(found) - 1))]


async def test_a_report_that_was_being_rendered_is_cleaned(tmp_path):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        _, path = await app.usage.generate_and_save_report(2)
        before = path.read_bytes()
        await erase_person(app, "bob@example.com")
        path.write_bytes(before)  # the one that read the events while they were erased
        assert await erase_again(app) == 1
        assert b"bob@" not in path.read_bytes()
        assert b"eve@" in path.read_bytes()


async def test_what_a_reader_still_holds_is_removed_when_it_ends(tmp_path):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        with closing(sqlite3.connect(app.settings.database, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM guardian_user").fetchone()
            receipt = await erase_person(app, "bob@example.com")
            assert not receipt.everywhere
            assert await app.state.unsettled_erasures() == 1
            reader.execute("ROLLBACK")
        await erase_again(app)
        assert await app.state.unsettled_erasures() == 0
        assert all(b"bob@example.com" not in content for content in written(tmp_path).values())


async def test_a_mail_that_no_outbox_knows_loses_the_name_in_its_subject_and_goes_where_it_was_theirs(tmp_path):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        folder = tmp_path / "mail"
        folder.mkdir(exist_ok=True)
        head = b"To: %s\r\nSubject: %s\r\nContent-Type: text/plain\r\n\r\n"
        (folder / "1.eml").write_bytes(head % (b"a@example.com", b"bob@example.com keeps meeting errors") + b"Hi\r\n")
        (folder / "2.eml").write_bytes(head % (b"Bob <Bob@example.com>", b"Report") + b"Hi\r\n")
        (folder / "3.eml").write_bytes(head % (b"a@example.com", b"Report") + b"Hi\r\n")
        assert (await erase_person(app, "bob@example.com")).files == 2
        left = {path.name: path.read_bytes() for path in folder.glob("*.eml")}
        assert sorted(left) == ["1.eml", "3.eml"]
        assert b"\r\nSubject: (erased) keeps meeting errors\r\n" in left["1.eml"]


async def test_a_damaged_mail_is_said_and_keeps_no_other_from_being_cleaned(tmp_path, caplog):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        folder = tmp_path / "mail"
        folder.mkdir(exist_ok=True)
        cut = b"To: a@example.com\r\nContent-Transfer-Encoding: base64\r\n\r\nYm9iY\r\n"
        (folder / "1.eml").write_bytes(cut)
        (folder / "2.eml").write_bytes(b"To: a@example.com\r\nSubject: bob@example.com\r\n\r\nHi\r\n")
        assert (await erase_person(app, "bob@example.com")).files == 1
        assert (folder / "1.eml").read_bytes() == cut
        assert b"bob@" not in (folder / "2.eml").read_bytes()
        assert "1.eml is damaged and may name somebody who was erased: delete it" in caplog.text


async def test_what_a_killed_process_has_left_unfinished_goes_if_it_names_them(tmp_path):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        _, report = await app.usage.generate_and_save_report(2)
        mail = b"To: a@example.com\r\nSubject: Report\r\n\r\nbob@example.com was there\r\n"
        (tmp_path / "mail").mkdir(exist_ok=True)
        half = report.read_bytes().partition(b'"top_features"')[0]
        cut = b"To: a@example.com\r\nContent-Transfer-Encoding: base64\r\n\r\nYm9iY\r\n"
        left = {
            report.with_name(".new-1"): half,
            tmp_path / "mail" / ".new-2": mail,
            tmp_path / "mail" / ".new-5": cut,
            report.with_name(".new-3"): b"{",
        }
        writing = report.with_name(".new-4")
        for path, content in {**left, writing: half}.items():
            path.write_bytes(content)
            seconds = 0 if path == writing else -120
            os.utime(path, (NOW.timestamp() + seconds,) * 2)
        assert (await erase_person(app, "bob@example.com")).files == 4, "the report too"
        assert sorted(path.name for path in tmp_path.rglob(".new-*")) == [".new-3", ".new-4"]


async def test_somebody_who_is_called_as_a_channel_takes_nothing_of_it_along(tmp_path):
    async with opened(tmp_path, events=traffic("ops")) as app:
        with closing(sqlite3.connect(app.settings.database)) as db, db:
            db.execute("INSERT INTO guardian_outage VALUES ('ops', 'ops', 7, 'x', 1, '[[\"ops\", \"ops\"]]')")
        assert await erase_person(app, "ops") is not None
        with closing(sqlite3.connect(app.settings.database)) as db:
            assert db.execute("SELECT dead_id FROM guardian_outage").fetchall() == [(7,)]


async def test_a_report_that_was_read_while_the_events_were_erased_is_older_than_the_erasure(tmp_path, monkeypatch):
    async with opened(tmp_path, events=traffic("bob@example.com")) as app:
        erase_user = app.repository.erase_user

        async def slowly(name):
            app.clock = lambda: NOW + timedelta(seconds=9)
            return await erase_user(name)

        monkeypatch.setattr(app.repository, "erase_user", slowly)
        await erase_person(app, "bob@example.com")
        assert await app.state.erased_since(["bob@example.com"], NOW + timedelta(seconds=5)) == {"bob@example.com"}


PAGES = [("/people", {}), ("/", {}), ("/errors", {}), ("/incidents", {}), ("/mail", {}),
         ("/api/usage/summary", {"hours": 2}), ("/api/usage/users", {"hours": 2})]  # fmt: skip


@pytest.mark.parametrize("store", ["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
async def test_another_process_that_runs_meanwhile_names_them_no_more(tmp_path, store):
    database = tmp_path / "guardian.db" if store == "sqlite" else address_in(tmp_path)
    settings = {"events": [], "rules": RULES, "database": database}
    async with opened(tmp_path / "one", **settings) as app, opened(tmp_path / "two", **settings) as other:
        await app.repository.write(traffic("bob@example.com"))
        await mailed(app)
        async with calling(other, bearer(email="admin@example.com")) as admin:

            async def said():
                answers = {path: (await admin.get(path, params=asked)).text for path, asked in PAGES}
                return {path for path, text in answers.items() if "bob@example.com" in text}

            assert {"/people", "/", "/api/usage/summary", "/api/usage/users"} <= await said()
            await erase_person(app, "bob@example.com")
            assert await said() == set()
            assert (await admin.get("/people/person", params={"name": "bob@example.com"})).status_code == 404

"""The API in process, on a real database: what each endpoint answers, and what it refuses."""

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest

from guardian.application import exporting
from guardian.application.root import StepHealth
from guardian.core.storage import RecorderHealth, StorageError
from guardian.web.api import ENDPOINTS
from tests.support.api_client import EVENTS, NOW, SCHEDULER, bearer, calling, event, mails, opened

USERS = "/api/usage/users/ada@example.com"


@pytest.fixture
async def app(tmp_path):
    async with opened(tmp_path) as application:
        yield application


@pytest.fixture
async def admin(app):
    async with calling(app, bearer()) as client:
        yield client


@pytest.fixture
async def anyone(app):
    async with calling(app) as client:
        yield client


def sentence(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    return response.json()["error"]


async def test_the_summary_is_the_report_on_the_last_two_hours(admin):
    report = (await admin.get("/api/usage/summary")).json()
    assert report["period_start"] == "2026-03-02T10:30:00+00:00"
    assert report["period_end"] == "2026-03-02T12:30:00+00:00"
    assert (report["active_users"], report["total_requests"], report["total_errors"]) == (2, 3, 1)
    assert report["error_breakdown"] == {"413": 1}
    assert report["top_features"] == [{"name": "chat_message", "count": 3}]
    wider = (await admin.get("/api/usage/summary?hours=6")).json()
    assert (wider["total_requests"], wider["error_breakdown"]) == (4, {"413": 1, "500": 1})


async def test_a_generated_report_is_saved(admin, app):
    answered = (await admin.post("/api/usage/generate-report?hours=6")).json()
    assert answered["saved_as"] == "usage_report.json"
    saved = json.loads((app.settings.reports_dir / "usage_report.json").read_text())
    assert saved == answered["report"]
    assert saved["total_requests"] == 4


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", "/api/usage/summary?hours=0", 'hours is "0": give a whole number of hours from 1 to 720'),
        ("GET", "/api/usage/summary?hours=721", 'hours is "721": give a whole number of hours from 1 to 720'),
        ("GET", "/api/usage/summary?hours=abc", 'hours is "abc": give a whole number of hours from 1 to 720'),
        ("GET", "/api/usage/summary?hours=", 'hours is "": give a whole number of hours from 1 to 720'),
        ("GET", "/api/usage/summary?hours=1.5", 'hours is "1.5": give a whole number of hours from 1 to 720'),
        ("GET", "/api/usage/summary?hours=1&hours=2", '"hours" is given twice: keep one of them'),
        ("GET", "/api/usage/summary?hour=6", '"hour" is not a parameter here: it takes hours'),
        ("GET", f"/api/usage/summary?hours={'9' * 5000}", f'hours is "{"9" * 78}…: give a whole number of hours'),
        ("POST", "/api/usage/generate-report?hours=-1", 'hours is "-1": give a whole number of hours from 1 to 720'),
        ("POST", "/api/guardian/send-report?hours=0", 'hours is "0": give a whole number of hours from 1 to 720'),
        ("POST", "/api/usage/cleanup?days=3", '"days" is not a parameter here: it takes dry_run'),
        ("GET", f"{USERS}/export?email=bob@example.com", '"email" belongs in the path, not in the query: leave it out'),
        ("GET", "/api/guardian/reports?limit=501", 'limit is "501": give a whole number from 1 to 500'),
        ("GET", "/api/guardian/reports/abc", 'id is "abc": give the number of a report'),
        ("GET", "/api/guardian/reports/99999999999999999999", 'id is "99999999999999999999": give the number of a'),
    ],
)
async def test_a_bad_parameter_is_422_with_a_sentence(admin, method, path, error):
    assert sentence(await admin.request(method, path), 422).startswith(error)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[]", "the body is not a JSON object: send one with the keys recipients"),
        (b"{", "the body is not a JSON object: send one with the keys recipients"),
        (b"\xff\xfe", "the body is not a JSON object: send one with the keys recipients"),
        (b"[" * 60_000, "the body is not a JSON object: send one with the keys recipients"),
        (b'{"recipients": []}', "recipients is []: give a list of addresses that the settings name, or leave it out"),
        (b'{"recipients": [1]}', "recipients is 1: give a list of addresses that the settings name, or leave it out"),
        (b'{"to": "x"}', '"to" is not a parameter here: it takes recipients'),
        (b'{"recipients": ["x@example.org"]}', 'recipients has "x@example.org": give addresses that admins or'),
        (rb'{"recipients": ["\ud800"]}', "the body is not a JSON object"),
    ],
)
async def test_a_bad_body_is_422_with_a_sentence(admin, tmp_path, body, error):
    assert sentence(await admin.post("/api/guardian/send-report", content=body), 422).startswith(error)
    assert mails(tmp_path) == []


async def test_a_body_over_64_kib_is_413(admin):
    assert sentence(await admin.post("/api/usage/cleanup", content=b"x" * 65_537), 413) == (
        "the body is larger than 65536 bytes: send less"
    )

    async def chunks():
        for _ in range(10):
            yield b"x" * 10_000

    assert sentence(await admin.post("/api/guardian/send-report", content=chunks()), 413)


async def test_unknown_paths_and_methods_have_sentences(admin):
    missing = "there is nothing at this path: /openapi.json lists what there is"
    for path in ("/nothing", "/api/usage/summary/", "/api/usage/users//", "/%00", "/" + "x" * 3000):
        assert sentence(await admin.get(path), 404 if "users" not in path else 405)
    assert sentence(await admin.get("/nothing"), 404) == missing
    wrong = await admin.put("/api/usage/summary")
    assert sentence(wrong, 405) == "this path does not take this method: the Allow header names those that it does"
    assert "GET" in wrong.headers["allow"]


async def test_whoever_is_no_admin_gets_nothing(anyone, app):
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{email:path}", "ada@example.com").replace("{id}", "1")
        answered = await anyone.request(endpoint.method, path)
        if endpoint.access == "public":
            assert answered.status_code == 200
            continue
        assert sentence(answered, 401)
        assert "www-authenticate" in answered.headers
        if endpoint.access == "admin":
            assert sentence(await anyone.request(endpoint.method, path, headers=bearer(role="user")), 403)
            assert sentence(await anyone.request(endpoint.method, path, headers=SCHEDULER), 401)
    assert await app.repository.export_user("ada@example.com") is not None


async def test_without_keys_the_api_stays_shut(tmp_path):
    async with opened(tmp_path, api={}) as app, calling(app, {**bearer(), **SCHEDULER}) as client:
        answered = await client.get("/api/usage/summary")
        assert sentence(answered, 503) == "no key is configured: set api.jwt_key_file or api.jwks"
        answered = await client.post("/api/guardian/scheduled-report")
        assert sentence(answered, 503) == "no scheduler token is configured: set api.scheduler_token_file"
        assert (await client.get("/api/usage/health")).status_code == 200


async def test_answers_are_not_cached_framed_or_guessed_at(admin):
    for path in ("/api/usage/summary", f"{USERS}/export", "/nothing", "/api/usage/summary?hours=0"):
        headers = (await admin.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


async def test_health_of_a_fresh_installation_is_ok(tmp_path):
    async with opened(tmp_path, events=[]) as app, calling(app) as client:
        assert (await client.get("/api/usage/health")).json() == {
            "status": "ok",
            "reasons": [],
            "recorder": {"processes": 0, "accepted": 0, "stored": 0, "dropped": 0, "queued": 0},
            "processes": [],
            "notes": {},
            "last_event_age_seconds": None,
            "last_heartbeat_age_seconds": None,
        }


async def test_health_says_what_is_wrong_and_names_nobody(app, anyone, monkeypatch):
    def recorder(seconds, accepted, stored, dropped):
        seen = NOW - timedelta(seconds=seconds)
        return RecorderHealth("host/1", seen - timedelta(hours=1), seen, accepted, stored, dropped, "0.1.0")

    true = app.repository.signs

    async def signs(self, now, since):
        return replace(await true(now, since), recorders=said)

    monkeypatch.setattr(type(app.repository), "signs", signs)
    said = [recorder(3, 1000, 990, 1)]
    answered = await anyone.get("/api/usage/health")
    assert answered.json() == {
        "status": "ok",
        "reasons": [],
        "recorder": {"processes": 1, "accepted": 1000, "stored": 990, "dropped": 1, "queued": 9},
        "processes": [
            {"accepted": 1000, "stored": 990, "dropped": 1, "queued": 9, "last_heartbeat_age_seconds": 3},
        ],
        "notes": {},
        "last_event_age_seconds": 4200,
        "last_heartbeat_age_seconds": 3,
    }
    said = [recorder(3, 1000, 900, 100), recorder(4000, 5, 5, 0)]
    app.health["deliver"] = StepHealth(NOW, "secret@example.com refused")
    answered = await anyone.get("/api/usage/health")
    assert (answered.json()["status"], answered.json()["reasons"]) == (
        "degraded",
        ["the step deliver failed", "the host app's recorder drops events: see its log, and 'guardian check'"],
    )
    assert "@" not in answered.text
    said = [recorder(121, 5, 5, 0)]
    app.health.clear()
    answered = await anyone.get("/api/usage/health")
    assert answered.json()["reasons"] == ["the host app's recorder has been silent for 121 s"]
    said = [recorder(3, 9, 9, 0), recorder(125, 10, 6, 1)]
    assert (await anyone.get("/api/usage/health")).json()["reasons"] == [
        "the host app's recorder went silent with 3 events queued: stop the app by SIGTERM"
    ]
    said = [recorder(3, 9, 9, 0), recorder(3700, 10, 6, 1)]
    assert (await anyone.get("/api/usage/health")).json()["status"] == "ok"


async def test_health_takes_nothing_of_the_future_for_a_sign_of_life(tmp_path):
    days, events = timedelta(days=3), [EVENTS[0]._replace(at_us=int((NOW + timedelta(days=3)).timestamp() * 1e6))]
    async with opened(tmp_path, events=events) as app, calling(app) as anyone:
        with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
            for name, seen in (("dead", NOW - timedelta(hours=1)), ("ahead", NOW + days)):
                values = (name, int(seen.timestamp() * 1e6))
                db.execute("INSERT INTO guardian_recorder VALUES (?, 0, ?, 5, 5, 0, '0.1.0')", values)
        health = (await anyone.get("/api/usage/health")).json()
        assert health["reasons"] == [
            "the host app's recorder has been silent for 3600 s",
            "2 events and heartbeats are of the future: set the clock of the app's machine",
        ]
        assert (health["last_heartbeat_age_seconds"], health["last_event_age_seconds"]) == (3600, None)
        assert [each["last_heartbeat_age_seconds"] for each in health["processes"]] == [3600]
        report = await app.usage.generate_report(1)
        assert report["privacy"]["last_heartbeat"] == (NOW - timedelta(hours=1)).isoformat()
        assert report["notes"][0]["text"] == (
            "2 events and heartbeats are dated in the future, and do not count as signs of life."
        )


def write_notes(folder, *rows):
    """What recorders say of themselves: (process, kind, detail, count)."""
    with closing(sqlite3.connect(folder / "guardian.db", isolation_level=None)) as db:
        seen = int(NOW.timestamp() * 1e6)
        db.executemany("INSERT INTO guardian_recorder_note VALUES (?, ?, ?, ?, ?)", [(*row, seen) for row in rows])


async def test_what_the_tracker_refused_is_counted_in_public_and_said_to_admins(tmp_path):
    folder = tmp_path / "here"
    async with opened(folder) as app, calling(app) as anyone, calling(app, bearer()) as admin:
        audience = "the token is for the audience 'account'"
        write_notes(
            folder,
            ("p1", "token_refused", audience, 200),
            ("p2", "token_refused", audience, 12),
            ("p1", "x@example.com", "x@example.com", 1),
        )
        health = await anyone.get("/api/usage/health")
        assert health.json()["notes"] == {"token_refused": 212}
        assert "account" not in health.text and "@" not in health.text
        notes = (await admin.get("/api/guardian/status")).json()["notes"]
        assert notes[0] == {
            "kind": "token_refused", "count": 212, "detail": audience,
            "text": "212 bearer tokens were refused: they are for the audience `account`.",
            "cure": "Set jwt_audience, if it is your app's.",
        }  # fmt: skip
        report = (await admin.get("/api/usage/summary")).json()
        assert report["notes"][0] == notes[0]


async def test_a_database_that_does_not_answer_is_503(app, admin, monkeypatch):
    async def broken(self, *args, **keys):
        raise StorageError("/somewhere/guardian.db cannot be read: free the disk")

    monkeypatch.setattr(type(app.repository), "activity", broken)
    monkeypatch.setattr(type(app.repository), "signs", broken)
    assert sentence(await admin.get("/api/usage/summary"), 503).startswith("/somewhere/guardian.db cannot be read")
    # The health is public: no path in it.
    health = await admin.get("/api/usage/health")
    assert (health.status_code, health.json()["reasons"]) == (200, ["the database does not answer: see Guardian's log"])
    health = await admin.get("/api/usage/health?ready")
    assert (health.status_code, health.json()["not_ready"]) == (503, ["database-unusable"])


async def test_a_fault_of_ours_is_500_without_internals(app, admin, monkeypatch):
    async def broken(self, *args, **keys):
        raise RuntimeError("ada@example.com in /somewhere")

    monkeypatch.setattr(type(app.repository), "activity", broken)
    answered = await admin.get("/api/usage/summary")
    assert sentence(answered, 500) == "Guardian failed at this: its log says why"
    assert answered.headers["cache-control"] == "no-store"


async def test_a_person_can_be_exported_and_erased(app, admin, tmp_path):
    await admin.post("/api/usage/generate-report")
    exported = await admin.get("/api/usage/users/ADA@Example.com/export")
    assert exported.status_code == 200
    assert exported.text.count("chat_message") == 2
    before = (await admin.get("/api/usage/summary")).json()

    erased = await admin.delete(USERS)
    assert erased.status_code == 200
    assert erased.json()["erased"] is True
    for again in (await admin.delete(USERS), await admin.get(f"{USERS}/export")):
        assert sentence(again, 404) == 'email is "ada@example.com": nobody of this name was seen, check the spelling'
    after = (await admin.get("/api/usage/summary")).json()
    assert after["total_requests"] == before["total_requests"]
    assert "ada@example.com" not in json.dumps(after)
    assert "ada@example.com" not in (tmp_path / "reports" / "usage_report.json").read_text()
    assert (await admin.get("/api/usage/users/bob@example.com/export")).status_code == 200


async def test_a_person_can_be_handed_a_page(app, admin):
    await app.repository.write([event(NOW - timedelta(minutes=1), user="<b>&x@example.com", status=500)])
    answered = await admin.get("/api/usage/users/%3Cb%3E%26x@example.com/export?format=html")
    assert answered.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answered.headers["content-security-policy"]
    page = answered.text
    assert page.startswith("<!doctype html>")
    assert "What is stored about &lt;b&gt;&amp;x@example.com" in page
    assert page.count("<b>") == 0
    assert page.count("chat_message") == 1
    assert [page.count(f"<h2>{title}</h2>") for title in ("Visits", "What was used", "What failed")] == [1, 1, 1]
    assert page.rstrip().endswith("</html>")
    assert sentence(await admin.get(f"{USERS}/export?format=pdf"), 422) == 'format is "pdf": give json or html'


async def test_health_answers_while_a_large_export_is_written(tmp_path, monkeypatch):
    begun, answered, lines = threading.Event(), threading.Event(), exporting._lines

    def held(rows):
        begun.set()
        assert answered.wait(60), "nothing else was answered meanwhile"
        return lines(rows)

    monkeypatch.setattr(exporting, "_lines", held)
    events = [event(NOW - timedelta(seconds=1, microseconds=n)) for n in range(30_000)]
    async with opened(tmp_path, events=events) as app, calling(app, bearer()) as admin:
        export = asyncio.create_task(admin.get(f"{USERS}/export"))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        assert (await admin.get("/api/usage/health")).status_code == 200
        assert not export.done()
        answered.set()
        assert len((await export).json()["feature_usage"]) == 30_000


async def test_a_name_with_a_slash_can_be_erased(app, admin):
    await app.repository.write([event(NOW - timedelta(minutes=1), user="auth0/7")])
    assert (await admin.get("/api/usage/users/auth0%2F7/export")).status_code == 200
    assert (await admin.delete("/api/usage/users/auth0/7")).status_code == 200
    assert (await admin.get("/api/usage/users/auth0/7/export")).status_code == 404


async def test_those_who_did_not_sign_in_are_nobody_to_erase(app, admin):
    await app.repository.write([event(NOW - timedelta(minutes=1), user="anonymous")])
    assert sentence(await admin.delete("/api/usage/users/anonymous"), 404)
    assert (await admin.get("/api/usage/summary")).json()["active_users"] == 2


async def test_a_dry_cleanup_counts_and_deletes_nothing(app, admin):
    app.clock = lambda: NOW + timedelta(days=400)
    counted = (await admin.post("/api/usage/cleanup?dry_run=true")).json()
    assert (counted["dry_run"], counted["events_deleted"]) == (True, 4)
    cleaned = (await admin.post("/api/usage/cleanup")).json()
    assert (cleaned["dry_run"], cleaned["events_deleted"]) == (False, 4)


async def test_cleanup_deletes_what_is_older_than_the_retention(app, admin):
    await app.repository.write([event(NOW - timedelta(days=91)), event(NOW - timedelta(days=89))])
    cleaned = (await admin.post("/api/usage/cleanup")).json()
    assert cleaned["errors_before"] == "2026-01-31T12:30:00+00:00"
    assert cleaned["sessions_before"] == "2025-03-02T12:30:00+00:00"
    assert cleaned["events_deleted"] == 1
    assert cleaned["events_before"] == "2025-12-02T12:30:00+00:00"
    assert (await app.repository.stats()).events == len(EVENTS) + 1


async def test_a_retention_of_ages_keeps_everything(tmp_path):
    async with opened(tmp_path, retention={"events_days": 10_000_000}) as app, calling(app, bearer()) as admin:
        assert (await admin.post("/api/usage/cleanup")).json()["events_deleted"] == 0


async def test_send_report_mails_the_admins_at_once(admin, tmp_path):
    answered = await admin.post("/api/guardian/send-report?hours=6")
    assert answered.json() == {
        "period_start": "2026-03-02T06:30:00+00:00",
        "period_end": "2026-03-02T12:30:00+00:00",
        "recipients": {"admin@example.com": "sent"},
        "errors": {},
    }
    [mail] = mails(tmp_path)
    assert mail["To"] == "admin@example.com"


async def test_send_report_can_go_to_some_of_those_in_the_settings(tmp_path):
    schedules = [{"when": "daily at 08:00", "recipients": ["boss@example.com"]}]
    async with opened(tmp_path, schedules=schedules) as app, calling(app, bearer()) as admin:
        answered = await admin.post("/api/guardian/send-report", json={"recipients": ["boss@example.com"]})
        assert answered.json()["recipients"] == {"boss@example.com": "sent"}
    async with opened(tmp_path / "2", admins=(), schedules=[]) as app, calling(app, bearer()) as admin:
        answered = await admin.post("/api/guardian/send-report")
        assert sentence(answered, 422) == "admins is empty: set it in the configuration, or name recipients"


async def test_a_second_send_report_meanwhile_is_409_in_every_process(app, admin, tmp_path, monkeypatch):
    entered, go_on = asyncio.Event(), asyncio.Event()
    generate = app.usage.generate_report

    async def slow(*args, **keys):
        entered.set()
        await go_on.wait()
        return await generate(*args, **keys)

    monkeypatch.setattr(app.usage, "generate_report", slow)
    async with opened(tmp_path, events=[]) as other, calling(other, bearer()) as elsewhere:
        first = asyncio.create_task(admin.post("/api/guardian/send-report"))
        await entered.wait()
        for client in (admin, elsewhere):
            refused = await client.post("/api/guardian/send-report")
            assert sentence(refused, 409) == "a report is being sent just now: wait until that is done"
            assert refused.headers["retry-after"] == "10"
        go_on.set()
        assert (await first).status_code == 200
        assert len(mails(tmp_path)) == 1
        assert (await elsewhere.post("/api/guardian/send-report")).status_code == 200


async def test_a_failed_send_report_does_not_bar_the_next(app, admin, monkeypatch):
    with monkeypatch.context() as patched:

        async def broken(*args, **keys):
            raise StorageError("the disk is full: free some space")

        patched.setattr(app.usage, "generate_report", broken)
        assert sentence(await admin.post("/api/guardian/send-report"), 503) == "the disk is full: free some space"
    assert (await admin.post("/api/guardian/send-report")).status_code == 200


async def test_the_same_period_twice_is_sent_once_and_said(anyone, tmp_path):
    url = "/api/guardian/scheduled-report"
    answers = await asyncio.gather(*(anyone.post(url, headers=SCHEDULER) for _ in range(3)))
    period = {
        "schedule": "every 2h UTC",
        "period_start": "2026-03-02T10:00:00+00:00",
        "period_end": "2026-03-02T12:00:00+00:00",
    }
    sent, *rest = sorted((each.json() for each in answers), key=lambda each: not each["sent"])
    assert sent == {**period, "sent": True, "recipients": 1, "message": "1 mail is on its way"}
    already = {**period, "sent": False, "recipients": 0, "message": "this period was reported before: nothing is sent"}
    assert rest == [already, already]
    assert len(mails(tmp_path)) == 1


async def test_an_unknown_schedule_is_422_naming_those_there_are(anyone):
    answered = await anyone.post("/api/guardian/scheduled-report?schedule=nightly", headers=SCHEDULER)
    assert sentence(answered, 422) == "there is no schedule 'nightly': the configuration has 'every 2h UTC'"


async def test_saved_reports_are_listed_and_read(admin, anyone):
    await anyone.post("/api/guardian/scheduled-report", headers=SCHEDULER)
    [head] = (await admin.get("/api/guardian/reports?limit=1")).json()["reports"]
    assert head["period_end"] == "2026-03-02T12:00:00+00:00"
    saved = (await admin.get(f"/api/guardian/reports/{head['id']}")).json()
    assert saved["report"]["total_requests"] == 3
    missing = await admin.get("/api/guardian/reports/4711")
    assert sentence(missing, 404) == "id is 4711: there is no such report, /api/guardian/reports lists them"


async def test_the_status_says_what_comes_next(admin):
    status = (await admin.get("/api/guardian/status")).json()
    assert status["leading"] is False
    assert status["storage"]["events"] == len(EVENTS)
    [schedule] = status["schedules"]
    assert schedule["sentence"] == (
        "next report goes out 2026-03-02 14:00, covering 2026-03-02 12:00 to 2026-03-02 14:00 (UTC)"
    )


async def test_wrong_tokens_are_answered_alike_and_after_twenty_with_429_while_others_are_served(app, anyone):
    def bad(number):
        return {"Authorization": f"Bearer {number}"} if number % 2 else {"X-Guardian-Scheduler-Token": str(number)}

    def call(number):
        path = "/api/usage/summary" if number % 2 else "/api/guardian/scheduled-report"
        return anyone.request("GET" if number % 2 else "POST", path, headers=bad(number))

    answers = [await call(number) for number in range(25)]
    assert [each.status_code for each in answers] == [401] * 20 + [429] * 5
    assert len({each.text for each in answers[:20]}) == 1
    assert all(1 <= int(each.headers["retry-after"]) <= 3 for each in answers[20:])
    assert (await anyone.get("/api/usage/health")).status_code == 200
    assert (await anyone.get("/api/usage/summary")).status_code == 401, "without a token nothing is tried"
    assert (await anyone.get("/api/usage/summary", headers=bearer())).status_code == 429
    elsewhere = httpx2.ASGITransport(app=anyone._transport.app, client=("192.0.2.9", 1))
    async with httpx2.AsyncClient(transport=elsewhere, base_url="http://guardian", headers=bearer()) as other:
        assert (await other.get("/api/usage/summary")).status_code == 200


async def test_valid_tokens_use_nothing_up(admin):
    for _ in range(30):
        assert (await admin.get("/api/guardian/alerts")).status_code == 200

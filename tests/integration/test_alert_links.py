"""Acting from a mail: opening a link changes nothing, its button acts once; and the same through the API."""

import html
import re
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from guardian.alerting.actions import ACTIONS
from guardian.alerting.links import LIFETIME, make_link
from guardian.core.storage import StorageError
from tests.support.api_client import NOW, bearer, calling, open_incident, opened


@pytest.fixture
async def app(tmp_path):
    async with opened(tmp_path, admins=("ann@example.com",)) as app:
        await open_incident(app)
        yield app


async def link(app, action="acknowledge", incident="chat", at=NOW):
    url = make_link("http://guardian", await app.stores.alerts.link_key(), incident, action, "ann@example.com", at)
    return url.removeprefix("http://guardian")


async def status(app):
    incident = await app.stores.alerts.incident("chat")
    return incident.status, incident.acknowledged_by, incident.silenced_until_us, incident.fixed_us


async def test_a_scanner_that_opens_every_link_changes_nothing(app):
    before = await status(app)
    async with calling(app) as scanner:
        for action in ACTIONS:
            path = await link(app, action)
            for _ in range(3):
                page = await scanner.get(path)
                assert page.status_code == 200
                assert page.text.count('<form method="post">') == 1
            await scanner.head(path)
            for target in re.findall(r'(?:href|src|action)="([^"]+)"', page.text):
                await scanner.get(target)
    assert await status(app) == before


async def test_the_button_acts_once(app):
    path = await link(app)
    async with calling(app) as reader:
        done = await reader.post(path)
        assert (done.status_code, "<h1>Done</h1>" in done.text) == (200, True)
        assert (await status(app))[:2] == ("acknowledged", "ann@example.com")
        again = await reader.post(path)
        assert again.status_code == 410
        assert "This link has already been used" in again.text


async def test_a_renewed_key_ends_the_links_of_mails(app):
    path, before = await link(app), await status(app)
    await app.stores.alerts.renew_link_key()
    async with calling(app) as reader:
        assert (await reader.post(path)).status_code >= 400
        assert await status(app) == before
        assert (await reader.post(await link(app))).status_code == 200


async def test_a_link_by_which_nothing_could_be_done_is_not_used_up(app):
    path = await link(app)
    full = "CREATE TRIGGER full BEFORE INSERT ON guardian_alert_state BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    async with calling(app) as reader:
        await app.state.transact(lambda db: db.execute(full))
        failed = await reader.post(path)
        assert (failed.status_code, "<h1>Nothing was changed</h1>" in failed.text) == (503, True)
        assert failed.text.count('<form method="post">') == 1
        await app.state.transact(lambda db: db.execute("DROP TRIGGER full"))
        assert (await reader.post(path)).status_code == 200
    assert (await status(app))[0] == "acknowledged"


@pytest.mark.parametrize(
    ("action", "hours"), [("silence-1h", 1), ("silence-8h", 8), ("silence-morning", 19.5)]
)  # 12:30 UTC
async def test_a_silence_lasts_as_long_as_it_says(app, action, hours):
    async with calling(app) as reader:
        await reader.post(await link(app, action))
    until = (NOW + timedelta(hours=hours)).timestamp() * 1_000_000
    assert (await status(app))[2] == until


async def test_the_page_says_which_incident_it_is_and_how_it_stands(app, tmp_path):
    def said(answer):
        return html.unescape(re.search('<p class="subject">(.*?)</p>', answer.text)[1])

    async with calling(app) as reader:
        await open_incident(app, thread_subject="● 3 alerts: docs is down, …")
        assert said(await reader.get(await link(app))) == "chat is down · firing since Mon 2 Mar, 12:30 (UTC)"
        assert said(await reader.post(await link(app))) == "chat is down · acknowledged by ann@example.com"
        silenced = "chat is down · silenced until Mon 2 Mar, 20:30 (UTC) by ann@example.com"
        assert said(await reader.post(await link(app, "silence-8h"))) == silenced
        assert said(await reader.post(await link(app, "resolve"))) == "chat is down · over since Mon 2 Mar, 12:30 (UTC)"


async def test_marked_as_fixed_and_resolved(app):
    async with calling(app) as reader:
        await reader.post(await link(app, "fixed"))
        assert (await status(app))[3] == NOW.timestamp() * 1_000_000
        await reader.post(await link(app, "resolve"))
        assert (await status(app))[0] == "resolved"
        late = await reader.get(await link(app, "acknowledge"))
        assert "It is already over" in late.text
        assert "<form" not in late.text


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_link_that_was_changed_is_too_old_or_means_nothing_does_not_work(app, method):
    good = await link(app)
    old = await link(app, at=NOW - LIFETIME - timedelta(seconds=1))
    async with calling(app) as reader:
        for path in (good[:-3] + "AAA", old, "/a/nonsense", await link(app, incident="gone"), "/a/" + "x" * 5000):
            answer = await reader.request(method, path)
            assert answer.status_code == 410
            assert "This link does not work" in answer.text
    assert (await status(app))[0] == "open"


async def test_pages_are_not_cached_framed_or_indexed(app):
    async with calling(app) as reader:
        headers = (await reader.get(await link(app))).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-robots-tag"] == "noindex"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_an_incident_is_listed_and_acted_on_through_the_api(app):
    async with calling(app, bearer(email="bob@example.com")) as admin:
        [listed] = (await admin.get("/api/guardian/alerts?open=true")).json()["alerts"]
        assert (listed["id"], listed["title"], listed["status"]) == ("chat", "chat is down", "open")
        assert (await admin.post("/api/guardian/alerts/chat/silence", json={"until": "soon"})).status_code == 422
        silenced = (await admin.post("/api/guardian/alerts/chat/silence", json={"until": "8h"})).json()
        assert (silenced["silenced"], silenced["silenced_until"]) == (True, "2026-03-02T20:30:00+00:00")
        assert silenced["acknowledged_by"] == "bob@example.com"
        assert (await admin.post("/api/guardian/alerts/chat/resolve")).json()["status"] == "resolved"
        over = await admin.post("/api/guardian/alerts/chat/fixed")
        assert (over.status_code, over.json()) == (
            409,
            {"error": "the incident 'chat' is over: there is nothing to do"},
        )
        assert (await admin.post("/api/guardian/alerts/none/fixed")).status_code == 404
        assert (await admin.get("/api/guardian/alerts?open=true")).json() == {"alerts": []}


async def test_the_page_speaks_the_language_of_whom_the_mail_was_for(tmp_path):
    async with opened(tmp_path, admins=("ann@example.com",), mail={"languages": {"ann@example.com": "fr"}}) as app:
        await open_incident(app)
        async with calling(app) as reader:
            page = (await reader.get(await link(app))).text
            assert '<html lang="fr">' in page
            assert "<h1>Prendre en charge</h1>" in page
            assert '<button type="submit">Prendre en charge</button>' in page
            assert "<h1>C&#39;est fait</h1>" in (await reader.post(await link(app))).text
            assert "<h1>This link does not work</h1>" in (await reader.get("/a/nonsense")).text


async def test_who_no_longer_gets_the_alerts_can_no_longer_act_by_old_mails(tmp_path):
    rules = {"feature_down": {"recipients": ["Ann@Example.com"]}}
    for keys, works in (({}, False), ({"rules": rules}, True), ({"admins": ("ANN@example.com",)}, True)):
        async with opened(tmp_path, **keys) as app, calling(app) as reader:
            await open_incident(app)
            path = await link(app)
            shown = await reader.get(path)
            assert (shown.status_code == 200) == works
            if not works:
                assert "This link was sent to somebody who no longer receives these alerts." in shown.text
                assert (await reader.post(path)).status_code == 410
                assert (await status(app))[0] == "open"


async def test_opening_a_link_waits_for_nobody_who_writes(app, tmp_path):
    path = await link(app)
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with calling(app) as reader:
            shown = await reader.get(path)
        assert shown.status_code == 200
        assert '<form method="post">' in shown.text


async def test_a_database_that_does_not_answer_is_said_by_the_page(app, monkeypatch):
    async def broken(*args, **keys):
        raise StorageError("locked")

    path, nobody = await link(app), "/u/x"
    monkeypatch.setattr(type(app.stores.alerts), "link_key", broken)
    async with calling(app) as reader:
        for answered in (await reader.get(path), await reader.post(path), await reader.get(nobody)):
            assert answered.status_code == 503
            assert "The database does not answer just now" in answered.text


async def test_before_any_mail_was_written_no_link_works(tmp_path):
    async with opened(tmp_path) as app, calling(app) as reader:
        assert (await reader.get("/a/x")).status_code == 410
        assert await app.stores.alerts.link_key(make=False) == ""


async def test_who_opens_too_many_links_that_do_not_work_is_held_up_and_others_are_not(app):
    good = await link(app)
    async with calling(app) as reader:
        for number in range(20):
            assert (await reader.get(f"/{'au'[number % 2]}/{number}")).status_code == 410
            assert (await reader.get(good)).status_code == (200 if number < 19 else 429)
        for held in (await reader.get("/u/x"), await reader.post(good)):
            assert held.status_code == 429
            assert 1 <= int(held.headers["retry-after"]) <= 3
            assert "Too many links that do not work" in held.text

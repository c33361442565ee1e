"""The pages over a real database: with data, with none, and with names that want to be markup."""

import asyncio
import csv
import json
import re
from contextlib import closing
from datetime import timedelta
from html import unescape
from io import StringIO
from zoneinfo import ZoneInfo

import pytest

from guardian.application.reporting import send_report_now
from guardian.core.outgoing import Outgoing
from guardian.core.report.timeline import bar_edges
from guardian.web.endpoint import Refusal
from guardian.web.pages import PAGES
from guardian.web.pages.system import HIDDEN
from tests.support.api_client import KEY, NOW, TOKEN, bearer, calling, event, open_incident, opened
from tests.support.pages import look, post, text_of
from tracker.source import Source
from tracker.sqlite.writer import Writer

HOSTILE = [
    "<script>alert(1)</script>", "</title><script>alert(1)</script>", '" onmouseover="alert(1)',
    "' autofocus onfocus='x",
    "{{7*7}}", "{% raw %}", "javascript:alert(1)", "<img src=x onerror=alert(1)>", "שלום עולם", "\u202eevil", "a" * 320,
    "=cmd|'/c calc'!A0", "&lt;b&gt;", "a/b?c=d&e#f", "%2e%2e/%00", "]]>", "<!--", "\U0001f600" * 40,
]  # fmt: skip
LISTS = [page.path for page in PAGES if page.nav]


def named(name, minutes=30, **more):
    made = event(NOW - timedelta(minutes=minutes), user=name, **more)
    return made._replace(feature=name[:100], endpoint="/" + name[:100])


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("lang", ["en", "fr"])
async def test_every_page_can_be_seen_before_anything_was_recorded(tmp_path, path, lang):
    async with opened(tmp_path / "d", events=[]) as app:
        assert (await look(app, path, lang=lang)).status_code == 200


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", [{}, {"range": "2h"}, {"range": "30d"}, {"compare": "off"}, {"range": "own"}])
async def test_every_page_can_be_seen_for_every_range_in_60_kb(tmp_path, path, query):
    async with opened(tmp_path / "d") as app:
        answer = await look(app, path, **query)
        assert (answer.status_code, len(answer.body) < 60_000) == (200, True)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_text_wherever_it_is_shown(tmp_path, name):
    events = sorted([named(name, 30 + i, status=500) for i in range(6)], key=lambda each: each.at_us)
    async with opened(tmp_path / "d", events=events) as app:
        await open_incident(app, "chat", names=(name,), users=1, acknowledged_by=name)
        await send_report_now(app, hours=24)
        for path, query in (
            ("/", {}), ("/people", {}), ("/people", {"q": name[:320]}), ("/people/person", {"name": name}),
            ("/people/erase", {"name": name}), ("/features", {}), ("/features", {"name": name[:100]}), ("/errors", {}),
            ("/errors", {"feature": name}), ("/incidents", {"rule": name}), ("/incidents/chat", {}),
            ("/mail", {"q": name}), ("/mail/1", {}), ("/rules", {"rule": name}),
        ):  # fmt: skip
            page = await text_of(app, path, **query)
            assert "<script>alert" not in page and "<img src=x" not in page and ' onmouseover="' not in page
            assert "onfocus='x" not in page and 'href="javascript:' not in page and "style=" not in page
        assert name[:100] in unescape(await text_of(app, "/people/person", name=name)).replace("\u2068", "")


@pytest.mark.parametrize("path", [*LISTS, "/people/person?name=ada%40example.com", "/mail/1", "/incidents/chat"])
async def test_every_page_is_served_to_an_admin_and_to_nobody_else(tmp_path, path):
    async with opened(tmp_path / "d") as app, calling(app) as client:
        await open_incident(app, "chat")
        await send_report_now(app, hours=24)
        answer = await client.get(path, headers=bearer(email="admin@example.com"))
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert ("frame-src 'self'" in answer.headers["content-security-policy"]) == (path == "/mail/1")
        assert (await client.get(path)).status_code == 303


async def test_what_a_page_says_of_one_person_is_what_happened_to_them(tmp_path):
    async with opened(tmp_path / "d") as app:
        page = await text_of(app, "/people/person", name="ada@example.com", range="24h")
        assert "First bad one" in page and "413 Content Too Large" in page and "not yet" in page
        with pytest.raises(Refusal, match="Nobody with this name"):
            await look(app, "/people/person", name="nobody@example.com")


async def test_every_table_can_be_had_as_csv_and_as_json(tmp_path):
    async with opened(tmp_path / "d", events=[named("=1+1")]) as app:
        sheet = await look(app, "/people", table="people", **{"as": "csv"})
        data = await look(app, "/people", table="people", **{"as": "json"})
        assert next(csv.DictReader(StringIO(sheet.body.decode())))["person"] == "'=1+1"
        assert json.loads(data.body)["people"][0]["person"] == "=1+1"
        assert sheet.headers["content-disposition"] == 'attachment; filename="people.csv"'
        with pytest.raises(Refusal, match="no such table"):
            await look(app, "/people", table="../x")


async def test_an_incident_is_taken_on_by_whoever_presses_the_button(tmp_path):
    async with opened(tmp_path / "d") as app:
        await open_incident(app, "chat")
        assert await post(app, "/incidents/chat", {"action": "acknowledge", "id": "chat"}) == "/incidents/chat"
        assert "acknowledged by admin@example.com" in await text_of(app, "/incidents/chat")
        for _ in range(2):
            assert await post(app, "/incidents/chat", {"action": "resolve", "id": "chat"}) == "/incidents/chat"
        with pytest.raises(Refusal, match="is over"):
            await post(app, "/incidents/chat", {"action": "fixed", "id": "chat"})
        for form in ({"action": "delete", "id": "chat"}, {"action": "acknowledge", "id": "x"}, {}):
            with pytest.raises(Refusal):
                await post(app, "/incidents/chat", form)


async def test_a_person_is_erased_only_where_their_name_was_typed_again(tmp_path):
    async with opened(tmp_path / "d") as app:
        assert "ada@example.com" in await text_of(app, "/people")
        with pytest.raises(Refusal, match="differ"):
            await post(app, "/people/erase", {"name": "ada@example.com", "again": "bob@example.com"})
        await post(app, "/people/erase", {"name": "ada@example.com", "again": " Ada@example.com"})
        assert "ada@example.com" not in await text_of(app, "/people")


async def test_a_report_is_sent_now_and_shown_as_it_was_sent_under_a_policy_of_its_own(tmp_path):
    async with opened(tmp_path / "d") as app:
        assert await post(app, "/mail", {"do": "send", "hours": "24"}) == "/mail"
        assert "admin@example.com" in await text_of(app, "/mail")
        assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in await text_of(app, "/mail/1")
        body = await look(app, "/mail/1/body")
        assert body.headers["content-security-policy"].startswith("sandbox ")
        assert "cid:" not in body.body.decode()
        await app.state.acquire_lease("send-report", "another", app.clock(), timedelta(minutes=1))
        with pytest.raises(Refusal, match="being sent just now"):
            await post(app, "/mail", {"do": "send", "hours": "24"})
        for what in ("drop", "retry"):
            with pytest.raises(Refusal, match="nothing was changed"):
                await post(app, "/mail/1", {"do": what, "id": "1"})
            with pytest.raises(Refusal, match="There is no such mail"):
                await post(app, "/mail/99", {"do": what, "id": "99"})


async def test_a_form_that_comes_twice_sends_one_report_and_another_form_another(tmp_path):
    async with opened(tmp_path / "d") as app:
        once = [re.search(r'name="once" value="(\w{32})"', await text_of(app, "/mail"))[1] for _ in range(2)]
        assert once[0] != once[1]
        form = {"do": "send", "hours": "24", "once": once[0]}
        assert await asyncio.gather(post(app, "/mail", form), post(app, "/mail", form)) == ["/mail", "/mail"]
        assert await post(app, "/mail", form) == "/mail"
        assert len(await app.state.outbox()) == 1
        await post(app, "/mail", {**form, "once": once[1]})
        assert len(await app.state.outbox()) == 2
        for odd in ("", "x", "../" * 10, "A" * 32, "é" * 32):
            await post(app, "/mail", {**form, "once": odd})
        assert len(await app.state.outbox()) == 7, "what is no number of ours counts as none"


DAMAGED = (
    b"",
    b"\xff\xfe\x00",
    b"Content-Type: text/html; charset=klingon\r\n\r\n<b>hello",
    b"Content-Type: text/plain; charset=x\r\n\r\nhello",
    b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
    b"Content-Type: message/rfc822\r\n\r\nSubject: a\r\n\r\nb",
    b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
    b"Subject: =?utf-8?q?=0d=0aX:_y?=\r\n\r\nhi",
)


async def test_a_mail_whose_row_is_damaged_is_shown_as_far_as_it_can_be_read(tmp_path):
    async with opened(tmp_path / "d") as app:
        kept = [Outgoing(f"report/{n}/x", "x", body, subject="s") for n, body in enumerate(DAMAGED)]
        await app.state.enqueue(kept, now=NOW)
        bodies = []
        for number in range(1, len(kept) + 1):
            assert (await look(app, f"/mail/{number}")).status_code == 200
            bodies.append((await look(app, f"/mail/{number}/body")).body)
        assert b"<b>hello" in bodies[2]


async def test_dropping_a_message_twice_is_dropping_it(tmp_path):
    async with opened(tmp_path / "d") as app:
        await app.state.enqueue([Outgoing("test/1", "admin@example.com", b"To: x\r\n\r\nhello", "test")], now=NOW)
        for _ in range(2):
            assert await post(app, "/mail/1", {"do": "drop", "id": "1"}) == "/mail/1"
        assert (await app.state.outbox_item(1)).status == "dropped"
        assert await post(app, "/mail/1", {"do": "retry", "id": "1"}) == "/mail/1"
        assert (await app.state.outbox_item(1)).status == "pending"


async def test_who_may_only_look_sees_no_mail_no_settings_and_no_buttons(tmp_path):
    async with opened(tmp_path / "d") as app:
        await open_incident(app, "chat")
        assert 'method="post"' not in (await text_of(app, "/incidents/chat", role="viewer")).split("<main")[1]
        assert "Settings as loaded" not in await text_of(app, "/system", role="viewer")
        assert ">Mail</a>" in await text_of(app, "/")
        assert ">Mail</a>" not in await text_of(app, "/", role="viewer")
        for path in ("/mail", "/mail/1", "/mail/1/body"):
            with pytest.raises(Refusal, match="admins only"):
                await look(app, path, role="viewer")
        with pytest.raises(Refusal, match="may look"):
            await look(app, "/people/person", role="viewer", name="ada@example.com", export="json")


async def test_no_secret_of_the_settings_is_shown(tmp_path):
    async with opened(tmp_path / "d") as app:
        page = await text_of(app, "/system", check="now")
        assert KEY not in page and TOKEN not in page and HIDDEN in page and "admins" in page


async def test_links_and_forms_stay_under_the_prefix(tmp_path):
    async with opened(tmp_path / "d") as app:
        for path in LISTS:
            page = await text_of(app, path, base="/ops/guardian")
            for part in page.split('href="')[1:] + page.split('action="')[1:]:
                assert part.startswith(("/ops/guardian", "#")), part[:80]


async def test_a_threshold_replays_the_past_and_gives_the_line_to_paste(tmp_path):
    async with opened(tmp_path / "d") as app:
        page = await text_of(app, "/rules", rule="error_rate", threshold="0.01")
        assert "[rules.error_rate]\nthreshold = 0.01" in page and "With 1" in page
        for bad in ("x", "-1", "nan", "inf", "0"):
            with pytest.raises(Refusal):
                await look(app, "/rules", rule="error_rate", threshold=bad)


async def test_what_a_threshold_would_have_meant_is_a_file_of_incidents_with_both_thresholds(tmp_path):
    bad = (100, 130)  # minutes ago: a third of these requests failed
    found = [
        event(NOW - timedelta(minutes=n), status=500 if bad[0] <= n < bad[1] and n % 3 == 0 else 200, user=f"u{n % 7}")
        for n in range(400, 0, -1)
    ]
    async with opened(tmp_path / "d", events=found, rules={"error_rate": {"threshold": 0.5}}) as app:
        asked = {"rule": "error_rate", "threshold": "0.04"}
        page = await text_of(app, "/rules", **asked)
        assert 'href="/rules?rule=error_rate&amp;threshold=0.04&amp;table=replay&amp;as=csv"' in page
        sheet = await text_of(app, "/rules", **asked, table="replay", **{"as": "csv"})
        rows = list(csv.DictReader(StringIO(sheet)))
        assert rows and list(rows[0]) == ["threshold", "subject", "start", "end", "peak", "cause"]
        assert {row["threshold"] for row in rows} == {"0.04"} and rows[0]["start"].startswith("2026-")
        assert float(rows[0]["peak"]) > 0.04
        with pytest.raises(Refusal, match="no such table"):
            await look(app, "/rules", table="replay")


async def test_releases_are_marked_on_the_strip_of_a_person(tmp_path):
    async with opened(tmp_path / "d") as app:
        for name, hours in (("2.4.1", 4), ("<b>", 3), ("1.0", 24 * 9)):
            with closing(Writer(str(app.settings.database), made_by=Source(name, "web-1"))) as writer:
                writer.write([named("bob@example.com", 60 * hours)])
        page = await text_of(app, "/people/person", name="ada@example.com", range="24h")
        told = page[page.index('class="banded"') : page.index("</section>", page.index('class="banded"'))]
        assert told.count('class="flag"') == 2 and ">2.4.1</text>" in told and "Release 2.4.1, " in told
        assert "<b>" not in told and "&lt;b&gt;" in told and "1.0" not in told
        assert 'class="flag"' not in await text_of(app, "/people/person", name="ada@example.com", range="2h")


async def test_nobody_is_new_where_only_people_without_a_name_came_before(tmp_path):
    events = [named("anonymous", 60 * 24 * 3), named("ada@example.com", 30)]
    async with opened(tmp_path / "d", events=events) as app:
        assert 'group=new">New</a>' not in await text_of(app, "/people", range="24h")


async def test_what_is_live_can_be_switched_off_by_an_address_that_ranges_keep(tmp_path):
    async with opened(tmp_path / "d") as app:
        assert 'id="live" data-live' in await text_of(app, "/")
        off = await text_of(app, "/", live="off", range="7d")
        assert "data-live" not in off and "live=off&amp;range=30d" in off and 'href="/?range=7d">Live on' in off


async def test_the_overview_reads_its_window_once(tmp_path, monkeypatch):
    async with opened(tmp_path / "d") as app:
        reads, read, store = [], type(app.repository).activity, type(app.repository)

        async def counted(repository, edges, **more):
            reads.append(more)
            return await read(repository, edges, **more)

        monkeypatch.setattr(store, "activity", counted)
        monkeypatch.setattr(store, "latencies", None)
        monkeypatch.setattr(store, "bars", None)
        for name in ("2h", "24h", "30d"):
            assert "How long requests took" in await text_of(app, "/", range=name)
        assert reads == [{"most": 20, "features": (), "latency": True}] * 3


async def test_the_bars_of_the_period_before_are_those_that_the_store_has_of_it(tmp_path):
    at = NOW - timedelta(minutes=7)
    since = [event(at - timedelta(hours=n)) for n in range(24 * 40)]
    async with opened(tmp_path, events=since) as app:
        for zone in (ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")):
            for hours, back in ((2, timedelta(hours=2)), (24, timedelta(days=7)), (240, timedelta(days=10))):
                report, counts, bars = await app.usage.read_window(hours, zone=zone, latency=True, before=True)
                edges = bar_edges(report.period_start, report.period_end, zone)
                assert list(bars) == await app.repository.bars([edge - back for edge in edges])
                assert any(bar.requests for bar in bars)
                assert list(counts.latencies) == await app.repository.latencies(edges)


async def test_a_feature_whose_name_looks_like_a_pattern_has_bars_of_its_own(tmp_path):
    found = [event(NOW - timedelta(hours=1))._replace(feature=name) for name in ("a[bc]", "b")]
    async with opened(tmp_path, events=found) as app:
        assert "First used" in await text_of(app, "/features", name="a[bc]", range="24h")


@pytest.mark.parametrize("name", ["zoe@example.com", HOSTILE[0], HOSTILE[8]])
async def test_people_says_of_a_week_who_came_and_went_and_leads_to_each(tmp_path, name):
    days = [
        (1, name),
        *((day, "ada@example.com") for day in (2, 9, 16, 23)),
        (10, "bob@example.com"),
        (17, "bob@example.com"),
    ]
    events = sorted(event(NOW - timedelta(days=day), user=user) for day, user in days)
    async with opened(tmp_path / "d", events=events) as app:
        page = await text_of(app, "/people", range="7d")
        told = page[page.index('id="turned"') : page.index("</section>", page.index('id="turned"'))]
        assert "The week in people" in told and "As usual" in told
        crowd = [event(NOW - timedelta(days=1, minutes=n), user=f"u{n}@example.com") for n in range(9)]
        await app.repository.write([*sorted(crowd), *(event(NOW - timedelta(hours=n), user=name) for n in (3, 2))])
        app.glances.forget()
        page = await text_of(app, "/people", range="7d")
        told = unescape(page[page.index('id="turned"') : page.index("</section>", page.index('id="turned"'))])
        assert "10 people are new:" in told and "1 person who came in both periods before stayed away:" in told
        assert name[:60] in told.replace("\u2068", "") and "<script>alert" not in page
        assert "group=new" in told and "range=30d" in told
        for query in ({"range": "24h"}, {"range": "7d", "group": "new"}, {"range": "7d", "q": "ada"}, {"range": "30d"}):
            assert 'id="turned"' not in await text_of(app, "/people", **query)


async def test_no_line_is_drawn_of_a_period_before_that_was_not_recorded_in_full(tmp_path):
    few = [event(NOW - timedelta(days=day)) for day in range(35, 0, -1)]
    async with opened(tmp_path / "d", events=few) as app:
        assert 'class="line before"' not in await text_of(app, "/", range="30d")
        assert 'class="line before"' in await text_of(app, "/", range="7d")


async def test_of_a_time_without_requests_nobody_says_that_nothing_moved(tmp_path):
    async with opened(tmp_path / "d", events=[]) as app:
        assert "Nothing moved." not in await text_of(app, "/")


async def test_in_french_when_a_step_was_is_no_duration_and_several_failures_are_several(tmp_path):
    found = [event(NOW - timedelta(minutes=n), status=500) for n in (3, 2, 1)]
    async with opened(tmp_path / "d", events=found) as app:
        page = await text_of(app, "/people/person", lang="fr", name="ada@example.com")
        assert '<th scope="col">Moment</th>' in page and "3 échecs" in page and "3 échec<" not in page
        assert '<th scope="col">Moment</th>' in await text_of(app, "/", lang="fr", range="24h")

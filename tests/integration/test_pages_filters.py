"""What a click on a page leads to, in whose time it speaks, and what its buttons do to mail that waits."""

import re
from datetime import timedelta
from html import unescape

import pytest

from guardian.application.reporting import send_report_now
from guardian.core.outgoing import Outgoing
from guardian.web.endpoint import Refusal
from guardian.web.pages import PAGES
from tests.support.api_client import NOW, calling, event, open_incident, opened
from tests.support.dashboard import busy
from tests.support.pages import look, post, text_of
from tests.support.plain import plain

PROXY = {"proxies": ["127.0.0.1"], "trusted_header": "X-User"}
ADMIN = {"X-User": "admin@example.com", "Accept": "text/html"}
STARTS = (
    "/", "/?range=own&start=2026-03-02T08:00&end=2026-03-02T12:00", "/people", "/people?group=quiet",
    "/people/person?name=ada%40example.com", "/features", "/features?name=search", "/errors", "/errors?status=413",
    "/incidents", "/incidents/chat_message", "/rules", "/mail", "/mail/1", "/system",
)  # fmt: skip


async def test_no_link_of_any_page_leads_nowhere_and_a_filter_is_in_the_address(tmp_path):
    rules = {"feature_down": {"features": ["chat_message"]}}
    async with opened(tmp_path / "d", events=busy(), rules=rules, dashboard=PROXY) as app:
        await open_incident(app, "chat_message", onset_us=int((NOW - timedelta(hours=20)).timestamp() * 1e6), users=3)
        await send_report_now(app, hours=24)
        async with calling(app, ADMIN) as client:
            seen, todo = {}, list(STARTS)
            pages = {}
            while todo:
                path = todo.pop(0)
                kind = re.sub(r"=[^&]*", "=", path)
                # Of links that differ in what they ask for alone, a few are followed.
                if path in pages or seen.get(kind, 0) >= 3:
                    continue
                seen[kind] = seen.get(kind, 0) + 1
                answer = await client.get(path)
                assert answer.status_code == 200, path
                pages[path] = answer.text
                if path in STARTS:
                    main = answer.text.partition("<main")[2]
                    found = [unescape(each) for each in re.findall(r'href="(/[^"#]*)', main)]
                    todo += [each for each in found if not each.startswith("/static/")]
        assert len(pages) > 60
        linked = {path for path in pages if path not in STARTS}
        for filtered in (
            "/errors?status=", "/errors?feature=", "/errors?q=", "/errors?group=", "/people?feature=", "/people?group=",
            "/features?name=", "/features?sort=", "/people?sort=", "/people/person?name=", "/incidents?rule=",
            "/mail?q=", "/mail?status=", "/?range=own", "/rules",
        ):  # fmt: skip
            name, _, key = filtered.partition("?")
            assert any(each.startswith(name) and key in each for each in linked | set(STARTS)), filtered


async def test_a_click_on_a_route_shows_its_errors_and_one_on_a_recipient_their_mails(tmp_path):
    async with opened(tmp_path / "d", events=busy()) as app:
        await send_report_now(app, hours=24)
        page = await text_of(app, "/features", name="search")
        assert 'href="/errors?q=POST+%2Fapi%2Fsearch"' in page
        found = await text_of(app, "/errors", q="POST /api/search")
        assert "/api/search" in found and "/api/documents" not in found
        assert 'href="/mail?q=admin%40example.com"' in await text_of(app, "/mail")


@pytest.mark.parametrize(
    ("asked", "cookie", "said"),
    [
        ("", "", "UTC"), ("", "Asia/Tokyo", "Asia/Tokyo"), ("Europe/Paris", "Asia/Tokyo", "Europe/Paris"),
        ("", "No/Such", "UTC"), ("../../etc/passwd", "", "UTC"), ("x" * 99, "\x7f", "UTC"),
    ],
)  # fmt: skip
async def test_times_are_those_of_the_address_or_of_the_readers_browser_or_of_the_settings(
    tmp_path, asked, cookie, said
):
    keys = {"timezone": "UTC", "dashboard": PROXY}
    async with opened(tmp_path / "d", **keys) as app, calling(app, ADMIN) as client:
        headers = {"Cookie": f"guardian-zone={cookie}"} if cookie else {}
        answer = await client.get("/", params={"zone": asked} if asked else {}, headers=headers)
        assert f"({said})" in answer.text


async def test_the_period_before_is_shown_with_its_value_until_it_is_switched_off(tmp_path):
    async with opened(tmp_path / "d", events=busy()) as app:
        on, off = await text_of(app, "/", range="2h"), await text_of(app, "/", range="2h", compare="off")
        assert '<span class="change' in on and "Without the period before" in on
        assert '<span class="change' not in off and "With the period before" in off
        assert "compare=off&amp;range=7d" in off or "range=7d&amp;compare=off" in off, "the next range keeps it"


@pytest.mark.parametrize("lang", ["en", "fr"])
async def test_every_page_says_whether_all_was_counted(tmp_path, lang):
    rules = {"feature_down": {"features": ["chat_message"]}}
    async with opened(tmp_path / "d", events=busy(), rules=rules) as app:
        await open_incident(app, "chat_message")
        await send_report_now(app, hours=24)
        for page in PAGES:
            if page.path in ("/people/erase", "/mail/{id}/body"):
                continue
            path = page.path.replace("{id}", "chat_message" if "incident" in page.path else "1")
            shown = await text_of(app, path, lang=lang, **({"name": "ada@example.com"} if "person" in path else {}))
            assert 'class="honesty"' in shown, path


async def test_the_next_report_is_told_with_what_it_covers(tmp_path):
    async with opened(tmp_path / "d", schedules=["daily at 08:00"], timezone="Europe/Zurich") as app:
        page = plain(await text_of(app, "/mail"))
        assert "The next report goes out on Tue 3 Mar, 08:00 and covers Mon 2 Mar, 00:00 – Tue 3 Mar, 00:00." in page
        assert "(Europe/Zurich)" in page and "1 recipient" in page


async def test_a_mail_that_could_not_be_sent_is_tried_again_and_one_that_waits_is_dropped(tmp_path):
    async with opened(tmp_path / "d") as app:
        made = [Outgoing(f"k{n}", f"ops{n}@example.com", b"Subject: x\r\n\r\nx", "alert") for n in (1, 2)]
        await app.state.enqueue(made, now=NOW)
        [first, second] = await app.state.claim_due(NOW, holder="one", lease=timedelta(minutes=1), limit=2)
        await app.state.mark_failed(
            first, holder="one", now=NOW, error="550 no such user", retry_at=None, transport=None
        )
        await app.state.mark_failed(second, holder="one", now=NOW, error="451 later", retry_at=NOW, transport="smtp")
        dead = f"/mail/{first.id}"
        page = await text_of(app, dead)
        assert "550 no such user" in page and 'value="retry"' in page and 'value="drop"' in page
        assert await post(app, dead, {"do": "retry", "id": str(first.id)}) == dead
        assert (await app.state.outbox_item(first.id)).status == "pending"
        assert await post(app, f"/mail/{second.id}", {"do": "drop", "id": str(second.id)}) == f"/mail/{second.id}"
        assert (await app.state.outbox_item(second.id)).status == "dropped"
        for bad in ({"do": "retry", "id": "99"}, {"do": "burn", "id": "1"}, {"do": "drop", "id": "1; DROP"}, {}):
            with pytest.raises(Refusal):
                await post(app, dead, bad)


async def test_the_check_is_made_when_asked_for_and_not_before(tmp_path):
    async with opened(tmp_path / "d") as app:
        assert "Check now" in await text_of(app, "/system")
        checked = await text_of(app, "/system", check="now")
        assert "Check again" in checked and '<ul class="plain findings">' in checked


async def test_a_value_of_the_address_that_makes_no_sense_shows_the_page_all_the_same(tmp_path):
    async with opened(tmp_path / "d", events=busy()) as app:
        for path in ("/", "/people", "/features", "/incidents", "/mail", "/system"):
            for name in ("range", "sort", "group", "page", "status", "live", "compare", "rule", "check"):
                for value in ("", "-1", "0", "nan", "9" * 400, "\x00", "' OR 1=1 --", "é"):
                    assert (await look(app, path, **{name: value})).status_code == 200, (path, name, value)


def links(page, path):
    """What the page links to below this path."""
    return [each for each in map(unescape, re.findall(r'href="([^"]*)', page)) if each.startswith(path)]


async def test_a_click_stays_in_the_time_that_the_page_is_about(tmp_path):
    async with opened(tmp_path / "d", events=busy()) as app:
        for path, asked, leads in (
            ("/", {}, "/errors?range=30d&status="), ("/", {}, "/features?range=30d&name="),
            ("/people/person", {"name": "ada@example.com"}, "/features?range=30d&name="),
            ("/features", {"name": "search"}, "/errors?range=30d&feature="),
        ):  # fmt: skip
            page = (await text_of(app, path, range="30d", **asked)).partition("<main")[2]
            assert links(page, leads), (path, leads)
            assert [each for each in links(page, leads.partition("?")[0] + "?") if "range=30d" not in each] == []


async def test_what_a_past_incident_links_to_shows_the_time_of_that_incident(tmp_path):
    then = NOW - timedelta(days=12)
    made = [event(then + timedelta(minutes=n), status=500) for n in range(30)]
    rules = {"feature_down": {"features": ["chat_message"]}}
    async with opened(tmp_path / "d", events=[*made, event(NOW, user="bob@example.com")], rules=rules) as app:
        first, over = (int((then + timedelta(minutes=n)).timestamp() * 1e6) for n in (0, 30))
        await open_incident(app, "chat_message", onset_us=first, recovery_us=over, status="resolved",
                            end="resolved", names=("ada@example.com",))  # fmt: skip
        page = await text_of(app, "/incidents/chat_message")
        window = "range=own&start=2026-02-18T11%3A30Z&end=2026-02-18T14%3A00Z"
        assert f"/features?{window}&name=chat_message" in links(page, "/features?")
        assert f"/people/person?{window}&name=ada%40example.com" in links(page, "/people/person?")
        own = {"range": "own", "start": "2026-02-18T11:30Z", "end": "2026-02-18T14:00Z"}
        shown = await text_of(app, "/features", name="chat_message", **own)
        assert 'class="value">30</span>' in shown


def chart(page):
    """The first table behind a chart."""
    return page.partition('<details class="behind">')[2].partition("</details>")[0]


async def test_another_end_of_a_window_shows_another_chart_of_a_feature(tmp_path):
    async with opened(tmp_path / "d", events=busy()) as app:
        own = {"range": "own", "start": "2026-03-02T06:00", "name": "search"}
        short = await text_of(app, "/features", end="2026-03-02T08:00", **own)
        long = await text_of(app, "/features", end="2026-03-02T12:00", **own)
        assert "11:30" in chart(long) and "11:30" not in chart(short)


async def test_a_page_in_french_has_no_english_in_its_buttons_days_and_replays(tmp_path):
    rules = {"error_rate": {"threshold": 0.1}}
    many = [event(NOW - timedelta(minutes=n)) for n in range(60)]
    async with opened(tmp_path / "d", events=many, rules=rules) as app:
        assert "Envoyer à 1 admin" in plain(await text_of(app, "/mail", lang="fr"))
        assert "90 jours" in plain(await text_of(app, "/system", lang="fr"))
        person = plain(await text_of(app, "/people/person", lang="fr", name="ada@example.com"))
        assert "et 20 étapes de plus" in person
    async with opened(tmp_path / "e", events=[], rules=rules) as app:
        page = unescape(plain(await text_of(app, "/rules", lang="fr", rule="error_rate", threshold="0.02")))
        assert "Aucune requête n'a encore été enregistrée" in page and str(tmp_path) not in page

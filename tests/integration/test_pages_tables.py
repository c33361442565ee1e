"""Every table of every page, as CSV and as JSON."""

import csv
import json
import re
from datetime import timedelta
from html import unescape
from io import StringIO

import pytest

from guardian.application.reporting import send_report_now
from guardian.web.pages import PAGES
from tests.support.api_client import NOW, calling, event, open_incident, opened
from tests.support.dashboard import busy
from tests.support.pages import text_of

PROXY = {"proxies": ["127.0.0.1"], "trusted_header": "X-User"}
ADMIN = {"X-User": "admin@example.com", "Accept": "text/html"}
TABLES = {
    "/?range=24h": {"timeline", "statuses", "features", "durations"},
    "/people": {"people"},
    "/people?group=quiet": {"quiet"},
    "/people/person?name=ada@example.com": {"steps", "sessions", "features"},
    "/features": {"features"},
    "/features?name=chat_message": {"timeline", "statuses", "routes", "durations"},
    "/errors": {"errors"},
    "/incidents": {"incidents"},
    "/incidents/chat_message": {"people", "timeline"},
    "/rules": {"rules"},
    "/rules?rule=error_rate&threshold=0.05": {"rules", "replay"},
    "/mail": {"mails", "schedules", "transports"},
    "/mail/1": {"headers"},
    "/system?check=now": {"recorders", "steps", "versions", "settings", "check"},
}
"""The files that each page offers. Beside them there is one of each error: see below."""
LINK = re.compile(r'<a href="([^"]*)">(CSV|JSON)</a>')


async def filled(app):
    """An incident that hit people, a mail, and somebody who went quiet."""
    await open_incident(app, "chat_message", onset_us=int((NOW - timedelta(hours=20)).timestamp() * 1e6), users=3)
    await send_report_now(app, hours=24)


def files(page):
    return [(unescape(href), form) for href, form in LINK.findall(page)]


async def test_every_table_of_every_page_can_be_had_with_the_same_rows_in_both_forms(tmp_path):
    rules = {"feature_down": {"features": ["chat_message"]}, "error_rate": {}}
    async with opened(tmp_path / "d", events=busy(), rules=rules, dashboard=PROXY) as app:
        await filled(app)
        async with calling(app, ADMIN) as client:
            error = re.search(r'href="(/errors\?group=[^"]+)"', (await client.get("/errors")).text)[1]
            empty = set()
            for path, names in {**TABLES, error: {"people"}}.items():
                page = (await client.get(path)).text
                offered = files(page)
                assert {re.search("table=([a-z]+)", href)[1] for href, _ in offered} == names, path
                assert {form for _, form in offered} == {"CSV", "JSON"}
                rows = {}
                for href, form in offered:
                    name = re.search("table=([a-z]+)", href)[1]
                    answer = await client.get(href)
                    assert answer.status_code == 200, href
                    kind = "text/csv" if form == "CSV" else "application/json"
                    assert answer.headers["content-type"].startswith(kind)
                    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.{form.lower()}"'
                    if form == "CSV":
                        found = list(csv.DictReader(StringIO(answer.text)))
                        rows.setdefault(name, []).append((len(found), list(found[0]) if found else None))
                    else:
                        found = json.loads(answer.text)[name]
                        rows.setdefault(name, []).append((len(found), list(found[0]) if found else None))
                for name, (sheet, data) in rows.items():
                    assert sheet == data, (path, name)
                    if not data[0]:
                        empty.add(name)
            assert empty <= {"quiet", "recorders", "steps", "statuses", "replay"}, empty


def test_no_page_with_a_table_is_forgotten_here():
    shown = {page.path for page in PAGES if page.path not in ("/people/erase", "/mail/{id}/body")}
    here = {re.sub(r"\?.*", "", path).replace("chat_message", "{id}").replace("/1", "/{id}") for path in TABLES}
    assert here == shown


async def test_a_file_is_of_what_the_page_shows_range_and_filters_too(tmp_path):
    async with opened(tmp_path / "d", events=busy(), dashboard=PROXY) as app, calling(app, ADMIN) as client:
        for path in ("/people?range=2h&q=ada", "/errors?status=503", "/features?name=search&range=2h"):
            for href, _ in files((await client.get(path)).text):
                for part in path.partition("?")[2].split("&"):
                    assert part in href
                assert "q=ada" not in path or "bob@example.com" not in (await client.get(href)).text


async def test_who_went_quiet_is_in_the_file_of_those(tmp_path):
    regular = [event(NOW - timedelta(days=day, hours=1), user="ada@example.com") for day in range(20, 8, -1)]
    last = event(NOW - timedelta(days=8), user="ada@example.com", status=500)
    others = [event(NOW - timedelta(minutes=30), user="bob@example.com")]
    async with opened(tmp_path / "d", events=[*regular, last, *others]) as app:
        page = await text_of(app, "/people", group="quiet", range="30d")
        sheet = await text_of(app, "/people", group="quiet", range="30d", table="quiet", **{"as": "csv"})
        assert "ada@example.com" in page
        assert sheet.splitlines()[1].startswith("ada@example.com,")
        assert sheet.startswith("person,last_seen,status,route")


@pytest.mark.parametrize("role", ["admin", "viewer"])
async def test_the_settings_are_a_file_for_admins_alone(tmp_path, role):
    async with opened(tmp_path / "d") as app:
        assert ("table=settings" in await text_of(app, "/system", role=role)) == (role == "admin")

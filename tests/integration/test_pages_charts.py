"""The charts of the pages: what was released stands in them, and each of their rows leads to its time."""

import re
from contextlib import closing
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl

import pytest

from guardian.web.pages.assets import assets
from tests.support.api_client import NOW, calling, event, opened
from tests.support.dashboard import busy
from tests.support.pages import text_of
from tracker.source import Source
from tracker.sqlite.writer import Writer

CHARTS = ("Active users over time", "Requests over time", "Latency over time")


def chart(page, title):
    """The picture called so, and what belongs to it."""
    start = page.index(f'aria-label="{title}')
    return unescape(page[page.rindex('<div class="chart"', 0, start) : page.index("</details>", start)])


def deployed(database, *releases):
    """A request that each release answered, so many minutes ago."""
    for name, minutes in releases:
        with closing(Writer(str(database), made_by=Source(name, "web-1"))) as writer:
            writer.write([event(NOW - timedelta(minutes=minutes))])


async def test_what_was_released_is_marked_in_every_chart_over_time_and_in_the_table_behind_it(tmp_path):
    async with opened(tmp_path / "d") as app:
        deployed(tmp_path / "d" / "guardian.db", ("2.4.0", 3000), ("2.4.1", 600), ("9f8e7d6c5b4a" + "0" * 28, 60))
        page = await text_of(app, "/", zone="UTC")
        for title in CHARTS:
            found = chart(page, title)
            assert re.findall("<text .*?>(.*?)</text>", found) == ["2.4.1", "9f8e7d6c5b4a"], title
            assert "Release 2.4.1, Mon 2 Mar, 02:30" in found and '<th scope="col">Released</th>' in found, title
        one = chart(await text_of(app, "/features", name="chat_message", range="2h"), "Requests over time")
        assert "Release 9f8e7d6c5b4a" in one and "2.4.1" not in one
        assert 'class="flag"' not in await text_of(
            app, "/", range="own", start="2026-03-02T10:00", end="2026-03-02T11:00"
        )


async def test_a_release_that_is_called_like_markup_is_text(tmp_path):
    name = '"><script>alert(1)</script>'
    async with opened(tmp_path / "d") as app:
        deployed(tmp_path / "d" / "guardian.db", ("1", 3000), (name, 60))
        page = await text_of(app, "/")
        assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(("path", "query"), [("/", {}), ("/features", {"name": "chat_message", "compare": "off"})])
async def test_each_row_behind_the_requests_leads_to_its_time_where_as_many_are_told(tmp_path, path, query):
    async with opened(tmp_path / "d", events=busy()) as app:
        rows = re.findall(
            r'<th scope="row"><a href="/[a-z]*\?([^"]*)">[^<]*</a></th><td>(\d+)</td><td>(\d+)</td>',
            chart(await text_of(app, path, **query), "Requests over time").replace("&amp;", "&"),
        )
        assert len(rows) > 20
        for asked, failed, well in rows[3:40:12]:
            inside = dict(parse_qsl(asked))
            assert inside.get("compare") == query.get("compare") and inside.get("name") == query.get("name")
            page = await text_of(app, path, **inside)
            said = re.search(r'<span class="label">Requests</span><span class="value">(\d+)<', page)
            assert (int(said[1]) if said else 0) == int(failed) + int(well)


async def test_the_first_page_comes_in_60_kb_with_its_style_script_and_picture(tmp_path):
    async with opened(tmp_path / "d", events=busy()) as app, calling(app) as client:
        deployed(tmp_path / "d" / "guardian.db", ("2.4.0", 3000), ("2.4.1", 300))
        size = len((await text_of(app, "/")).encode())
        for each in assets().values():
            answer = await client.get(f"/static/{each.name}", headers={"Accept-Encoding": "gzip"})
            assert answer.headers["content-encoding"] == "gzip" and answer.content == each.body
            plain = await client.get(f"/static/{each.name}", headers={"Accept-Encoding": "identity"})
            assert "content-encoding" not in plain.headers and plain.content == each.body
            assert plain.headers["vary"] == "Accept-Encoding"
            size += int(answer.headers["content-length"])
        assert size < 60_000

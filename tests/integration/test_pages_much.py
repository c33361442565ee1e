"""However much there is, each page stays short: what it leaves out it counts, and the file has all of it."""

import re
from datetime import timedelta

import pytest

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.core.outgoing import Outgoing
from tests.support.api_client import NOW, event, opened
from tests.support.pages import look, text_of
from tests.support.plain import plain

MANY = 3000
AT_US = int((NOW - timedelta(minutes=51)).timestamp()) * 1_000_000
MOST_BYTES = 90_000


def crowd():
    """Everybody's request fails, each in a feature of its own; nobody comes back."""
    for n in range(MANY):
        each = event(NOW - timedelta(minutes=50, seconds=-n / 100), user=f"person{n:05}@example.com", status=500)
        yield each._replace(feature="chat_message" if n % 2 else f"feature{n:05}")


async def much(app):
    """An incident that hit all of them, 400 open ones beside it, and 600 mails about the first."""
    known = {"status": "open", "opened_us": AT_US, "fired_us": AT_US, "told_us": AT_US, "since_us": AT_US}
    names = ["chat_message", *(f"feature{n:05}" for n in range(0, 800, 2))]
    found = {name: Incident(name, "feature_down", name, "critical", thread=name, onset_us=AT_US, **known)
             for name in names}  # fmt: skip
    memories = {"feature_down": Memory(found)}
    version = (await app.stores.alerts.load()).version
    await app.stores.alerts.commit(AlertState(AT_US // 60_000_000, memories, version=version), [], now=NOW)
    mails = [
        Outgoing(f"incident/chat_message/{n}/admin", "admin@example.com", b"", "alert", subject="chat is down")
        for n in range(600)
    ]
    await app.state.enqueue(mails, now=NOW)


@pytest.fixture
async def app(tmp_path):
    rules = {"feature_down": {"features": ["*"], "min_users": 1}}
    async with opened(tmp_path / "d", events=list(crowd()), rules=rules) as found:
        await much(found)
        yield found


async def test_no_page_grows_with_what_there_is(app):
    paths = (
        "/",
        "/people",
        "/features",
        "/errors",
        "/incidents",
        "/incidents/chat_message",
        "/rules",
        "/mail",
        "/system",
    )
    sizes = {path: len(await text_of(app, path)) for path in paths}
    assert {path: size for path, size in sizes.items() if size > MOST_BYTES} == {}


async def test_what_a_page_leaves_out_it_counts_and_leads_to_all_of_it(app):
    page = plain(await text_of(app, "/"))
    assert page.count('<li class="incident') == 6 and '<a href="/incidents">and 395 more</a>' in page
    page = plain(await text_of(app, "/incidents"))
    assert page.count('<li class="incident') == 50 and "and 351 more: <a" in page
    page = plain(await text_of(app, "/incidents/chat_message"))
    assert "1,500 people were hit" in page and page.count(", person0") == 199 and "and 1,300 more: <a" in page
    assert "502 earlier ones: <a" in page and page.count("<time>") == 100
    sheet = (await look(app, "/incidents/chat_message", table="people", **{"as": "csv"})).body.decode()
    assert len(sheet.splitlines()) == 1501


async def test_features_are_searched_sorted_and_paged(app):
    page = plain(await text_of(app, "/features"))
    assert "1–50 of 1,501" in page and page.count("<tr><th") == 50 and "chat_message" in page
    last = plain(await text_of(app, "/features", page="99", sort="name"))
    assert "1,501–1,501 of 1,501" in last and "feature02998" in last
    assert "page=30&amp;sort=name" in last
    found = plain(await text_of(app, "/features", q="FEATURE00018"))
    assert "1–1 of 1" in found and "feature00018" in found
    one = plain(await text_of(app, "/features", name="feature00018"))
    assert "feature00018" in one and "100" in one


async def test_the_figures_of_somebody_with_very_many_requests_are_of_all_of_them(tmp_path):
    busy = [
        event(NOW - timedelta(minutes=3 * n + 1), user="robot@example.com", status=500 if n % 20 == 0 else 200)
        for n in range(2500)
    ]
    async with opened(tmp_path / "robot", events=busy) as app:
        page = plain(await text_of(app, "/people/person", name="robot@example.com", range="7d", zone="UTC"))
        listed = plain(await text_of(app, "/people", range="7d", zone="UTC"))
        file = (await look(app, "/people/person", name="robot@example.com", table="steps", **{"as": "csv"})).body
    figures = dict(re.findall(r'<span class="label">(.*?)</span><span class="value">(.*?)</span>', page))
    assert figures == {"Sessions": "≥ 1", "Time": "5 d 4 h", "Requests": "2,500", "Failed": "125"}
    assert "5 d 4 h" in listed and "2,500" in listed
    assert "of the newest 2,000 requests, since Thu 26 Feb, 08:32." in page
    assert len(file.splitlines()) == 2001 and "and 1,960 more steps: they are in the file" in page

"""What 95 % of the requests kept to, beside the period before: on the overview and in the mail, not in the JSON."""

import json
import re
from datetime import timedelta

import pytest

from guardian.application.reporting import send_report_now
from guardian.core.report.json import to_json
from tests.support.api_client import NOW, event, mails, opened
from tests.support.pages import text_of
from tests.support.plain import plain

WEEK = timedelta(days=7)


def took(ms, *, back=timedelta(0)):
    """Thirty requests of that length, from five hours ago, so long before."""
    return [event(NOW - back - timedelta(minutes=300 - n))._replace(duration_us=ms * 1000) for n in range(30)]


EVENTS = [
    event(NOW - WEEK - timedelta(days=2)),
    *took(320, back=WEEK),
    *took(500, back=timedelta(hours=24)),
    *took(360),
]


def figure(page):
    [found] = re.findall(r'<span class="label">95 % (?:within|en moins de)</span>(.*?)(?:</a>|</li>)', plain(page))
    return " ".join(re.sub("<[^>]*>", " ", found).split())


@pytest.fixture
def reads(monkeypatch):
    """The windows of which latencies are read for themselves."""
    from guardian.stores.sqlite.events import SqliteRepository

    found, read = [], SqliteRepository.latencies

    async def noted(repository, edges):
        found.append(tuple(edges))
        return await read(repository, edges)

    monkeypatch.setattr(SqliteRepository, "latencies", noted)
    return found


async def test_the_overview_shows_the_latency_of_the_same_weekday_until_that_is_switched_off(tmp_path, reads):
    async with opened(tmp_path / "d", events=EVENTS) as app:
        assert figure(await text_of(app, "/", range="24h")) == "363 ms ↑ from 322 ms a week before"
        assert figure(await text_of(app, "/", range="24h", lang="fr")) == "363 ms ↑ contre 322 ms une semaine plus tôt"
        [(start, end)] = reads
        assert (end - start, NOW - end) == (timedelta(days=1), WEEK)
        assert figure(await text_of(app, "/", range="24h", compare="off")) == "363 ms"
        assert len(reads) == 1


async def test_nothing_is_read_where_no_period_before_was_recorded_in_full(tmp_path, reads):
    async with opened(tmp_path / "d", events=took(360)) as app:
        assert figure(await text_of(app, "/", range="24h")) == "363 ms"
    assert reads == []


async def test_the_mail_shows_it_too_and_the_json_of_the_report_is_as_it_was(tmp_path):
    async with opened(tmp_path / "d", events=EVENTS) as app:
        plainly = to_json(await app.usage.read_report(24))
        await send_report_now(app, hours=24)
        [mail] = mails(tmp_path / "d" / "mail")
        text = " ".join(plain(mail.get_body(("plain",)).get_content()).split())
        assert "95 % within 363 ms ↑ from 322 ms a week before" in text
        [saved] = [each.read_text() for each in (tmp_path / "d" / "reports").glob("*.json")]
        assert json.loads(saved) == json.loads(json.dumps(plainly)) and "p95_ms" not in saved

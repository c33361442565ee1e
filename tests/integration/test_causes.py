"""A release that breaks one route: its cause in the alert mail, on the page, in the API and on the command line."""

import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.explaining import UNEXPLAINED
from guardian.alerting.incidents import Incident
from guardian.application.judging.causes import cause_of, why_of
from guardian.application.judging.steps import alert_step
from guardian.application.root import open_application
from guardian.core.language import language
from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from guardian.web.pages.incidents import _whom
from tests.support.api_client import bearer, calling, make_settings
from tests.support.events import event as made
from tests.support.pages import text_of
from tests.support.plain import plain
from tracker.event import Failure
from tracker.source import Source
from tracker.sqlite.writer import Writer

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
MINUTES = 20
OLD, NEW = Source("2.4.0", "web-1"), Source("2.4.1", "web-1")
BROKEN = Failure("KeyError", "no", "chat.py:118 answer")


class Clock:
    minute = 0

    def __call__(self):
        return START + timedelta(minutes=self.minute, seconds=10)


def request(minute, n, feature, bad):
    outcome = {"status": 500, "failure": BROKEN} if bad else {}
    return made(
        START + timedelta(minutes=minute, seconds=n), user=f"u{n}@example.com", path=f"/api/{feature}", method="POST",
        feature=feature, ms=9, **outcome,
    )  # fmt: skip


def record(path):
    """A week ago all was well; today the release of minute 10 breaks the chat."""
    for source, minutes, broken in ((OLD, range(-10080, -10080 + MINUTES), False), (OLD, range(10), False),
                                    (NEW, range(10, MINUTES), True)):  # fmt: skip
        with closing(Writer(str(path), made_by=source)) as writer:
            for minute in minutes:
                chat = [request(minute, n, "chat", broken) for n in range(8)]
                writer.write(chat + [request(minute, n + 20, "files", False) for n in range(8)])


@pytest.fixture
async def broken(tmp_path):
    """The app after its alert was judged, and the incident."""
    folder, clock = tmp_path / "d", Clock()
    folder.mkdir()
    record(folder / "guardian.db")
    rules = {"error_rate": {"window": "10m", "min_requests": 20}}
    async with open_application(make_settings(folder, rules=rules), clock=clock) as app:
        for clock.minute in range(1, MINUTES + 1):
            await alert_step(app, clock(), None)
        found = [each for each in await app.stores.alerts.incidents() if each.rule == "error_rate"]
        assert len(found) == 1
        yield app, found[0]


async def test_the_alert_mail_names_the_release_the_route_and_the_error(broken):
    app, incident = broken
    item = next(each for each in await app.state.outbox(limit=100) if incident.id in each.message.key)
    mail = message_from_bytes(item.message.body, policy=policy.default)
    words = " ".join(plain(mail.get_body(("plain",)).get_content()).split())
    assert "release 2.4.1 has " in words
    assert "/api/chat" in words
    assert re.search(r"Released 2\.4\.1 at .*09:10", words)
    assert "(0 of " in words and "requests a week before)" in words
    assert "2.4.1" in mail.get_body(("html",)).get_content()


async def test_the_page_the_api_and_the_command_say_the_same(broken):
    app, incident = broken
    page = plain(await text_of(app, f"/incidents/{incident.id}"))
    async with calling(app, bearer()) as client:
        answer = (await client.get(f"/api/guardian/alerts/{incident.id}")).json()
        assert (await client.get("/api/guardian/alerts/none")).status_code == 404
    cause = answer["cause"]
    assert {each["value"] for each in cause["found"]} == {"2.4.1", "/api/chat"}
    assert (cause["error"]["kind"], cause["error"]["before"], cause["days_before"]) == ("KeyError", 0, 7)
    assert cause["released"] == [{"release": "2.4.1", "at": "2026-03-16T09:10:00+00:00"}]
    for line in cause["lines"]:
        assert plain(line) in page
    assert "Release 2.4.1 answered for the first time" in page
    french = plain(await text_of(app, f"/incidents/{incident.id}", lang="fr"))
    assert "version 2.4.1 a " in french


async def test_of_a_rule_that_is_gone_nothing_is_said(broken):
    app, incident = broken
    assert (await cause_of(app, incident)).cause.found != ()
    assert await cause_of(app, replace(incident, rule="gone")) is UNEXPLAINED


def test_where_the_store_cannot_answer_the_alert_goes_out_without_a_cause(caplog):
    class Away:
        def sample(self, *window):
            raise StorageError("it is locked")

    class Wrong:
        def sample(self, *window):
            raise RuntimeError("a fault of ours")

    incident = Incident("i", "error_rate", "", "warning", "open", since_us=micros(START))
    for store in (Away(), Wrong()):
        assert why_of(store, parse_rule("error_rate", {}), incident, micros(START)).cause.found == ()
    assert "it is locked" in caplog.text
    assert "could not be found" in caplog.text


async def lived(folder, **rule):
    """The chat fails from minute 2 to 10, when a release repairs it; the minutes in which something was told."""
    folder.mkdir()
    clock, path = Clock(), folder / "guardian.db"
    rules = {"error_rate": {"window": "60m", "min_requests": 20, "resolve_after": "5m", **rule}}
    async with open_application(make_settings(folder, rules=rules), clock=clock) as app:
        for clock.minute in range(1, 31):
            at = clock.minute - 1
            with closing(Writer(str(path), made_by=OLD if at < 10 else NEW)) as writer:
                writer.write([request(at, n, "chat", 2 <= at < 10) for n in range(10)])
            await alert_step(app, clock(), None)
        [incident] = [each for each in await app.stores.alerts.incidents() if each.rule == "error_rate"]
    return incident


async def test_a_new_release_marks_as_fixed_what_was_open_where_the_rule_says_so(tmp_path):
    fixed = await lived(tmp_path / "a", fixed_by_release=True)
    assert (fixed.status, fixed.end) == ("resolved", "resolved")
    assert fixed.fixed_us == micros(START + timedelta(minutes=10))
    assert (fixed.acknowledged_by, fixed.acted) == (None, False), "no person did anything"


async def test_otherwise_the_window_is_waited_for(tmp_path):
    assert (await lived(tmp_path / "b")).status == "open"


async def test_whom_it_hit_is_on_the_page_and_in_the_api_with_a_draft_once_it_is_over(tmp_path):
    folder, clock = tmp_path / "d", Clock()
    folder.mkdir()
    rules = {"error_rate": {"window": "10m", "min_requests": 20, "resolve_after": "5m"}}
    async with open_application(make_settings(folder, rules=rules), clock=clock) as app:
        for clock.minute in range(1, 41):
            at = clock.minute - 1
            with closing(Writer(str(folder / "guardian.db"), made_by=OLD)) as writer:
                # u8 and u9 were there while it failed, and never again.
                people = range(10) if at < 10 else range(8)
                writer.write([request(at, n, "chat", 2 <= at < 10) for n in people])
            await alert_step(app, clock(), None)
        [incident] = [each for each in await app.stores.alerts.incidents() if each.rule == "error_rate"]
        assert incident.over_us is not None
        async with calling(app, bearer()) as client:
            whom = (await client.get(f"/api/guardian/alerts/{incident.id}")).json()["whom"]
        assert (whom["hit"], whom["succeeded"], whom["failed_again"], whom["not_back"]) == (10, 8, 0, 2)
        assert [(each["name"], each["times"], each["since"]) for each in whom["people"][:2]] == [
            ("u8@example.com", 8, "not_back"), ("u9@example.com", 8, "not_back"),
        ]  # fmt: skip
        page = plain(await text_of(app, f"/incidents/{incident.id}"))
        assert "10 people were hit: 8 have used chat since, 2 have not come back." in page
        assert "u8@example.com, u9@example.com" in page
        assert "mailto:?bcc=u8@example.com,u9@example.com&amp;subject=It%20works%20again%3A%20chat" in page
        unwatched = SimpleNamespace(app=app, lang=language(), zone=ZoneInfo("UTC"), may_act=True)
        assert _whom((await cause_of(app, incident)).whom, replace(incident, end="unwatched"), unwatched)["draft"] == ""
        french = plain(await text_of(app, f"/incidents/{incident.id}", lang="fr"))
        assert "10 personnes touchées : 8 ont utilisé chat depuis, 2 ne sont pas revenues." in french
        table = await text_of(app, f"/incidents/{incident.id}", **{"table": "people", "as": "csv"})
        assert table.count("not_back") == 2

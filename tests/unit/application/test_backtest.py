"""The backtest as an admin uses it: what was mailed, what another threshold would have mailed, which rule is noise."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.judging import backtest
from guardian.application.judging.backtest import STRIP, run_backtests, write_page
from guardian.application.judging.overriding import overridden
from guardian.core.language import language
from guardian.core.storage import StorageError
from guardian.settings.loading import SettingsError
from guardian.settings.schema import Settings
from tests.support.events import event
from tests.support.plain import plain
from tracker.event import Failure
from tracker.source import Source
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)


def settings(folder, **more):
    return Settings(database=folder / "guardian.db", admins=("a@example.com", "b@example.com"), **more)


def record(folder, *, days=5):
    """Thirty requests an hour; on the second day at noon, for an hour, eight of a hundred fail, and later all chat."""
    writer, events = Writer(str(folder / "guardian.db")), []
    start = NOW - timedelta(days=days)
    for hour in range(days * 24):
        at = start + timedelta(hours=hour)
        bad = 8 if hour == 36 else 40 if hour == 60 else 0
        number = 100 if bad else 30
        for i in range(number):
            failure = (
                Failure("Boom", "Internal Server Error", "app.py:7 f")
                if i * bad // number != (i - 1) * bad // number
                else None
            )
            at_us = int((at + timedelta(seconds=3500 * i / number)).timestamp() * 1_000_000)
            user = f"u{i % 7}@example.com"
            status = 500 if failure else 200
            events.append(
                event(at_us, user=user, path="/api/docs", feature="docs", status=status, ms=9, failure=failure)
            )
    writer.write(sorted(events))
    writer.close()
    return len(events)


def test_it_says_how_many_incidents_and_mails_each_rule_would_have_made(tmp_path):
    number = record(tmp_path)
    [result] = run_backtests(settings(tmp_path), days=30, now=NOW)
    assert result.events == number
    rules = {rule.rule: rule for rule in result.rules}
    assert list(rules) == ["error_rate", "feature_down", "user_burst"]
    assert (rules["error_rate"].incidents, rules["error_rate"].messages) == (1, 4), "opened and resolved, two admins"
    assert 0 < rules["error_rate"].longest == rules["error_rate"].open_seconds < 3 * 3600
    assert len(rules["error_rate"].strip) == STRIP
    assert [round(cell, 2) > 0 for cell in rules["error_rate"].strip].index(True) == 60 * STRIP // 120
    [(incident, opened, ended)] = [span for span in result.spans() if span[0].rule == "error_rate"]
    assert incident.peak == pytest.approx(0.5, abs=0.5)
    assert NOW - timedelta(days=5) + timedelta(hours=60) == opened < ended < NOW, "the first that failed"


def test_another_threshold_is_tried_beside_it(tmp_path):
    record(tmp_path)
    mine, other = run_backtests(settings(tmp_path), days=30, changes=["error_rate.threshold=5%"], now=NOW)
    assert (mine.title, other.title) == ("Your rules", "With error_rate.threshold=5%")
    assert [r.incidents for r in (mine.rules[0], other.rules[0])] == [1, 2]


def test_a_new_error_is_over_when_it_no_longer_comes_and_not_before(tmp_path):
    start_us = int(NOW.timestamp()) * 1_000_000 - 40 * 3600 * 1_000_000
    boom = Failure("Boom", "Internal Server Error", "app.py:7 f")
    good = [
        event(start_us + m * 60_000_000, user="ann@x.org", path="/d", feature="docs", duration_us=9)
        for m in range(40 * 60)
    ]
    bad = [event(start_us + m * 60_000_000 + 1, user="ann@x.org", path="/d", feature="docs", status=500, duration_us=9,
                 failure=boom)
           for m in range(120, 32 * 60, 5)]  # fmt: skip
    writer = Writer(str(tmp_path / "guardian.db"))
    writer.write(good + bad)
    writer.close()
    rules = {"new_error": {"warmup": "1h"}}
    [result] = run_backtests(settings(tmp_path, rules=rules), days=2, now=NOW)
    [incident] = result.replay.incidents
    last = bad[-1].at_us
    assert incident.opened_us == start_us + 121 * 60_000_000
    assert 0 < incident.resolved_us - last - (600 + 300) * 1_000_000 <= 120_000_000, "a window and resolve_after later"


def released(folder):
    """Ten chats a minute for three hours: those of minutes 60 to 89 fail, which release 2 answers; 3 is good again."""
    start_us = int((NOW - timedelta(hours=3)).timestamp()) * 1_000_000
    boom = Failure("KeyError", "Internal Server Error", "chat.py:118 answer")
    for release, first, last in (("1", 0, 60), ("2", 60, 90), ("3", 90, 180)):
        bad = release == "2"
        events = [
            event(start_us + m * 60_000_000 + n * 1_000_000, user=f"u{n}@x.org", method="POST", ms=9,
                  status=500 if bad else 200, failure=boom if bad else None)
            for m in range(first, last) for n in range(10)
        ]  # fmt: skip
        writer = Writer(str(folder / "guardian.db"), made_by=Source(release, "web-1"))
        writer.write(events)
        writer.close()


def test_it_says_why_as_the_mail_would_have(tmp_path):
    released(tmp_path)
    [result] = run_backtests(settings(tmp_path, rules={"error_rate": {"window": "10m"}}), days=1, now=NOW)
    [incident] = [each for each in result.replay.incidents if each.rule == "error_rate"]
    why = result.why[incident.id]
    assert [(found.dimension, found.value) for found in why.cause.found] == [("release", "2")]
    assert [each.release for each in why.released] == ["2"]
    for code, words in (("en", "release 2 has 300 of 300 failures"), ("fr", "version 2 a 300 des 300 échecs")):
        write_page(tmp_path / "page.html", [result], language(code))
        page = plain((tmp_path / "page.html").read_text())
        assert words in page
        assert f'<html lang="{code}">' in page


def test_only_the_newest_incidents_are_explained(tmp_path, monkeypatch):
    released(tmp_path)
    monkeypatch.setattr(backtest, "EXPLAINED", 1)
    rules = {"error_rate": {"window": "10m"}, "chat_down": {"kind": "feature_down", "features": ["chat"]}}
    [result] = run_backtests(settings(tmp_path, rules=rules), days=1, now=NOW)
    assert len(result.replay.incidents) >= 2
    assert list(result.why) == [result.replay.incidents[-1].id]


def test_a_release_ends_an_incident_where_the_rule_says_so_as_it_does_live(tmp_path):
    released(tmp_path)
    rules = {"error_rate": {"window": "60m", "resolve_after": "5m"}}
    mine, other = run_backtests(
        settings(tmp_path, rules=rules), days=1, now=NOW, changes=["error_rate.fixed_by_release=true"]
    )
    [long], [short] = ([i for i in each.replay.incidents if i.rule == "error_rate"] for each in (mine, other))
    release_us = int((NOW - timedelta(minutes=90)).timestamp()) * 1_000_000
    assert (long.fixed_us, short.fixed_us) == (None, release_us)
    assert release_us < short.resolved_us <= release_us + 15 * 60_000_000 < long.resolved_us


def test_a_change_that_fits_no_rule_is_refused(tmp_path):
    record(tmp_path, days=1)
    for change in ("error_rate", "error_rate.threshold", "=5", "error_rate.threshold="):
        with pytest.raises(ValueError, match=r"is not of the form rule\.key=value"):
            run_backtests(settings(tmp_path), days=1, changes=[change], now=NOW)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("error_rate.thresold=5%", "rules.error_rate.thresold is not a setting: did you mean threshold?"),
        ("error_rate.threshold=lots", "'lots' is not a share: write a percentage such as 10%, or a number from 0 to 1"),
        ("user_burst.errors=1", "rules.user_burst.errors = 1 must be at least 2"),
        ("slow.threshold_ms=300", "rules.slow.kind = slow is not a kind of rule: it is one of error_rate, "),
        ("feature_down.probe.failures=0", "rules.feature_down.probe.url is missing: add url = …"),
    ],
)
def test_a_change_to_what_a_rule_cannot_have_is_one_sentence(tmp_path, change, sentence):
    record(tmp_path, days=1)
    with pytest.raises(SettingsError) as error:
        run_backtests(settings(tmp_path), days=1, changes=[change], now=NOW)
    assert sentence in error.value.problems[0]
    assert "pydantic" not in str(error.value)


def test_without_a_recorded_past_it_says_so(tmp_path):
    with pytest.raises(StorageError, match="there is no database"):
        run_backtests(settings(tmp_path), days=1, now=NOW)
    Writer(str(tmp_path / "guardian.db")).close()
    with pytest.raises(StorageError, match="holds no events yet"):
        run_backtests(settings(tmp_path), days=1, now=NOW)


def test_the_page_shows_the_strips_and_escapes_names(tmp_path):
    record(tmp_path)
    rules = {"<b>bold</b>": {"kind": "error_rate"}}
    results = run_backtests(settings(tmp_path, rules=rules), days=30, now=NOW)
    (tmp_path / "page.html").touch(mode=0o644)
    write_page(tmp_path / "page.html", results, language())
    assert (tmp_path / "page.html").stat().st_mode & 0o077 == 0
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>" not in page
    assert page.count('class="cell"') == STRIP


def test_overrides_add_to_tables_and_keep_the_others():
    tables = {"error_rate": {"window": "1h"}, "user_burst": {}}
    assert overridden(tables, ["error_rate.threshold=5%", "user_burst.errors=7", "new_error.enabled=true"]) == {
        "error_rate": {"window": "1h", "threshold": "5%"},
        "user_burst": {"errors": 7},
        "new_error": {"enabled": True},
    }
    assert tables == {"error_rate": {"window": "1h"}, "user_burst": {}}


def test_overrides_reach_lists_and_keys_of_tables():
    tables = {"feature_down": {"probe": {"url": "http://x/", "failures": 3}}}
    assert overridden(tables, ["feature_down.probe.failures=2", "feature_down.features=chat_*, login"]) == {
        "feature_down": {"probe": {"url": "http://x/", "failures": 2}, "features": ["chat_*", "login"]}
    }
    assert tables == {"feature_down": {"probe": {"url": "http://x/", "failures": 3}}}

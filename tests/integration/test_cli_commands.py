"""The commands on a real database: what they print for people and for programs, and what they leave behind."""

import asyncio
import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import time

import pytest

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.application.root import open_application
from guardian.cli import main
from guardian.core.time import micros
from guardian.settings.loading import load_settings
from tests.support.events import event as made
from tests.support.plain import plain
from tracker.event import Failure
from tracker.pseudonyms import make_key, read_key
from tracker.source import Source
from tracker.sqlite.writer import Writer


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch, no_variables):
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "guardian.toml"
    path.write_text('admins = ["admin@example.com"]\nschedules = ["daily at 08:00"]\n')
    return path


@pytest.fixture
def within(config):
    """Runs `work(app)` on the database, outside the command."""

    def done(work):
        async def opened():
            async with open_application(load_settings(config)) as app:
                return await work(app)

        return asyncio.run(opened())

    return done


@pytest.fixture
def database(within):
    """Two users of the last hour: ann with two requests, bob with one that failed."""
    now = datetime.now(UTC)

    def event(minutes, user, failure=None):
        at = int((now - timedelta(minutes=minutes)).timestamp() * 1_000_000)
        return made(
            at,
            user=user,
            path="/api/chat",
            method="POST",
            feature="chat_message",
            status=413 if failure else 200,
            ms=20,
            failure=failure,
        )

    failure = Failure("HTTP 413", "File too large")
    events = [event(30, "ann@example.com"), event(20, "bob@example.com", failure), event(10, "ann@example.com")]
    within(lambda app: app.repository.write(events))


@pytest.fixture
def guardian(config, capsys):
    """Runs a command with these settings: its exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--config", str(config)])
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


def test_commands_that_read_never_make_an_empty_database(guardian, tmp_path):
    for arguments in (
        ["report"],
        ["preview", "--no-open"],
        ["outbox", "list"],
        ["cleanup"],
        ["users", "export", "a@b.c"],
    ):
        code, out, err = guardian(*arguments)
        assert (code, out) == (1, "")
        assert err.startswith(f"guardian: there is no database {tmp_path}/guardian.db yet: the tracked app makes it")
        assert err.count("\n") == 1
    assert not (tmp_path / "guardian.db").exists()


def test_report_is_a_table_for_people_and_json_for_programs(guardian, database, tmp_path):
    code, out, err = guardian("report", "--hours", "1")
    assert (code, err) == (0, "")
    assert "ann@example.com" in out
    assert "413 File too large" in out
    code, out, _ = guardian("report", "--hours", "1", "--json")
    report = json.loads(out)
    assert (code, report["active_users"], report["total_requests"], report["total_errors"]) == (0, 2, 3, 1)
    assert not (tmp_path / "reports").exists()


def test_report_says_how_the_latency_changed(guardian, within):
    now = datetime.now(UTC)

    def event(hours, ms):
        at = int((now - timedelta(hours=hours)).timestamp() * 1_000_000)
        return made(
            at, user="ann@example.com", path="/chat", method="POST", feature="chat_message", duration_us=ms * 1000
        )

    within(lambda app: app.repository.write([event(5, 100), *(event(1.5, 100) for _ in range(9)), event(0.5, 200)]))
    _, out, _ = guardian("report", "--hours", "1")
    [head] = [line for line in out.splitlines() if "95 % within" in line]
    values, changes = out.splitlines()[out.splitlines().index(head) + 1 :][:2]
    assert (values.split()[-2:], changes.split()[-2:]) == (["200", "ms"], ["+100", "%"])


def test_a_report_that_goes_into_a_pipe_is_cut_nowhere(guardian, within, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    user, now = f"{'long.name.' * 12}ann@example.com", datetime.now(UTC)
    events = [
        made(
            int((now - timedelta(minutes=n + 1)).timestamp() * 1e6), user=user, path=f"/f{n}", feature=f"a_feature_{n}"
        )
        for n in range(20)
    ]
    within(lambda app: app.repository.write(events))
    _, out, _ = guardian("report", "--hours", "1")
    [line] = [line for line in out.splitlines() if user in line]
    assert all(f"a_feature_{n}" in line for n in range(20))
    assert "…" not in out
    assert max(map(len, out.splitlines())) < 1000


def test_report_can_be_saved(guardian, database, tmp_path):
    code, out, err = guardian("report", "--json", "--save")
    path = tmp_path / "reports" / "usage_report.json"
    assert (code, err) == (0, f"Wrote {path}.\n")
    assert json.loads(out) == json.loads(path.read_text())


def test_preview_writes_the_mail_that_would_go_out(guardian, database, tmp_path):
    code, out, err = guardian("preview", "--no-open", "--out", str(tmp_path / "mail"))
    assert (code, err) == (0, "")
    assert out.startswith("Subject: ")
    assert "bob@example.com" in (tmp_path / "mail" / "report.html").read_text()
    assert "bob@example.com" in (tmp_path / "mail" / "report.txt").read_text()
    assert re.search(rb"^Subject: ", (tmp_path / "mail" / "report.eml").read_bytes(), re.M)
    assert guardian("outbox", "list") == (0, "No mails.\n", "")


def test_the_outbox_is_listed_shown_retried_and_dropped(guardian, within):
    async def enqueue(app):
        mail = app.email.compose_test("admin@example.com", key="test/1")
        await app.state.enqueue([mail], now=app.clock())

    within(enqueue)
    [item] = json.loads(guardian("outbox", "list", "--json")[1])
    assert (item["status"], item["kind"], item["recipient"]) == ("pending", "test", "admin@example.com")
    number = str(item["id"])
    assert "admin@example.com" in guardian("outbox", "list")[1]
    assert guardian("outbox", "list", "--status", "dead") == (0, "No mails are dead.\n", "")
    shown = guardian("outbox", "show", number)[1]
    assert "status: pending" in shown
    assert "To: admin@example.com" in shown
    assert json.loads(guardian("outbox", "show", number, "--json")[1])["headers"]["To"] == "admin@example.com"
    assert guardian("outbox", "drop", number) == (0, f"Mail {number} will not be sent.\n", "")
    assert guardian("outbox", "drop", number)[0] == 1
    assert json.loads(guardian("outbox", "list", "--status", "dropped", "--json")[1])[0]["id"] == item["id"]
    assert guardian("outbox", "retry", number) == (0, f"Mail {number} is due now.\n", "")


def test_a_mail_that_is_not_there_is_one_line(guardian, database):
    assert guardian("outbox", "show", "7") == (
        1, "", "guardian: there is no mail 7: 'guardian outbox list' shows those there are\n"
    )  # fmt: skip
    assert guardian("outbox", "retry", "7")[0] == 1


def test_a_person_is_exported_and_erased(guardian, database, tmp_path):
    code, out, _ = guardian("users", "export", "bob@example.com")
    assert (code, "File too large" in out, "ann@example.com" in out) == (0, True, False)
    file = tmp_path / "bob.json"
    assert guardian("users", "export", "bob@example.com", "--out", str(file)) == (0, f"Wrote {file}.\n", "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert guardian("users", "export", "bob@example.com", "--html")[1].startswith("<!doctype html>")
    code, out, _ = guardian("users", "erase", "bob@example.com", "--yes")
    assert code == 0
    assert "Removed: names in the events, their sessions and totals: 1.\n" in out
    assert "Remains: backups that were made before" in out
    for command in (["export", "bob@example.com"], ["erase", "bob@example.com", "--yes"]):
        assert guardian("users", *command) == (1, "", "guardian: nothing is stored about bob@example.com\n")
    report = json.loads(guardian("report", "--hours", "1", "--json")[1])
    assert report["total_requests"] == 3


def test_the_key_of_links_is_renewed_by_a_command(guardian, database):
    code, out, err = guardian("keys", "rotate", "--yes")
    assert (code, err) == (0, "")
    assert out == "Renewed the key of links. Mails that are written from now on have links that work.\n"


def test_the_key_of_pseudonyms_is_renewed_too(guardian, database, config):
    path = load_settings(config).database
    before = make_key(path)
    code, out, err = guardian("keys", "rotate", "--yes")
    assert (code, err) == (0, "")
    assert out.startswith("Renewed the key of pseudonyms: everybody counts as a new person, ")
    assert "Restart the app" in out and "Renewed the key of links." in out
    assert read_key(path) not in (None, before)
    found = json.loads(guardian("check", "--json")[1])["findings"]
    [text] = [each["text"] for each in found if each["subject"] == "privacy"]
    assert "stored by name beside pseudonyms: set pseudonymous=True" in text


def test_cleanup_says_what_went(guardian, database):
    code, out, err = guardian("cleanup")
    assert (code, out, err) == (0, "Deleted 0 events, and 0 mails and reports.\n", "")
    assert json.loads(guardian("cleanup", "--json")[1])["events"] == 0
    assert guardian("cleanup", "--dry-run") == (0, "Would delete 0 events, and 0 mails and reports.\n", "")


def test_check_exits_with_1_only_for_errors(guardian, database, config):
    code, out, _ = guardian("check", "--json")
    findings = json.loads(out)
    assert (code, findings["ok"]) == (0, True)
    assert {each["level"] for each in findings["findings"]} == {"ok", "warning"}
    config.write_text("admin = 1")
    code, out, _ = guardian("check")
    assert code == 1
    assert "admin is not a setting: did you mean admins?" in " ".join(out.split())
    assert out.endswith("\n1 to fix.\n")


def test_send_test_delivers_at_once(guardian, tmp_path):
    code, out, err = guardian("send-test", "someone@example.com")
    assert code == 0, err
    assert "accepted the mail to someone@example.com" in out
    [mail] = (tmp_path / "reports" / "mail").glob("**/*.eml")
    assert b"someone@example.com" in mail.read_bytes()


def test_a_database_that_is_none_is_one_line(guardian, tmp_path):
    (tmp_path / "guardian.db").write_bytes(b"this is not a database" * 100)
    code, out, err = guardian("report")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("guardian: ")


@pytest.mark.parametrize(("columns", "cells"), [(60, 6), (80, 26), (120, 60)])
def test_the_chart_of_a_backtest_stays_on_one_line_of_the_terminal(guardian, database, monkeypatch, columns, cells):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, told, _ = guardian("backtest", "--days", "1")
    lines = told.splitlines()
    charts = [line for line in lines if line.startswith(("error_rate", "feature_down", "user_burst"))]
    [shown] = {len(re.search("·+$", line.rstrip())[0]) for line in charts}
    assert shown in (cells, cells - 1)  # rich before 14.3 makes tables one column narrower
    assert len(charts) == 3
    assert all(len(line) <= columns for line in lines[1:])


def test_a_backtest_prints_why_the_newest_incidents_were(guardian, tmp_path):
    start_us = int(time() - 3 * 3600) * 1_000_000
    boom = Failure("KeyError", "Internal Server Error", "chat.py:118 answer")
    for release, first, last in (("2.4.0", 0, 90), ("2.4.1", 90, 120), ("2.4.0", 120, 170)):
        with closing(Writer(str(tmp_path / "guardian.db"), made_by=Source(release, "web-1"))) as writer:
            writer.write(
                made(
                    start_us + minute * 60_000_000 + n, user=f"u{n}@x.org", method="POST", ms=9,
                    status=500 if release == "2.4.1" else 200, failure=boom if release == "2.4.1" else None,
                )
                for minute in range(first, last)
                for n in range(10)
            )  # fmt: skip
    code, told, _ = guardian("backtest", "--days", "1", "--set", "error_rate.window=10m")
    assert code == 0
    why = "300 of 300 failures are KeyError at chat.py:118; release 2.4.1 has 300 of 300 failures"
    assert re.search(rf"^  \d{{4}}-\d\d-\d\d \d\d:\d\d error_rate: {why}", plain(told), re.MULTILINE)
    [mine] = json.loads(guardian("backtest", "--days", "1", "--json")[1])
    causes = [each["cause"] for each in mine["incidents"] if each["rule"] == "error_rate"]
    assert [[found["value"] for found in cause["found"]] for cause in causes] == [["2.4.1"]]


def test_one_incident_is_shown_with_whom_it_hit(guardian, database, within):
    async def open_one(app):
        now_us = micros(app.clock())
        app_down = Incident("c1", "error_rate", "", "critical", "open", since_us=1, opened_us=now_us)
        state = AlertState(now_us // 60_000_000, {"error_rate": Memory({"": app_down})})
        await app.stores.alerts.commit(state, [], now=app.clock())

    within(open_one)
    told, whom = guardian("alerts", "show", "c1")[1], json.loads(guardian("alerts", "show", "c1", "--json")[1])["whom"]
    first = whom["people"][0]
    assert f"{first['since'].replace('_', ' ')}: {first['name']} ({first['times']})\n" in told
    assert re.search(rf"^whom to tell: {whom['hit']} (person was|people were) hit: ", told, re.MULTILINE)


def test_incidents_are_listed_silenced_marked_as_fixed_and_ended(guardian, within):
    async def open_one(app):
        now_us = micros(app.clock())
        times = {"since_us": now_us, "opened_us": now_us, "told_us": now_us}
        chat = Incident("c1", "feature_down", "chat", "critical", "open", **times)
        state = AlertState(now_us // 60_000_000, {"feature_down": Memory({"chat": chat})})
        await app.stores.alerts.commit(state, [], now=app.clock())

    within(lambda app: app.stores.alerts.load())
    assert guardian("alerts", "list")[1] == "No rule has fired.\n"
    within(open_one)
    assert re.search(r"^c1\s+open\s+chat is down\s+\d{4}-", guardian("alerts", "list")[1], re.MULTILINE)
    assert guardian("alerts", "list")[1].endswith("\nTimes are in UTC.\n")
    assert guardian("alerts", "silence", "c1", "--until", "8h")[1] == "c1 (chat is down) is silenced.\n"
    listed = " ".join(guardian("alerts", "list", "--open")[1].split())
    assert "c1 open, silenced until" in listed
    assert json.loads(guardian("alerts", "list", "--json")[1])[0]["silenced"] is True
    assert guardian("alerts", "fixed")[1] == "c1 (chat is down) is judged by new requests only.\n"
    assert guardian("alerts", "ack", "c1")[1] == "c1 (chat is down) is acknowledged.\n"
    assert "status: acknowledged" in guardian("alerts", "show", "c1")[1]
    assert json.loads(guardian("alerts", "show", "c1", "--json")[1])["cause"] is None
    assert guardian("alerts", "resolve", "c1")[1] == "c1 (chat is down) is over.\n"
    assert guardian("alerts", "list", "--open")[1] == "Nothing fires.\n"
    for command, sentence in (
        (("resolve", "c1"), "the incident 'c1' is over: there is nothing to do"),
        (("show", "c2"), "there is no incident 'c2': 'guardian alerts list' shows those there are"),
    ):
        code, _, told = guardian("alerts", *command)
        assert (code != 0, sentence in told) == (True, True)


def test_link_prints_a_way_in_for_an_admin_and_for_nobody_else(guardian, database):
    code, out, err = guardian("link")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"http://127\.0\.0\.1:8765/sign-in/[\w.-]+\n", out)
    code, out, err = guardian("link", "ann@example.com")
    assert (code, out) == (1, "")
    assert err == 'guardian: "ann@example.com" may not sign in: give an address that admins or dashboard.viewers has\n'

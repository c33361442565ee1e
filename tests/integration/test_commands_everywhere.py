"""Every command, from the parser, on both kinds of database with the same past: it says the same, or one clear sentence
on what cannot be. A new one without a line in COMMANDS fails here."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from pathlib import Path

import pytest

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.application.root import open_application
from guardian.cli import main
from guardian.core.time import micros
from guardian.settings.loading import load_settings
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.unit.test_docs_complete import commands
from tracker.event import Failure

pytestmark = pytest.mark.needs_firestore
NOW = datetime.now(UTC)
SQLITE, FIRESTORE = "sqlite", "firestore"

COMMANDS = {
    "guardian check": [["--json"]],
    "guardian import": [["{folder}/access.log", "--json"], ["{folder}/access.log", "--json"]],
    "guardian report": [["--hours", "2", "--json"], ["--hours", "720"], ["--save"]],
    "guardian preview": [["--no-open", "--out", "{folder}/preview"]],
    "guardian alerts list": [["--json"], []],
    "guardian alerts show": [["ack", "--json"]],
    "guardian alerts ack": [["ack"]],
    "guardian alerts silence": [["silence", "--until", "8h"]],
    "guardian alerts fixed": [["fixed"]],
    "guardian alerts resolve": [["resolve"]],
    "guardian backtest": [["--days", "2", "--json"], ["--days", "1", "--html", "{folder}/page.html"]],
    "guardian outbox list": [["--json"]],
    "guardian outbox show": [["1", "--json"]],
    "guardian outbox retry": [["2"]],
    "guardian outbox drop": [["3"]],
    "guardian send-test": [["you@example.com"]],
    "guardian cleanup": [["--dry-run", "--json"], ["--json"], []],
    "guardian export": [
        ["--table", "feature_usage", "--json"], ["--table", "user_errors", "--json"],
        ["--table", "user_sessions", "--json"], ["--table", "user_errors", "--hours", "1"],
    ],
    "guardian users export": [["bob@example.com"], ["bob@example.com", "--html"]],
    "guardian users erase": [["carl@example.com", "--yes", "--json"], ["carl@example.com", "--yes"]],
    "guardian keys rotate": [["--yes"]],
    "guardian link": [[]],
}  # fmt: skip
"""What is asked of each command, one after the other."""

ELSEWHERE = {
    "guardian init": "writes a settings file, and opens no database",
    "guardian gmail login": "logs in to Google, and opens no database",
    "guardian demo": "tests/integration/test_demo.py",
    "guardian run": "test_the_daemon_begins_answers_and_ends",
    "guardian migrate": "tests/integration/test_cli_migrate.py",
    "guardian backup": "test_a_backup_is_a_file_or_is_googles",
}
"""The others, and where they are tried or why they need not be."""


def test_every_command_has_its_line():
    assert {*COMMANDS, *ELSEWHERE} == set(commands())


def event(minutes, user, status=200):
    failure = Failure("Boom", "no answer", "app.py:3 chat") if status >= 400 else None
    return made(
        NOW - timedelta(minutes=minutes), user=user, path="/api/chat", method="POST", feature="chat_message",
        status=status, ms=20, failure=failure,
    )  # fmt: skip


EVENTS = [
    event(7 * number + 5, f"{('ann', 'bob', 'carl')[number % 3]}@example.com", 500 if number % 5 == 0 else 200)
    for number in range(40, -1, -1)
]


def line(number):
    at = NOW - timedelta(days=3) + timedelta(seconds=number)
    return (
        f'10.9.8.7 - dora@example.com [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET /threads/{number} HTTP/1.1" 200 5 "-" "x"\n'
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each kind of database: settings, a log, and a database in which something has happened."""
    made = {}
    for kind in (SQLITE, FIRESTORE):
        folder = made[kind] = tmp_path_factory.mktemp(kind)
        database = "guardian.db" if kind == SQLITE else address_in(folder)
        (folder / "guardian.toml").write_text(
            f'database = "{database}"\nadmins = ["admin@example.com"]\nschedules = ["daily at 08:00"]\n'
        )
        (folder / "access.log").write_text("".join(map(line, range(30))))
        asyncio.run(filled(folder / "guardian.toml"))
    return made


async def filled(config):
    async with open_application(load_settings(config)) as app:
        await app.repository.write(EVENTS)
        await app.state.enqueue(
            [app.email.compose_test("admin@example.com", key=f"test/{n}") for n in range(3)], now=NOW
        )
        names = ("ack", "silence", "fixed", "resolve")
        at = {"since_us": micros(NOW), "opened_us": micros(NOW), "told_us": micros(NOW)}
        memory = Memory({name: Incident(name, "feature_down", name, "critical", "open", **at) for name in names})
        state = AlertState(micros(NOW) // 60_000_000, {"feature_down": memory})
        await app.stores.alerts.commit(state, [], now=NOW)


def guardian(folder, capsys, path, arguments):
    """What a command says: its exit code, stdout and stderr, without what is another in each database."""
    given = [each.replace("{folder}", str(folder)) for each in arguments]
    with pytest.raises(SystemExit) as ended:
        main([*path.split()[1:], *given, "--config", str(folder / "guardian.toml")])
    told = capsys.readouterr()
    database = str(load_settings(folder / "guardian.toml").database)
    return ended.value.code, *(scrubbed(text, folder, database) for text in (told.out, told.err))


def scrubbed(text, folder, database):
    for pattern, word in (
        (re.escape(database), "DATABASE"), (re.escape(str(folder)), "FOLDER"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00)?", "TIME"), (r'"seconds": [\d.]+', "TOOK"),
        (r'"size_bytes": \d+', "SIZE"),
        (r"<tr><td>\d+</td>", "<tr><td>ID</td>"), (r"\w+, \d+ \w+ \d{4} \d\d:\d\d:\d\d \+0000", "TIME"),
        (r'"id": "\d+"', "ID"), (r'"created_at": "TIME"', "CREATED"), (r"(?m)^\d+,", "ID,"),
        (r", [\d.,]+ MB", ""), (r"\d+ s ago", "AGO"), (r"[\w.~+/=-]{24,}", "SECRET"),
    ):  # fmt: skip
        text = re.sub(pattern, word, text)
    return text


def findings(out):
    """What `guardian check` found, without what there is to say of a file alone."""
    found = json.loads(out)["findings"]
    return [each for each in found if "come in a day" not in each["text"] and "everybody may" not in each["text"]]


@pytest.fixture
def still(monkeypatch):
    """What commands take for the time stands still, so that both kinds are asked at the same one."""
    later = NOW + timedelta(minutes=1)
    monkeypatch.setitem(open_application.__wrapped__.__kwdefaults__, "clock", lambda: later)
    monkeypatch.setattr("guardian.core.time.utc_now", lambda: later)


@pytest.mark.parametrize("path", list(COMMANDS))
def test_it_says_the_same_on_firestore(folders, capsys, monkeypatch, no_variables, still, path):
    monkeypatch.setenv("COLUMNS", "160")
    for arguments in COMMANDS[path]:
        here = guardian(folders[SQLITE], capsys, path, arguments)
        there = guardian(folders[FIRESTORE], capsys, path, arguments)
        if path == "guardian check":
            here, there = ((code, findings(out), err) for code, out, err in (here, there))
        if "user_sessions" in arguments:  # they come in no order
            here, there = in_order(here), in_order(there)
        assert list(differences(here, there)) == []
        assert here[0] == 0 or arguments == COMMANDS["guardian users erase"][-1]


def in_order(answer):
    """The same with its lines in order."""
    code, out, err = answer
    return code, sorted(line.rstrip(",") for line in out.splitlines()), err


def differences(here, there):
    """What two answers do not have in common, line by line."""
    texts = ([str(each) for each in answer[1]] if isinstance(answer[1], list) else answer[1].splitlines()
             for answer in (here, there))  # fmt: skip
    yield from unified_diff(*texts, lineterm="", n=0)
    if here[0::2] != there[0::2]:
        yield f"{here[0::2]} != {there[0::2]}"


def test_a_backup_is_a_file_or_is_googles(folders, capsys, no_variables):
    code, out, err = guardian(folders[SQLITE], capsys, "guardian backup", ["{folder}/copy.db"])
    assert (code, out.startswith("Wrote FOLDER/copy.db"), err) == (0, True, "")
    code, out, err = guardian(folders[FIRESTORE], capsys, "guardian backup", ["{folder}/copy.db"])
    assert (code, out) == (1, "")
    assert err == (
        "guardian: DATABASE is no file that can be copied: run gcloud firestore export, or turn its backups on\n"
    )
    assert not (folders[FIRESTORE] / "copy.db").exists()


PATIENT = """
import sys, guardian.web.daemon
from guardian.cli import main
guardian.web.daemon.STOP_SECONDS = 60
main(sys.argv[1:])
"""
"""Runs a command whose stop may take as long as the machine needs."""


@pytest.mark.parametrize("kind", [SQLITE, FIRESTORE])
def test_the_daemon_begins_answers_and_ends(folders, kind):
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT, "run", "--config", str(folders[kind] / "guardian.toml")],
        env={**environment, "PYTHONPATH": root, "GUARDIAN_API__PORT": str(port)},
        cwd=folders[kind], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert until(lambda: answer(f"http://127.0.0.1:{port}/api/usage/health")) == 200
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "Traceback" not in said
    finally:
        process.kill()


def answer(url):
    """The status of an answer; None where nobody answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=60) as found:
            return found.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None

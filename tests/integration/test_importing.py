"""`guardian import`: the past out of access logs, once, and without what is private."""

import gzip
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from guardian.application.importing.run import Wanted, import_into
from guardian.cli import app
from guardian.core.time import micros
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event as made
from tracker.event import NOT_MEASURED, Failure

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = NOW.timestamp() // 60


def line(number, *, user="frank@example.com", target="/api/threads/{}?q=zzq", status=200, tail=""):
    at = NOW - timedelta(minutes=90) + timedelta(seconds=number)
    asked = f"GET {target.format(number)} HTTP/1.1"
    return f'10.9.8.7 - {user} [{at:%d/%b/%Y:%H:%M:%S +0000}] "{asked}" {status} 5 "-" "zzqAgent"{tail}\n'


@pytest.fixture
def database(tmp_path):
    return tmp_path / "guardian.db"


def import_text(database, *texts, dry_run=False, **wanted):
    files = []
    for number, text in enumerate(texts):
        file = database.parent / f"{number}.log"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        files.append(str(file))
    made = Wanted(files=files, zone=UTC, now_us=micros(NOW), **wanted)
    return import_into(backend(database), made, lambda *_: None, lambda: None, dry_run=dry_run)


def rows(database, sql="SELECT endpoint, user_email, status_code FROM feature_usage ORDER BY id"):
    db = sqlite3.connect(database)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_what_was_imported_is_in_the_report_tables_and_nothing_private_in_the_file(database):
    outcome = import_text(database, line(1), line(2, user="-", status=500) + "garbage zzqSecret\n")
    assert (outcome.imported, outcome.bad, outcome.anonymous) == (2, 1, 1)
    assert rows(database) == [("/api/threads/{id}", "frank@example.com", 200), ("/api/threads/{id}", "anonymous", 500)]
    for file in database.parent.glob("guardian.db*"):
        kept = file.read_bytes()
        assert b"zzq" not in kept
        assert b"10.9.8.7" not in kept
    assert "zzq" not in json.dumps(outcome.as_json(), default=str)


def test_the_same_file_twice_a_grown_one_and_overlapping_ones_add_nothing_twice(database):
    whole = [line(number) for number in range(10)]
    assert import_text(database, "".join(whole[:6])).imported == 6
    assert import_text(database, "".join(whole[:6])).known == 6
    assert import_text(database, "".join(whole[3:]), gzip.compress("".join(whole).encode())).imported == 4
    assert len(rows(database)) == 10


def test_two_equal_lines_of_one_file_are_two_requests(database):
    assert import_text(database, line(1) * 2).imported == 2
    assert import_text(database, line(1) * 3).imported == 1


def test_a_dry_run_makes_no_database(database):
    assert import_text(database, line(1), dry_run=True).imported == 1
    assert not database.exists()


async def test_an_unknown_duration_counts_in_no_latency(database):
    import asyncio

    await asyncio.to_thread(import_text, database, line(1) + line(2, tail=" 0.200"))
    store = await backend(database).open_events(NO_BOOK)
    try:
        summary = await store.summary(NOW - timedelta(hours=3), NOW)
        [event, _] = [event async for chunk in store.events(NOW - timedelta(hours=3), NOW) for event in chunk]
    finally:
        await store.close()
    [route] = summary.routes.values()
    assert sum(route.durations.values()) == 1
    assert route.requests == 2
    assert event.latency_us == NOT_MEASURED


def test_what_the_app_recorded_itself_is_not_imported_again_and_alerts_see_that_alone(database):
    import asyncio

    own = made(
        NOW - timedelta(minutes=89), user="frank@example.com", feature="a", status=500, duration_us=1,
        failure=Failure("E", "", ""),
    )  # fmt: skip

    async def record():
        store = await backend(database).open_events(NO_BOOK)
        await store.write([own])
        await store.close()

    asyncio.run(record())
    outcome = import_text(database, line(1, status=500) + line(59, status=500) + line(60) + line(70))
    assert (outcome.imported, outcome.recorded) == (2, 2)
    past = backend(database).history(NO_BOOK)
    first, end = int(MINUTE) - 120, int(MINUTE)
    assert past.read(first, end, single_events=7200).counts.requests(first, end) == 3
    live = past.read(first, end, single_events=7200, imported=False)
    assert live.counts.requests(first, end) == 1
    assert len(live.columns) == 1
    assert past.grown(live, end, keep=120, single_events=7200).counts.requests(first, end) == 1


def test_a_name_that_was_refused_is_nobody(database):
    import_text(database, line(1, status=401, target="/me") + line(2, user=r"a\x40b.example"))
    assert rows(database, "SELECT DISTINCT user_email FROM feature_usage ORDER BY 1") == [
        ("a@b.example",),
        ("anonymous",),
    ]


def test_the_command_says_what_became_what_and_which_lines_could_not_be_read(tmp_path):
    (tmp_path / "guardian.toml").write_text('database = "guardian.db"\nadmins = ["a@example.com"]\n')
    (tmp_path / "access.log").write_text(line(1) + "zzq\n")
    arguments = ["import", str(tmp_path / "*.log"), "--config", str(tmp_path / "guardian.toml")]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert "Imported 1 requests of 2 lines" in said.stdout
    assert "/api/threads/{id}" in said.stdout
    assert "access.log, line 2: the line does not have the fields of this format" in said.stdout
    assert "zzq" not in said.stdout
    again = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert (again["imported"], again["known"], again["bad"]) == (0, 1, 1)


def test_templates_of_the_settings_name_routes_before_those_of_the_command(tmp_path):
    (tmp_path / "guardian.toml").write_text(
        'database = "guardian.db"\nadmins = ["a@example.com"]\nimport_routes = ["/users/{name}"]\n'
    )
    (tmp_path / "access.log").write_text(line(1, target="/users/alice") + line(2, target="/teams/blue"))
    arguments = ["import", str(tmp_path / "access.log"), "--config", str(tmp_path / "guardian.toml"), "--json"]
    made = json.loads(CliRunner().invoke(app, [*arguments, "--route", "/teams/{team}"]).stdout)
    assert {each["route"] for each in made["routes"]} == {"/users/{name}", "/teams/{team}"}


@pytest.mark.parametrize("route", ["users/{name}", "/users/[0-9]+"])
def test_a_template_of_the_settings_that_is_none_is_refused(tmp_path, route):
    (tmp_path / "guardian.toml").write_text(f'admins = ["a@example.com"]\nimport_routes = ["{route}"]\n')
    (tmp_path / "access.log").write_text(line(1))
    said = CliRunner().invoke(app, ["import", str(tmp_path / "access.log"), "-c", str(tmp_path / "guardian.toml")])
    assert said.exit_code != 0
    assert "guardian.toml line 2: import_routes" in str(said.exception) or "import_routes" in said.output

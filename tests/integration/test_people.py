"""People behind ids, from the settings file to reports, alerts, commands and erasure."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.check.checkup import check_up
from guardian.application.erasing import erase_person
from guardian.application.judging.live import LiveHistory, judge_passed_minutes, surroundings
from guardian.application.root import open_application
from guardian.cli import main
from guardian.core.mentions import Mention
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.settings.loading import load_settings
from tests.support.events import event as made
from tracker.event import Failure

NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
ADA, BOB = "ada@example.com", "bob@example.com"
FAILED = Failure("HTTP 500", "Internal Server Error")
TEXT = """
admins = ["admin@example.com"]
schedules = ["daily at 08:00"]
[alias]
csv = "people.csv"
[rules.user_burst]
"""

pytestmark = pytest.mark.usefixtures("no_variables")


def event(seconds_ago, user, failure=None, now=NOW):
    at = now - timedelta(seconds=seconds_ago)
    return made(at, user=user, method="POST", status=500 if failure else 200, ms=20, failure=failure)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "guardian.toml"
    path.write_text(TEXT)
    (tmp_path / "people.csv").write_text(f"id,email\nauth0|5f7c,{ADA}\n8c1f-2,{ADA}\n77,{BOB}\n")
    return path


@pytest.fixture
async def app(config):
    async with open_application(load_settings(config), clock=lambda: NOW) as opened:
        yield opened


async def test_five_errors_over_two_ids_are_one_persons_burst(app):
    ids = ["auth0|5f7c", "8c1f-2", ADA, "auth0|5f7c", "8c1f-2"]
    await app.repository.write([event(60 + 100 * n, user, FAILED) for n, user in enumerate(ids)])
    around, told = surroundings(app.settings), []

    def compose(notice, snapshot):
        told.extend(snapshot.users(3600))
        return [Outgoing(f"incident/{notice.thread}/x/a@x.org", "a@x.org", b"", "alert")], {"": "subject"}

    live = LiveHistory(app.stores.history, around.rules)
    changes = await judge_passed_minutes(app.stores.alerts, live, around, compose, now=NOW, token=None)
    assert [(each.change, each.incident.subject) for each in changes] == [("opened", ADA)]
    assert told == [ADA]


def alias_notes(report):
    return [note for note in report["notes"] if note["kind"] == "alias"]


async def test_a_report_names_a_person_once_and_a_changed_file_counts_at_once(app, config):
    await app.repository.write([event(60, "auth0|5f7c"), event(90, "8c1f-2", FAILED), event(120, ADA), event(9, "x")])
    report = await app.usage.generate_report(2)
    assert report["active_users"] == 2
    assert {u["email"]: (u["requests_count"], u["errors_count"]) for u in report["users"]} == {ADA: (3, 1), "x": (1, 0)}
    assert alias_notes(report) == []
    (config.parent / "people.csv").write_text(f"auth0|5f7c,{ADA}\nx,{BOB}\n")
    report = await app.usage.generate_report(2)
    assert {user["email"] for user in report["users"]} == {ADA, "8c1f-2", BOB}


async def test_a_report_whose_names_cannot_be_read_goes_out_with_the_last_ones_and_says_so(app, config):
    await app.repository.write([event(60, "auth0|5f7c")])
    await app.usage.generate_report(2)
    (config.parent / "people.csv").unlink()
    report = await app.usage.generate_report(2)
    assert [user["email"] for user in report["users"]] == [ADA]
    assert alias_notes(report) == [
        {
            "kind": "alias",
            "count": 1,
            "text": f"ids may stand in place of names, since {config.parent}/people.csv is not there",
            "cure": "write it, or correct alias.csv",
        }
    ]


async def test_an_erased_address_leaves_with_all_ids_that_mails_and_reports_name(app):
    def body(name):
        return f"Content-Type: text/plain\r\n\r\n{name} met an error".encode()

    to = "admin@example.com"
    mails = [
        Outgoing(f"k{n}", to, body(name), "alert", people=(Mention(name, "0", 0, len(name)),))
        for n, name in enumerate([ADA, "auth0|5f7c", "8c1f-2", BOB])
    ]
    await app.state.enqueue(mails, now=NOW)
    await app.repository.write([event(60, "auth0|5f7c"), event(90, "8c1f-2"), event(100, "77")])
    await app.usage.generate_and_save_report(2)
    receipt = await erase_person(app, " Ada@Example.com")
    assert (receipt.names, receipt.forgotten.mails, receipt.files) == (2, 3, 1)
    kept = [item.message.body.partition(b"\r\n\r\n")[2] for item in await app.state.outbox()]
    assert [body.decode().split()[0] for body in kept] == [BOB, *["(erased)"] * 3]
    assert {name for name, _ in await app.repository.names()} == {"77"}
    saved = (app.settings.reports_dir / "usage_report.json").read_text()
    assert ADA not in saved
    assert BOB in saved
    assert await erase_person(app, ADA) is None


async def test_nobody_is_erased_half_while_the_ids_are_not_known(app, config):
    (config.parent / "people.csv").unlink()
    await app.repository.write([event(60, "auth0|5f7c")])
    with pytest.raises(StorageError, match="not all ids of a person are known"):
        await erase_person(app, ADA)


def test_the_commands_take_an_address_or_an_id(config, capsys):
    now = datetime.now(UTC)

    async def write():
        async with open_application(load_settings(config)) as app:
            await app.repository.write([event(60, "auth0|5f7c", now=now), event(90, ADA, FAILED, now=now)])

    asyncio.run(write())

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--config", str(config)])
        assert ended.value.code == 0
        return capsys.readouterr().out

    report = json.loads(run("report", "--hours", "1", "--json"))
    assert [(user["email"], user["requests_count"]) for user in report["users"]] == [(ADA, 2)]
    assert len(json.loads(run("users", "export", "auth0|5f7c"))["feature_usage"]) == 2
    assert run("users", "erase", ADA, "--yes").startswith(f"Erased {ADA}")
    [user] = json.loads(run("report", "--hours", "1", "--json"))["users"]
    assert user["requests_count"] == 2
    assert user["email"].startswith("erased-")


@pytest.mark.parametrize(
    ("rows", "seen", "found"),
    [
        ("a,ada@example.com\nb,ada@example.com", [], [("ok", "people.csv names 2 ids of 1 person")]),
        (
            "a,ada@example.com",
            ["a", "b", "c", ADA, "anonymous"],
            [("ok", "people.csv names 1 id of 1 person; of the ids that used the app 1 is known and 2 are not")],
        ),
        (
            "x,ada@example.com",
            ["a"],
            [
                (
                    "warning",
                    "people.csv names 1 id of 1 person; of the ids that used the app 0 are known and 1 is not: let the "
                    "source give ids as the tracker records them",
                )
            ],
        ),
        (
            "a,ada@example.com\na,bob@example.com\nb\n",
            ["c@example.com"],
            [
                ("ok", "people.csv names 0 ids of 0 people"),
                ("warning", "people.csv: 1 id stands for two addresses and is shown as it is: keep one row"),
                (
                    "warning",
                    "people.csv: 1 row is no id and address, each a text of 1 to 320 characters: correct or remove "
                    "them",
                ),
            ],
        ),
        (
            None,
            ["a"],
            [
                (
                    "error",
                    "ids are shown in place of names, since people.csv is not there: write it, or correct alias.csv",
                )
            ],
        ),
    ],
    ids=["none seen", "some known", "none known", "bad rows", "no file"],
)
async def test_check_says_how_many_ids_are_known(config, rows, seen, found):
    path = config.parent / "people.csv"
    path.unlink() if rows is None else path.write_text(rows)
    if seen:
        async with open_application(load_settings(config)) as app:
            await app.repository.write([event(60, user) for user in seen])
    said = [f for f in await check_up(config, clock=lambda: NOW) if f.subject == "people"]
    assert [(each.level, each.text.replace(f"{config.parent}/", "")) for each in said] == found

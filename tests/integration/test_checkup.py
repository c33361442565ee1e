"""`guardian check`: what it says of settings, real databases and a real mail server."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from guardian.application.check.checkup import check_running, check_up
from guardian.application.root import open_application
from guardian.core.language import language
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.settings.schema import Settings
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event as made
from tests.support.mail_servers import serving
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


class Server:
    """Keeps whom mail was for."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture
def server():
    with serving(Server()) as handler:
        yield handler


pytestmark = pytest.mark.usefixtures("no_variables")


@pytest.fixture
def look(tmp_path):
    """What `check_up` finds for settings of this text: {subject: [(level, text)]}."""

    async def looked(text, **more):
        path = tmp_path / "guardian.toml"
        path.write_text(text)
        path.chmod(0o600)
        found = {}
        for each in await check_up(path, clock=lambda: NOW, **more):
            found.setdefault(each.subject, []).append((each.level, each.text.replace(f"{tmp_path}/", "")))
        return found

    return looked


async def test_settings_that_are_wrong_are_all_named_and_nothing_else_is_tried(look):
    assert await look("admin = 1\ntimezone = 2") == {
        "settings": [
            ("error", "guardian.toml line 1: admin is not a setting: did you mean admins?"),
            ("error", "guardian.toml line 2: timezone = 2 is not a text in quotes"),
        ]
    }


async def test_a_fresh_start_says_what_is_still_to_do(look, tmp_path):
    found = await look('timezone = "Europe/Zurich"')
    assert found == {
        "settings": [("ok", "every key is known and valid")],
        "admins": [("error", 'nobody gets mail: set admins = ["you@example.com"]')],
        "schedule": [("warning", 'no report goes out by itself: set schedules = ["daily at 08:00"]')],
        "clock": [("ok", "Monday 2 March 2026, 13:30 in Europe/Zurich")],
        "reports": [("ok", "go to reports")],
        "api": [
            ("warning", "admins cannot call it, because no key is configured: set api.jwt_key_file or api.jwks"),
            ("ok", "no scheduler outside may call it, since api.scheduler_token is not set"),
        ],
        "mail": [
            ("warning", "no mail leaves this machine: mails become files in reports/mail until gmail or smtp is set")
        ],
        "links": [
            (
                "warning",
                "the buttons and links of mails lead to http://127.0.0.1:8765, which only this machine can open: "
                "set public_url to where people reach Guardian over HTTPS",
            )
        ],
        "database": [
            (
                "warning",
                f"guardian.db does not exist yet: it appears when the app with UsageTrackingMiddleware(database="
                f"'{tmp_path}/guardian.db') or 'guardian run' starts".replace(f"{tmp_path}/", ""),
            )
        ],
    }
    assert not (tmp_path / "guardian.db").exists()


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ('public_url = "http://guardian.example.com"', [(
            "warning",
            "the buttons and links of mails lead to http://guardian.example.com, without encryption: "
            "set public_url to where people reach Guardian over HTTPS",
        )]),
        ('public_url = "https://guardian.example.com"',
         [("ok", "of mails lead to https://guardian.example.com")]),
        ("[api]\nenabled = false", None),
    ],
)  # fmt: skip
async def test_links_of_mails_that_lead_nowhere_are_named(look, table, found):
    assert (await look(table)).get("links") == found


async def test_the_next_reports_are_said_before_there_is_a_database(look):
    found = await look('admins = ["a@example.com"]\nschedules = ["daily at 08:00 Europe/Zurich"]')
    assert found["database"][0][0] == "warning"
    assert found["schedule"][0][1].startswith("daily at 08:00 Europe/Zurich: next report goes out 2026-03-03 08:00, ")


async def test_a_key_set_that_cannot_be_read_and_an_open_port_are_named(look):
    found = await look('[api]\njwks = "keys.json"\nhost = "0.0.0.0"')
    assert found["api"][0] == ("error", "the key set keys.json cannot be read: check api.jwks")
    assert found["api"][-1] == (
        "warning",
        "listens on 0.0.0.0:8765, without encryption: let only a proxy that speaks HTTPS reach it",
    )


async def test_a_mail_that_cannot_be_delivered_is_said_with_its_reason(look, tmp_path):
    async with open_application(Settings(database=tmp_path / "guardian.db"), clock=lambda: NOW) as app:
        for number, why in enumerate(("it cannot be written: one", "it cannot be written: two"), start=1):
            lost = Outgoing(f"k/{number}", f"{number}@example.com", b"", unwritten=why)
            await app.state.enqueue([lost], now=NOW)
            found = (await look('admins = ["a@corp.ch"]'))["mail"][-1]
            count = "a mail could not be delivered," if number == 1 else "2 mails could not be delivered, the last"
            cure = "see 'guardian outbox list --status dead'"
            assert found == ("warning", f"{count} to {number}@example.com: {why}; {cure}")


async def test_a_running_app_and_a_next_report_are_said(look, tmp_path):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - timedelta(seconds=42))])
    await repository.close()
    found = await look('admins = ["a@example.com"]\nschedules = ["daily at 08:00 Europe/Zurich"]')
    assert found["database"][0][0] == "ok"
    assert found["database"][0][1].startswith("guardian.db: 1 request of 1 user, ")
    assert found["tracker"] == [("ok", "last sign of life 42 s ago")]
    assert found["critical_features"][0][1].startswith("critical_features match nothing: 'chat_*' is no feature ")
    assert found["schedule"] == [
        (
            "ok",
            "daily at 08:00 Europe/Zurich: next report goes out 2026-03-03 08:00, "
            "covering 2026-03-02 00:00 to 2026-03-03 00:00, to 1 recipient",
        )
    ]


@pytest.mark.parametrize(
    "age, subject, expected",
    [
        (timedelta(hours=2), "tracker", ("warning", "silent since 2026-03-02 10:30 UTC: is the app running, and on")),
        (timedelta(hours=-2), "clock", ("error", "the newest sign of life, 2026-03-02 14:30 UTC, lies in the future")),
    ],
)
async def test_a_silent_tracker_and_a_wrong_clock_are_seen(look, tmp_path, age, subject, expected):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - age)])
    await repository.close()
    level, text = (await look("admins = ['a@example.com']"))[subject][-1]
    assert (level, text[: len(expected[1])]) == expected


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(days=3), timedelta(days=230 * 365)], ids=str)
async def test_a_heartbeat_of_the_future_is_no_sign_of_life(look, tmp_path, ahead):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - timedelta(hours=2))])
    await repository.close()
    recorders(tmp_path / "guardian.db", ("host/1", -ahead.total_seconds(), 5, 5, 0))
    found = await look("admins = ['a@example.com']")
    assert found["tracker"][0][1].startswith("silent since 2026-03-02 10:30 UTC: is the app running")
    at = f"{NOW + ahead:%Y-%m-%d %H:%M}"
    assert found["clock"][-1] == (
        "error",
        f"the newest sign of life, {at} UTC, lies in the future: 1 heartbeat and 0 requests of such a time do not "
        "count; set the clocks of both machines, preferably by NTP",
    )


async def test_events_that_a_clock_once_noted_for_the_future_are_said_beside_the_signs_of_life(look, tmp_path):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - timedelta(seconds=42)), event(NOW + timedelta(days=3))])
    await repository.close()
    found = await look("admins = ['a@example.com']")
    assert found["tracker"] == [("ok", "last sign of life 42 s ago")]
    assert found["clock"][-1][0] == "warning"
    assert "0 heartbeats and 1 request of such a time do not count" in found["clock"][-1][1]


def recorders(path, *rows):
    """What recorders last said: (process, seconds ago, accepted, stored, dropped)."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name, ago, *numbers in rows:
            seen = int((NOW - timedelta(seconds=ago)).timestamp() * 1e6)
            names = "id, started_us, seen_us, accepted, stored, dropped, version"
            values = (name, seen, seen, *numbers, "0.2.0")
            db.execute(f"INSERT INTO guardian_recorder ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)


async def test_where_the_events_of_each_process_are_is_said_with_the_cure(look, tmp_path):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - timedelta(seconds=42))])
    await repository.close()
    rows = [("good", 3, 7, 6, 0), ("lossy", 4, 1204, 1200, 4), ("killed", 500, 9, 6, 0), ("old", 90_000, 5, 5, 0)]
    recorders(tmp_path / "guardian.db", *rows)
    found = await look("admins = ['a@example.com']")
    assert found["tracker"] == [
        ("ok", "last sign of life 3 s ago"),
        (
            "warning",
            "the process lossy: 1,204 accepted = 1,200 stored + 4 dropped + 0 queued; 4 requests were lost, since the "
            "buffer was full or the database could not be written to: see its log",
        ),
        (
            "warning",
            "the process killed: 9 accepted = 6 stored + 0 dropped + 3 queued; silent since 2026-03-02 12:21 UTC, so "
            "what it had queued is lost: stop the app by SIGTERM, not by kill -9",
        ),
        ("ok", "the process good: 7 accepted = 6 stored + 0 dropped + 1 queued"),
    ]


async def test_a_database_in_which_nothing_was_ever_recorded_is_named_and_where_the_app_records(look, tmp_path):
    await (await SqliteRepository.open(tmp_path / "guardian.db")).close()
    writer = Writer(str(tmp_path / "other.db"))
    try:
        recorders(tmp_path / "other.db", ("p1", 3, 0, 0, 0))
        there = await look("admins = ['a@example.com']")
        elsewhere = (
            "warning",
            "The app records into another file: other.db. "
            "Name the same file in the app and in Guardian's settings (database).",
        )
        assert there["tracker"] == [
            (
                "warning",
                "No request has ever been recorded in guardian.db. "
                "Add UsageTrackingMiddleware to the app, with this database, and use the app once.",
            ),
            elsewhere,
        ]
        missing = await look("admins = ['a@example.com']\ndatabase = 'none.db'")
        assert missing["tracker"][0] == elsewhere
    finally:
        writer.close()


async def test_anonymous_requests_and_refused_tokens_are_said(look, tmp_path):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - timedelta(seconds=n))._replace(user="anonymous") for n in range(1204)])
    await repository.close()
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
        seen, reason = int(NOW.timestamp() * 1e6), "the token is for the audience 'account'"
        db.execute("INSERT INTO guardian_recorder_note VALUES ('p1', 'token_refused', ?, 212, ?)", (reason, seen))
    found = await look("admins = ['a@example.com']\ncritical_features = ['chat']")
    assert "critical_features" not in found
    assert [text for level, text in found["tracker"] if level == "warning"] == [
        "All 1,204 requests are anonymous. "
        "Say who the user is: note_user(request, user) in the app, or jwt_key and the like; see docs/tracker.md.",
        "212 bearer tokens were refused: they are for the audience `account`. Set jwt_audience, if it is your app's.",
    ]


async def test_names_of_features_that_were_never_used_are_named(look, tmp_path):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW)._replace(feature="chat_message")])
    await repository.close()
    rule = '[rules.down]\nkind = "feature_down"\nfeatures = ["chat_mesage", "chat_*"]\n'
    found = await look(f"admins = ['a@example.com']\ncritical_features = []\n{rule}")
    sentence = (
        "rules.down.features has 'chat_mesage', which is no feature that was ever used: did you mean 'chat_message'?"
    )
    assert found["features"] == [("warning", sentence)]


async def test_a_file_that_is_no_database_is_one_sentence(look, tmp_path):
    (tmp_path / "guardian.db").write_bytes(b"this is not a database" * 100)
    (tmp_path / "guardian.db").chmod(0o600)
    found = await look("admins = ['a@example.com']")
    [(level, text)] = found["database"]
    assert level == "error"
    assert "\n" not in text
    with pytest.raises(StorageError):
        await SqliteRepository.open(tmp_path / "guardian.db")


@pytest.mark.parametrize(
    "address", ["you@example.com", "me@Example.ORG", "a@mail.example.net", "a@b.test", "a@x.invalid", "a@corp.example"]
)
async def test_a_placeholder_among_the_admins_is_named_and_the_others_are_fine(look, address):
    text = f"{address} is a placeholder, where no mail arrives: write the real address into admins"
    assert (await look(f'admins = ["{address}"]'))["admins"] == [("warning", text)]
    found = await look(f'admins = ["{address}", "ann@corp.ch", "bob@myexample.com"]')
    assert found["admins"] == [("ok", "ann@corp.ch, bob@myexample.com"), ("warning", text)]


async def test_a_placeholder_is_named_wherever_it_stands(look):
    found = await look(
        'admins = ["ann@corp.ch"]\nschedules = [{when = "2h", recipients = ["x@example.com"]}]\n'
        '[alerts]\nsupport_email = "help@corp.test"\n[mail]\nsender = "Guardian <guardian@example.com>"\n'
        'smtp = "smtp://127.0.0.1:1?security=none"'
    )
    said = [text.partition(": ")[2] for texts in found.values() for _, text in texts if "placeholder" in text]
    assert sorted(said) == [
        "write the real address into alerts.support_email",
        "write the real address into mail.sender",
        "write the real address into schedules[0]",
    ]


async def test_a_database_that_can_never_be_made_is_an_error_with_the_cure(look):
    found = await look('database = "no/such/guardian.db"')
    assert found["database"] == [(
        "error",
        "no/such/guardian.db does not exist and cannot be made: the folder no does not exist: make it, or name another "
        "file",
    )]  # fmt: skip


async def test_a_test_mail_reaches_each_admin_before_there_is_a_database(look, server):
    found = await look(
        f'admins = ["a@example.com", "b@example.com"]\n[mail]\nsmtp = "smtp://127.0.0.1:{server.port}?security=none"',
        send_test=True,
    )
    assert [level for level, _ in found["test mail"]] == ["ok", "ok"]
    assert sorted(server.mails) == ["a@example.com", "b@example.com"]


def event(at):
    return made(at, user="ann@example.com", method="POST")


async def test_a_schedule_says_what_is_special_about_it_and_that_its_requests_are_deleted_too_soon(look, tmp_path):
    await (await SqliteRepository.open(tmp_path / "guardian.db")).close()
    found = await look(
        'admins = ["a@example.com"]\n'
        'schedules = [{when = "2h", name = "chat", features = ["chat_*"], sections = ["summary", "users"], '
        'format = "text", language = "fr"}, {when = "monthly 1 09:00", name = "month", features = ["chat_*"]}]\n'
        "[retention]\nevents_days = 7"
    )
    (level, chat), (worse, month) = found["schedule"]
    assert level == "ok"
    assert chat.endswith(
        "to 1 recipient, only the features chat_*, with summary, users, as plain text, in the language fr"
    )
    assert worse == "error"
    assert month.endswith("set retention.events_days above 32, or leave features out")


async def test_how_the_database_grows_and_when_its_disk_is_full_is_said(look, tmp_path, monkeypatch):
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(NOW - timedelta(hours=hours)) for hours in range(1, 21)])
    await repository.close()
    free = SimpleNamespace(free=80_000_000_000)
    monkeypatch.setattr("guardian.application.check.database.shutil.disk_usage", lambda _: free)
    found = (await look('admins = ["a@example.com"]'))["database"]
    level, text = found[1]
    assert level == "ok"
    assert re.fullmatch(
        r"0\.\d MB come in a day, and 80 GB are free; retention \(90 days\) holds the file at .+ MB", text
    )
    free.free = 1_000_000
    level, text = (await look('admins = ["a@example.com"]'))["database"][1]
    assert level == "warning"
    assert re.search(r"are free: the disk is full in \d+ days?; make room, or lower retention.events_days$", text)


async def test_a_foreign_reader_that_holds_up_the_log_is_named(look, tmp_path, monkeypatch):
    monkeypatch.setattr("guardian.application.check.database.UNMERGED_MOST", 200_000)
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as foreign:
        foreign.execute("BEGIN")
        foreign.execute("SELECT count(*) FROM guardian_request").fetchone()
        for minute in range(60):
            await repository.write([event(NOW - timedelta(minutes=minute, seconds=n / 100)) for n in range(300)])
        found = (await look('admins = ["a@example.com"]'))["database"]
    await repository.close()
    [text] = [text for level, text in found if level == "warning"]
    assert re.match(r"\d+ MB wait in guardian\.db-wal, since another program reads the database and does not end", text)


async def test_a_reader_of_french_is_told_everything_in_french(tmp_path):
    database = tmp_path / "guardian.db"
    repository = await SqliteRepository.open(database)
    await repository.write([event(NOW - timedelta(hours=hours)) for hours in range(1, 41)])
    await repository.close()
    settings = Settings(
        database=database, reports_dir=tmp_path / "reports", admins=("you@example.com",),
        schedules=["every 2h", {"when": "monthly 1 09:00", "features": ["nowhere"], "format": "text"}],
        retention={"events_days": 7}, api={"host": "0.0.0.0"}, rules={"feature_down": {"features": ["chatt"]}},
        mail={"directory": tmp_path / "mail"},
    )  # fmt: skip
    async with open_application(settings, clock=lambda: NOW) as app:
        english, french = await check_running(app), await check_running(app, language("fr"))
    assert [(each.subject, each.level) for each in english] == [(each.subject, each.level) for each in french]
    assert len(english) > 12
    same = [one.text for one, other in zip(english, french, strict=True) if one.text == other.text]
    assert same == []
    words = re.compile(r"\b(the|which|with|and|not|is|are|set|of)\b")
    assert [each.text for each in french if words.search(each.text.replace(str(tmp_path), ""))] == []

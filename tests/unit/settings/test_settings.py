"""The settings file: five lines are enough, the environment comes first, and all that is wrong is said at once."""

import json
import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from guardian.mail.message import Content, build_message
from guardian.mail.transports import build_transports
from guardian.settings.loading import SettingsError, load_settings, unknown_variables, write_example
from guardian.settings.schema import Settings, SmtpSettings, setting_fields
from guardian.settings.smtp_url import SMTP_KEYS, smtp_table

EXAMPLE = Path(__file__).parents[3] / "config" / "guardian.example.toml"
FIVE_LINES = """\
admins = ["you@example.com"]
schedules = ["daily at 08:00 Europe/Zurich"]
[mail]
sender = "Guardian <guardian@example.com>"
smtp = "smtp://user:p%40ss@smtp.example.com:587"
"""
KEY = "0123456789abcdef0123456789abcdef"


pytestmark = pytest.mark.usefixtures("empty_folder")


def test_five_lines_are_a_configuration(load, tmp_path):
    settings = load(FIVE_LINES)
    assert settings.admins == ("you@example.com",)
    assert settings.schedules[0].when == "daily at 08:00 Europe/Zurich"
    smtp = settings.mail.smtp
    assert (smtp.host, smtp.port, smtp.security, smtp.username) == ("smtp.example.com", 587, "starttls", "user")
    assert smtp.password.get_secret_value() == "p@ss"
    assert settings.database == tmp_path / "guardian.db"
    assert settings.reports_dir == tmp_path / "reports"


def test_a_file_is_found_in_the_current_folder(load):
    load(FIVE_LINES)
    assert load_settings().admins == ("you@example.com",)


def test_without_a_file_the_environment_is_enough(monkeypatch):
    monkeypatch.setenv("GUARDIAN_ADMINS", "a@example.com, b@example.com")
    assert load_settings().admins == ("a@example.com", "b@example.com")


def test_without_a_file_and_without_a_variable_the_cure_is_named():
    with pytest.raises(SettingsError, match=r"there is no guardian\.toml here: run 'guardian init'"):
        load_settings()


def test_schedules_are_texts_or_tables(load):
    settings = load(
        'schedules = ["2h", {every = "30m"}, {when = "weekly Mon 09:00", recipients = ["a@example.com"], '
        'skip_empty = true}, "cron 0 9 * * 1,3"]'
    )
    assert [each.when for each in settings.schedules] == ["2h", "every 30m", "weekly Mon 09:00", "cron 0 9 * * 1,3"]
    assert settings.schedules[2].recipients == ("a@example.com",)
    assert settings.schedules[2].skip_empty


@pytest.mark.parametrize(
    "url, expected",
    [
        ("smtp://h", {"host": "h", "port": 587, "security": "starttls"}),
        ("smtps://h", {"host": "h", "port": 465, "security": "tls"}),
        ("smtp://127.0.0.1:25?security=none", {"host": "127.0.0.1", "port": 25, "security": "none"}),
        (
            "smtps://me%40example.com:a%2Fb%3Ac@h:4650",
            {"host": "h", "port": 4650, "security": "tls", "username": "me@example.com", "password": "a/b:c"},
        ),
        ("smtp://[::1]:2525", {"host": "::1", "port": 2525, "security": "starttls"}),
    ],
)
def test_a_mail_server_can_be_written_as_an_url(url, expected):
    assert smtp_table(url) == expected


GMAIL = '[mail.gmail]\ntoken_file = "t.json"\n'
SMTP = '[mail.smtp]\nhost = "h"\n'


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", ()),
        (SMTP, ("smtp",)),
        (SMTP + GMAIL, ("gmail", "smtp")),
        ('mail.transports = ["smtp", "gmail"]\n' + SMTP + GMAIL, ("smtp", "gmail")),
        ('mail.transports = ["smtp"]\n' + SMTP + GMAIL, ("smtp",)),
    ],
)
def test_transports_are_tried_in_the_order_of_the_settings_gmail_first_by_default(load, text, order):
    settings = load(text)
    assert settings.mail.order == order
    assert [each.name for each in build_transports(settings)] == list(order or ["files"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mail.transports = ["gmial"]', "mail.transports: 'gmial' is not a transport: name gmail, smtp or both"),
        (
            'mail.transports = ["gmail"]',
            "mail.transports: 'gmail' is not configured: add [mail.gmail], or take it out of the list",
        ),
        ("mail.transports = []", "mail.transports: the list is empty: name gmail, smtp or both, or remove it"),
        (
            'mail.transports = ["smtp", "smtp"]\n' + SMTP,
            "mail.transports: a transport is named twice: name each once",
        ),
        (
            "[mail.gmail]",
            "mail.gmail: set one of token_file (see 'guardian gmail login') and service_account_file",
        ),
        (
            GMAIL + 'subject = "a@example.com"',
            "mail.gmail: subject goes with service_account_file: a token already belongs to one user, remove it",
        ),
        (
            SMTP + 'auth = "xoauth2"\ntoken_file = "t.json"',
            "mail.smtp: auth = 'xoauth2' needs username, the address to log in as, and no password",
        ),
        (
            SMTP + 'token_file = "t.json"',
            "mail.smtp: token_file and service_account_file go with auth = 'xoauth2': set it, or remove them",
        ),
    ],
)
def test_a_way_of_sending_that_cannot_work_is_refused_with_the_cure(problems, text, said):
    [problem] = problems(text)
    assert problem.split(": ", 1)[1] == said


@pytest.mark.parametrize("url", [
    "smtp.example.com", "http://h", "smtp:///x", "smtp://h:99999", "smtp://u:a/b@h", "smtp://u:1/b@h", "smtp://u:1#b@h",
    "smtp://alerts:2024?Kx9@smtp.example.com:587", "smtp://u:1?b=c@h", "smtp://u:1?b&security=none@h", "smtp://u:1#@h",
    "smtp://u:p@ss?1@h", "smtp://u:a[b@h",
])  # fmt: skip
def test_an_url_of_no_mail_server_is_refused_without_being_repeated(problems, url):
    [problem] = problems(f'[mail]\nsmtp = "{url}"')
    assert problem.startswith("guardian.toml line 2: mail.smtp: this is not a mail server: write it as smtp://")
    assert url not in problem.replace("smtp://user:password@smtp.example.com:587", "")


@pytest.mark.parametrize(
    ("name", "example"),
    [("mail", "GUARDIAN_MAIL__SENDER"), ("retention", "GUARDIAN_RETENTION__EVENTS_DAYS")],
)
def test_a_table_in_a_variable_is_refused_with_a_cure_for_variables(monkeypatch, name, example):
    monkeypatch.setenv(f"GUARDIAN_{name.upper()}", '{"sender": "g@example.com", "events_days": 3}')
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.problems == [
        f"GUARDIAN_{name.upper()}: {name} is a table: set its keys one by one, as {example}"
    ]


def test_every_key_of_a_mail_server_may_stand_behind_the_question_mark_of_its_url():
    assert set(SmtpSettings.model_fields) == SMTP_KEYS


ADDRESSED = [
    "admins = ['{}']",
    "[mail]\nsender = 'Guardian <{}>'",
    "[mail]\nsender = '{}'",
    "[mail]\nreply_to = '{}'",
    "[mail.languages]\n'{}' = 'fr'",
    "[alerts]\nsupport_email = '{}'",
    "[[schedules]]\nwhen = 'daily at 08:00'\nrecipients = ['{}']",
    "[rules.error_rate]\nrecipients = ['{}']",
]
"""Every place of the settings where an address stands."""


@pytest.mark.parametrize("text", ADDRESSED)
def test_an_address_in_any_script_is_taken_everywhere_and_a_mail_can_be_written_to_it(load, text):
    for address in ("josé@example.com", "ann@bücher.example", "用户@例子.广告"):
        load(text.format(address))
        build_message(Content("s", "t"), sender=f"G <{address}>", recipient=address, reply_to=address, key="k",
                      now=datetime(2026, 3, 16, tzinfo=UTC))  # fmt: skip


@pytest.mark.parametrize("text", ADDRESSED)
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("a..b@example.com", "what stands before the @ begins or ends with a dot, or has two in a row; remove it"),
        ("a\u200bb@example.com", "it has a character that cannot be seen; type it anew, as you@example.com"),
        ("a@" + "x" * 64 + ".com", "a part of its domain is longer than 63 bytes; check it"),
        ("x" * 65 + "@example.com", "what stands before the @ is longer than 64 bytes; check it"),
    ],
)
def test_what_no_mail_can_be_sent_to_is_refused_everywhere_with_the_reason(problems, text, address, why):
    (said,) = problems(text.format(address))
    assert "is not a mail address: " in said
    assert said.endswith(why)


def test_a_public_address_in_another_script_can_stand_in_a_header(load):
    url = load("public_url = 'https://wächter.example:8443/prüfen/%41/'").public_url
    assert url == "https://xn--wchter-bua.example:8443/pr%C3%BCfen/%41"


@pytest.mark.parametrize("host", ["relay.example.com", "10.0.0.7", "localhost.example.com"])
def test_mail_goes_unencrypted_to_another_machine_only_where_that_is_meant(load, problems, host):
    server = f'[mail]\nsmtp = {{host = "{host}", security = "none"'
    assert problems(f"{server}}}") == [
        f"guardian.toml line 2: mail.smtp: security = 'none' would send mail unencrypted to '{host}', another machine: "
        "use 'starttls' or 'tls', or set allow_plaintext = true"
    ]
    assert load(f"{server}, allow_plaintext = true}}").mail.smtp.allow_plaintext


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "::1"])
def test_mail_may_go_unencrypted_to_this_machine(load, host):
    assert load(f'[mail]\nsmtp = {{host = "{host}", security = "none"}}').mail.smtp.host == host


def test_a_variable_comes_before_the_file_and_can_change_a_part_of_a_table(load, monkeypatch):
    monkeypatch.setenv("GUARDIAN_MAIL__SMTP__PASSWORD", "from the environment")
    monkeypatch.setenv("GUARDIAN_TIMEZONE", "Europe/Paris")
    monkeypatch.setenv("GUARDIAN_SCHEDULES", '["2h", {"when": "daily at 09:00", "recipients": ["a@example.com"]}]')
    settings = load(FIVE_LINES)
    assert settings.mail.smtp.password.get_secret_value() == "from the environment"
    assert settings.mail.smtp.username == "user"
    assert settings.timezone == "Europe/Paris"
    assert [each.when for each in settings.schedules] == ["2h", "daily at 09:00"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULES", "2h"),
        ("ALERTS__MAINTENANCE", '[{"cron": "0 2 * * 6", "duration": "2h"}]'),
        ("MAIL__SMTP", "smtp://mail.example.com"),
        ("RULES__ERROR_RATE__THRESHOLD", "5%"),
        ("RULES__SLOW__KIND", "latency"),
        ("CHANNELS__OPS__URL", "ntfy://ntfy.sh/topic"),
        ("api__port", "8000"),
    ],
)
def test_a_variable_of_a_table_is_used_alone_and_is_a_setting(monkeypatch, name, value):
    monkeypatch.setenv(f"GUARDIAN_{name}", value)
    assert load_settings() != Settings()
    assert unknown_variables() == []


@pytest.mark.parametrize("name", ["GUARDIAN_SCHEDULE", "GUARDIAN_MAIL__SMTPS", "GUARDIAN_DATABASE__X"])
def test_a_variable_that_names_no_setting_is_said(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert unknown_variables() == [name]


def test_a_wrong_variable_is_named(load, problems, monkeypatch):
    monkeypatch.setenv("GUARDIAN_API__PORT", "http")
    assert problems(FIVE_LINES) == ['GUARDIAN_API__PORT: api.port = "http" is not a whole number']


def test_everything_that_is_wrong_is_said_at_once_with_line_value_and_cure(problems):
    text = f"""\
admins = ["you@example.com", "nobody"]
timezone = "Europe/Zurch"
schedules = ["dayly at 8"]
databse = "x.db"
critical_features = 3

[mail]
sender = "Guardian"
sneder = "x"

[mail.smtp]
port = 70000
security = "ssl"

[api]
enabled = "perhaps"
port = "abc"
jwt_key = "short"
scheduler_token = "{KEY[:31]}"

[retention]
events_days = 0
"""
    assert problems(text) == [
        'guardian.toml line 1: admins[1]: "nobody" is not a mail address: write it as you@example.com',
        'guardian.toml line 2: timezone: "Europe/Zurch" is not a time zone: did you mean Europe/Zurich?',
        "guardian.toml line 3: schedules[0].when: 'dayly at 8' is not a schedule: write for example 'every 2h', "
        "'daily at 08:00 Europe/Zurich', 'weekly Monday 09:00', 'monthly 1 09:00', 'cron 0 9 * * 1-5'",
        "guardian.toml line 4: databse is not a setting: did you mean database?",
        'guardian.toml line 5: critical_features = 3 is not a list: write it in brackets, as ["…"]',
        'guardian.toml line 8: mail.sender: "Guardian" is not a sender: write it as Guardian <guardian@example.com>',
        "guardian.toml line 9: mail.sneder is not a setting: did you mean mail.sender?",
        "guardian.toml line 11: mail.smtp.host is missing: add host = …",
        "guardian.toml line 12: mail.smtp.port = 70000 must be at most 65535",
        "guardian.toml line 13: mail.smtp.security = \"ssl\" is not one of 'starttls', 'tls' or 'none'",
        'guardian.toml line 16: api.enabled = "perhaps" is not true or false',
        'guardian.toml line 17: api.port = "abc" is not a whole number',
        "guardian.toml line 18: api.jwt_key: this secret has 5 bytes and needs at least 32: "
        "make one with 'openssl rand -hex 32'",
        "guardian.toml line 19: api.scheduler_token: this secret has 31 bytes and needs at least 32: "
        "make one with 'openssl rand -hex 32'",
        "guardian.toml line 22: retention.events_days = 0 must be at least 1",
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("schedules = [1]", "guardian.toml line 1: schedules[0] is not a table"),
        ('mail = "smtp://u:hunter2@h"', "guardian.toml line 1: mail is not a table: write its keys under [mail]"),
        ('smtp = "smtp://h"', "guardian.toml line 1: smtp is not a setting: did you mean mail.smtp?"),
        ('schedule = ["2h"]', "guardian.toml line 1: schedule is not a setting: did you mean schedules?"),
        (
            "[[schedules]]\nwhen = '2h'\n[[schedules]]\nwhen = 'x'",
            "guardian.toml line 4: schedules[1].when: 'x' is not",
        ),
        ("[[schedules]]\nname = 'a'", "guardian.toml line 1: schedules[0].when is missing: add when = …"),
        ("admins = 'a@example.com\n", "guardian.toml is not TOML: "),
        ('public_url = "ftp://h"', 'guardian.toml line 1: public_url: "ftp://h" is not a web address'),
        (
            "[mail.smtp]\nhost = 'h'\nusername = 'u'",
            "guardian.toml line 1: mail.smtp: username is set but password is not: set password, password_file or",
        ),
        ("[mail.smtp]\nhost = 'h'\npassword = 'p'", "guardian.toml line 1: mail.smtp: password is set but username is"),
        (f"[api]\njwt_key = '{KEY}'\njwks = 'k.json'", "guardian.toml line 1: api: both jwt_key and jwks are set"),
        (
            f"[api]\njwt_key = '{KEY}'\njwt_algorithms = ['HS256', 'RS256']",
            "guardian.toml line 1: api: jwt_algorithms has 'RS256': jwt_key goes with HS256",
        ),
        ("[api]\njwt_key_file = 'none'", "guardian.toml line 2: api.jwt_key_file: none cannot be read: No such file"),
        (
            "[nonsense]\nx = 1",
            "guardian.toml line 1: nonsense is not a setting: the settings here are admins, alerts, alias, api",
        ),
    ],
)
def test_a_wrong_setting_is_explained(problems, text, expected):
    [problem] = problems(text)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "text",
    [
        'mail = "smtp://u:hunter2@h"',
        'admins = ["smtp://u:hunter2@h"]',
        'public_url = "https://u:hunter2@h"',
        '[mail]\nsmtp = "smtp://u:hunter2/@h:x"',
        '[mail.smtp]\nhost = "h"\nusername = "u"\npasword = "hunter2"',
        '[mail.smtp]\nusername = "u"\npassword = "hunter2"',
        '[mail.smtp]\nhost = "h"\nusername = "u"\npassword = ["hunter2"]',
        '[api]\njwt_key = "hunter2"\nport = "x"',
    ],
)
def test_no_message_repeats_a_secret(problems, text):
    assert "hunter2" not in " ".join(problems(text))


def test_a_file_with_a_secret_that_others_can_read_is_refused_with_the_other_problems(problems, load):
    assert problems("timzone = 1\n" + FIVE_LINES, 0o644) == [
        "others than its owner may read guardian.toml, which holds a secret: run 'chmod 600 guardian.toml'",
        "guardian.toml line 1: timzone is not a setting: did you mean timezone?",
    ]
    assert load(FIVE_LINES.replace("user:p%40ss@", ""), 0o644).mail.smtp.host == "smtp.example.com"


SECRETS = [
    'mail.smtp = "smtp://h?username=u&password=hunter2"',
    'mail.smtp = "smtp://u:hunter2@h"',
    'watchdog.ping_url = "https://hc-ping.com/hunter2"',
    '[[schedules]]\nwhen = "2h"\nping_url = "https://hc-ping.com/hunter2"',
    'api.jwks = "https://u:hunter2@h/keys"',
    'api.jwks = "https://h/keys?token=hunter2"',
    'rules.feature_down.probe = {url = "http://u:hunter2@h/"}',
    'rules.mine = {kind = "feature_down", probe = {url = "http://h/health?key=hunter2"}}',
    'channels.ops = {url = "slack://T1JJ3T3L2/A1BRTD4JD/hunter2hunter2hunter2hun"}',
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_in_whatever_address_makes_the_file_one_for_its_owner_and_is_shown_nowhere(load, problems, text):
    assert problems(text, 0o644) == [
        "others than its owner may read guardian.toml, which holds a secret: run 'chmod 600 guardian.toml'"
    ]
    settings = load(text)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "text",
    [
        'mail.smtp = "smtp://127.0.0.1:25?security=none"',
        'api.jwks = "https://h/.well-known/jwks.json"',
        'api.jwks = "keys.json"',
        'rules.feature_down.probe = {url = "http://localhost:8000/health"}',
    ],
)
def test_a_file_without_a_secret_may_be_read_by_all(load, text):
    load(text, 0o644)


def test_windows_has_no_modes_that_could_say_who_reads_a_secret(load, tmp_path, monkeypatch):
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setattr(sys, "platform", "win32")
    assert load(FIVE_LINES + '[api]\njwt_key_file = "key"\n', 0o666).api.jwt_key.get_secret_value() == KEY


def test_secrets_can_lie_in_files_of_their_own_which_only_the_owner_reads(load, problems, tmp_path, monkeypatch):
    secret = tmp_path / "key"
    secret.write_text(KEY + "\n")
    secret.chmod(0o640)
    text = '[api]\njwt_key_file = "key"\nscheduler_token_file = "key"\n[mail.smtp]\nhost="h"\nusername="u"\n'
    text += 'password_file = "key"'
    why = "others than its owner may read key, which holds a secret: run 'chmod 600 key'"
    assert problems(text) == [
        f"guardian.toml line 2: api.jwt_key_file: {why}",
        f"guardian.toml line 3: api.scheduler_token_file: {why}",
        f"guardian.toml line 7: mail.smtp.password_file: {why}",
    ]
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(text).api.jwt_key == SecretStr(KEY)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    secret.chmod(0o600)
    settings = load(text)
    assert settings.api.jwt_key == settings.api.scheduler_token == settings.mail.smtp.password == SecretStr(KEY)
    secret.write_text("short")
    assert problems('[api]\njwt_key_file = "key"') == [
        "guardian.toml line 2: api.jwt_key_file: this secret has 5 bytes and needs at least 32: "
        "make one with 'openssl rand -hex 32'"
    ]
    secret.write_text(KEY)
    both = f"[api]\njwt_key_file = 'key'\njwt_key = '{KEY}'"
    assert problems(both) == [
        "guardian.toml line 3: api.jwt_key: both jwt_key and jwt_key_file are set: keep one of them"
    ]


def test_paths_are_seen_from_the_folder_of_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "guardian.toml").write_text('database = "a.db"\nreports_dir = "/var/r"\n[api]\njwks = "keys.json"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load_settings(Path("../etc/guardian.toml"))
    assert settings.database.resolve() == folder / "a.db"
    assert settings.reports_dir == Path("/var/r")
    assert Path(settings.api.jwks).resolve() == folder / "keys.json"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("x.db", "FOLDER/x.db"),
        ("./data/x.db", "FOLDER/data/x.db"),
        ("~/x.db", "HOME/x.db"),
        ("/srv/x.db", "/srv/x.db"),
        ("sqlite:///x.db", "FOLDER/x.db"),
        ("sqlite:////srv/x.db", "/srv/x.db"),
        ("sqlite+aiosqlite:///~/x.db", "HOME/x.db"),
    ],
)
def test_a_database_is_one_absolute_path_however_it_is_written(load, tmp_path, monkeypatch, written, path):
    monkeypatch.setenv("HOME", "/home/ann")
    settings = load(f'database = "{written}"')
    assert str(settings.database) == path.replace("FOLDER", str(tmp_path)).replace("HOME", "/home/ann")


@pytest.mark.parametrize("written", ["firestore://my-shop", "firestore://my-shop/eu"])
def test_a_database_of_firestore_is_its_address(load, monkeypatch, written):
    assert load(f'database = "{written}"').database == written
    monkeypatch.setenv("GUARDIAN_DATABASE", written)
    assert load_settings().database == written


@pytest.mark.parametrize("written", ["firestore://", "firestore:///eu", "firestore://a b"])
def test_what_is_no_address_of_firestore_is_refused_in_a_sentence(problems, written):
    [said] = problems(f'database = "{written}"')
    assert said.startswith("guardian.toml line 1: database")
    assert "firestore://PROJECT" in said


def test_without_a_file_a_database_is_seen_from_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GUARDIAN_DATABASE", "sqlite:///x.db")
    assert load_settings().database == tmp_path / "x.db"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("postgresql://ann:hunter2@db/x", "database is an address of postgresql://, and only an SQLite file will do"),
        ("mongodb://project", "database is an address of mongodb://, and only"),
        (":memory:", "database = ':memory:' is kept in memory"),
        ("", "database = '' names no file"),
        ("sub", "database = 'sub' is a folder: name a file in it, such as sub/guardian.db"),
    ],
)
def test_a_database_that_can_never_work_is_refused_at_load(problems, tmp_path, written, said):
    (tmp_path / "sub").mkdir()
    [problem] = problems(f'database = "{written}"')
    assert problem.startswith(f"guardian.toml line 1: {said}")
    assert "hunter2" not in problem


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00", b"a" * 100])
def test_a_file_that_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "guardian.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"guardian\.toml is not"):
        load_settings(tmp_path / "guardian.toml")


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read \(No such file or directory\): run 'guardian"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)"):
        load_settings(tmp_path)


def test_the_first_file_is_private_valid_and_never_overwritten_by_accident(tmp_path):
    path = tmp_path / "new" / "guardian.toml"
    write_example(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_settings(path).admins == ("you@example.com",)
    path.write_text("admins = []")
    with pytest.raises(FileExistsError, match="exists: edit it, or run 'guardian init --force'"):
        write_example(path)
    assert path.read_text() == "admins = []"
    write_example(path, force=True)
    assert path.read_text() == EXAMPLE.read_text()


def test_the_example_has_every_setting_with_its_default():
    text = re.sub(r"^(schedules|smtp) = .*\n", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    shown = tomllib.loads(re.sub(r"^#(?! )|^#(?=    \{|\])", "", text, flags=re.MULTILINE))
    shown["channels"] = shown["channels"]["ops"]  # a name of the owner's choice
    filled_in = {"admins", "mail.sender", "schedules.when", "schedules.recipients", "schedules.name"}
    for key, field in setting_fields().items():
        value = shown
        for part in key.split("."):
            if isinstance(value, list):  # the keys of all its tables together
                value = {name: item for table in value for name, item in table.items()}
            assert part in value, f"{key} is missing in config/guardian.example.toml"
            value = value[part]
        default = field.get_default(call_default_factory=True)
        if key not in filled_in and not field.is_required() and default is not None:
            plain = (
                list(default) if isinstance(default, tuple) else str(default) if isinstance(default, Path) else default
            )
            assert value == plain, f"{key} has another default in config/guardian.example.toml"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*setting_fields(), "mail", "api", "schedules", "mail.smtp"]) | st.text("abc.", min_size=1),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                lambda inner: st.lists(inner, max_size=3),
                max_leaves=5,
            ),
        ),
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_in_the_file_it_loads_or_is_refused_in_single_lines(load, pairs):
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in pairs)
    try:
        load(text)
    except SettingsError as error:
        assert error.problems
        assert all("\n" not in problem for problem in error.problems)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:8765"),
        ("[api]\nport = 9000", "http://127.0.0.1:9000"),
        ('[api]\nhost = "localhost"\nport = 80', "http://localhost:80"),
        ('[api]\nhost = "0.0.0.0"\nport = 9000', "http://127.0.0.1:9000"),
        ('[api]\nhost = "::"\nport = 9000', "http://[::1]:9000"),
        ('[api]\nhost = "10.0.0.5"', "http://10.0.0.5:8765"),
        ('[api]\nhost = "fd00::5"', "http://[fd00::5]:8765"),
        ("[api]\nport = 0", "http://127.0.0.1:8765"),
        ('public_url = "https://g.example.com"\n[api]\nport = 9000', "https://g.example.com"),
        ('public_url = "http://127.0.0.1:8765"\n[api]\nport = 9000', "http://127.0.0.1:8765"),
    ],
)
def test_links_lead_to_where_the_api_listens_unless_they_are_said_to_lead_elsewhere(load, text, url):
    assert load(text).links_url == url


def test_links_follow_a_port_from_the_environment(load, monkeypatch):
    monkeypatch.setenv("GUARDIAN_API__PORT", "9000")
    assert load(FIVE_LINES).links_url == "http://127.0.0.1:9000"


def test_settings_never_change_after_loading(load):
    settings = load(FIVE_LINES)
    for section in (settings, settings.mail, settings.api):
        assert isinstance(section, BaseModel)
        with pytest.raises(Exception, match="frozen"):
            section.timezone = "x"


def test_settings_can_be_made_in_code():
    settings = Settings(admins=("a@example.com",), mail={"smtp": "smtp://h:25"}, schedules=["2h"])
    assert settings.mail.smtp.port == 25
    assert settings.database == Path("guardian.db").absolute()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('csv = "a.csv"\ncall = "m:f"', "csv and call are set: people are read from one place, keep one of them"),
        ('call = "m.f"', "'m.f' is not a function: write it as module:function, such as myapp.people:alias"),
        ('query = "SELECT 1"', "query has no database: add database_url or database_url_file"),
        ('query = "DROP TABLE users"', "this is not a query: write it as SELECT id, email FROM users"),
        (
            'database_url = "postgresql://u:secret@h/d"',
            'database_url is set without a query: add query = "SELECT id, email FROM users"',
        ),
        (
            'query = "SELECT 1"\ndatabase_url = "postgresql+asyncpg://u:secret@h/d"',
            "the driver asyncpg works only inside an event loop: write postgresql+psycopg://, and install it",
        ),
        (
            'query = "SELECT 1"\ndatabase_url = "u:secret@h/d"',
            "this is not the URL of a database: write it as postgresql://user:password@host/name",
        ),
    ],
)
def test_a_wrong_source_of_names_is_explained_without_a_password(problems, text, said):
    [problem] = problems(f"[alias]\n{text}\n")
    assert problem.endswith(said)
    assert "secret" not in problem


def test_the_url_of_the_apps_database_is_a_secret(load, problems, tmp_path):
    text = '[alias]\nquery = "SELECT id, email FROM users"\ndatabase_url = "postgres://u:secret@h/d"\n'
    assert "secret" not in repr(load(text))
    assert load(text).alias.database_url.get_secret_value() == "postgresql://u:secret@h/d"
    assert problems(text, mode=0o644) == [
        "others than its owner may read guardian.toml, which holds a secret: run 'chmod 600 guardian.toml'"
    ]
    plain = text.replace("postgres://u:secret@h/d", "sqlite:///app.db")
    assert load(plain, mode=0o644).alias.database_url.get_secret_value() == f"sqlite:///{tmp_path}/app.db"
    (tmp_path / "url").write_text("postgresql://u:secret@h/d\n")
    (tmp_path / "url").chmod(0o600)
    text = '[alias]\nquery = "SELECT id, email FROM users"\ndatabase_url_file = "url"\n'
    assert load(text, mode=0o644).alias.database_url.get_secret_value() == "postgresql://u:secret@h/d"
    (tmp_path / "url").write_text("postgresql+asyncpg://u:secret@h/d\n")
    [problem] = problems(text)
    assert "alias.database_url: the driver asyncpg works only inside an event loop" in problem


def test_the_source_of_names_can_come_from_a_variable(load, monkeypatch, tmp_path):
    monkeypatch.setenv("GUARDIAN_ALIAS__CSV", "people.csv")
    assert load("").alias.csv == tmp_path / "people.csv"


def test_an_app_is_called_by_its_name_and_environment(load):
    both = load(f'app_name = "Shop"\nenvironment = "staging"\n{FIVE_LINES}')
    assert both.app_label == "Shop (staging)"
    assert load(f'app_name = " Shop "\n{FIVE_LINES}').app_label == "Shop"
    assert load(f'environment = "staging"\n{FIVE_LINES}').app_label == "staging"
    assert load(FIVE_LINES).app_label == ""


@pytest.mark.parametrize("name", ["", "   ", "two\\nlines", "a\\u0000b", "a" * 61, "left\\u202eright"])
def test_a_name_that_a_subject_cannot_hold_is_refused(load, name):
    with pytest.raises(SettingsError, match=r"app_name: .*: write 1 to 60 letters on one line, such as Shop"):
        load(f'app_name = "{name}"\n{FIVE_LINES}')


def test_the_dashboard_takes_networks_and_durations_and_refuses_what_is_none():
    found = Settings(dashboard={"proxies": "127.0.0.1, 10.1.2.3/8", "sign_out_idle": "30m"}).dashboard
    assert found.proxies == ("127.0.0.1/32", "10.0.0.0/8")
    assert (found.sign_out_idle, found.sign_out_after) == (1800, 7 * 86_400)
    for keys, sentence in (
        ({"proxies": ["my-proxy"]}, '"my-proxy" is not the address of a network: write it as 127.0.0.1, 10.0.0.0/8 or'),
        ({"trusted_header": "X-Forwarded-Email"}, "trusted_header is set without proxies, so anybody could write it"),
        (
            {"trusted_header": "X Y", "proxies": ["::1"]},
            '"X Y" is not the name of a header: write it as X-Forwarded-Email',
        ),
        ({"trusted_header": "Host", "proxies": ["::1"]}, "Host says something else: name the header that the proxy"),
        ({"sign_out_idle": "1m"}, "1m is too short: write 5m or more"),
        ({"viewers": ["nobody"]}, '"nobody"'),
    ):
        with pytest.raises(ValidationError) as raised:
            Settings(dashboard=keys)
        assert sentence in str(raised.value), keys

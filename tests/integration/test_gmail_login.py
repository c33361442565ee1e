"""`guardian gmail login` from the command to the token file, against a Google on loopback."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen

import pytest

from guardian.application.check.checkup import check_up
from guardian.mail.transports.gmail import GmailTransport
from guardian.settings.mail import GmailSettings
from tests.support.google_server import Google

WEEK = 7 * 86400


@pytest.fixture
def google():
    server = Google()
    yield server
    server.close()


@pytest.fixture
def start(google, tmp_path):
    """Starts the command in an empty folder with a client of the server."""
    client = {"client_id": "id", "client_secret": "client-secret", "redirect_uris": ["http://localhost"]}
    urls = {"auth_uri": f"{google.url}/auth", "token_uri": f"{google.url}/token"}
    (tmp_path / "client_secret.json").write_text(json.dumps({"installed": client | urls}))
    running = []

    def started(*arguments):
        # Google's own endpoint is https; oauthlib wants to be told that this one need not be.
        more = {"OAUTHLIB_INSECURE_TRANSPORT": "1", "PYTHONUNBUFFERED": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "guardian", "gmail", "login", "--no-browser", *arguments],
            cwd=tmp_path, env=kept | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def visit(process):
    """Opens the address that the command prints, as a browser does; what it says to the end."""
    assert "Open this address" in process.stdout.readline()
    with urlopen(process.stdout.readline().strip(), timeout=60) as page:
        assert b"Guardian may send now" in page.read()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out


@pytest.mark.parametrize(
    ("arguments", "file", "scope", "table"),
    [
        ((), "gmail-token.json", "https://www.googleapis.com/auth/gmail.send", "[mail.gmail]"),
        (("--smtp", "--token-file", "own.json"), "own.json", "https://mail.google.com/", 'auth = "xoauth2"'),
    ],
)
def test_a_login_writes_a_token_file_that_only_the_owner_reads(google, start, tmp_path, arguments, file, scope, table):
    google.token_answers = [(200, {"expires_in": 3600, "refresh_token": "fresh"}, {})]
    said = visit(start(*arguments))
    path = tmp_path / file
    assert table in said
    assert f'token_file = "{path}"' in said
    assert "fresh" not in said
    assert path.stat().st_mode & 0o777 == 0o600
    [consent], [grant] = google.consents, google.grants
    assert (consent["scope"], consent["access_type"], consent["prompt"]) == (scope, "offline", "consent")
    assert (grant["code"], grant["redirect_uri"]) == ("the-code", consent["redirect_uri"])
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "client_secret.json"])


async def test_mail_goes_out_with_the_file_of_a_login_whose_end_is_known(google, start, tmp_path):
    grants = {"expires_in": 3600, "refresh_token": "fresh", "refresh_token_expires_in": WEEK}
    google.token_answers = [(200, grants, {}), (200, {"expires_in": 3600}, {})]
    before = datetime.now(UTC)
    assert "This login expires " in visit(start())
    path = tmp_path / "gmail-token.json"
    transport = GmailTransport(GmailSettings(token_file=path), api_url=google.url)
    await transport.send(b"To: a@example.org\r\n\r\nHi\r\n", sender="g@example.com", recipient="a@example.org")
    assert len(google.sent) == 1
    expiry = transport.login.expires_at()
    assert before <= expiry - timedelta(seconds=WEEK) <= datetime.now(UTC)
    settings = tmp_path / "guardian.toml"
    settings.write_text('[mail.gmail]\ntoken_file = "gmail-token.json"\n')
    for days, level in ((4, "ok"), (6, "warning")):
        [found] = [
            each for each in await check_up(settings, clock=lambda days=days: before + timedelta(days=days))
            if each.subject == "mail"
        ]  # fmt: skip
        assert found.level == level
        assert f"the login expires {expiry:%Y-%m-%d %H:%M} UTC" in found.text


def test_a_login_without_a_client_names_the_cure(start):
    process = start("--client-secrets", "none.json")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("guardian: none.json cannot be read (No such file or directory): download it from the Cloud")


def test_a_login_that_google_refuses_leaves_no_file(google, start, tmp_path):
    google.token_answers = [(400, {"error": "invalid_grant", "error_description": "ann@example.org"}, {})]
    process = start()
    process.stdout.readline()
    with urlopen(process.stdout.readline().strip(), timeout=60):
        pass
    _, err = process.communicate(timeout=60)
    assert (process.returncode, len(err.splitlines())) == (1, 1)
    assert "Google did not allow it (invalid_grant)" in err
    assert "ann@" not in err
    assert not (tmp_path / "gmail-token.json").exists()


async def test_check_says_that_google_refuses_the_login(google, tmp_path):
    google.token_file(tmp_path / "gmail-token.json")
    google.token_answers = [(400, {"error": "invalid_grant"}, {})]
    settings = tmp_path / "guardian.toml"
    settings.write_text('[mail.gmail]\ntoken_file = "gmail-token.json"\n')
    [found] = [each for each in await check_up(settings) if each.subject == "mail"]
    assert (found.level, found.text) == (
        "error",
        "Gmail: Google refuses the login (invalid_grant): run 'guardian gmail login'",
    )

"""The Gmail transport against a server that answers as Google does: what became of the message is told truly."""

import asyncio
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, UnknownOutcome, Unreachable
from guardian.mail.transports.gmail import GmailTransport, reasons, refusal
from guardian.settings.mail import GmailSettings
from tests.support.google_server import Google, refused

MESSAGE = "From: g@example.com\r\nTo: a@example.org\r\nSubject: Hi\r\n\r\nHéllo ÿþ?~\r\n".encode()
SEND = "https://www.googleapis.com/auth/gmail.send"


@pytest.fixture
def google():
    server = Google()
    yield server
    server.close()


@pytest.fixture
def transport(google, tmp_path):
    """The transport to the server, with a token file."""

    def made(**settings):
        path = google.token_file(tmp_path / "token.json")
        return GmailTransport(GmailSettings(token_file=path, **settings), api_url=google.url, timeout=60)

    return made


def send(transport):
    return transport.send(MESSAGE, sender="g@example.com", recipient="a@example.org")


async def test_a_message_arrives_byte_for_byte_with_a_token_fetched_once(google, transport):
    gmail = transport()
    await send(gmail)
    await send(gmail)
    assert google.sent == [("Bearer token-1", MESSAGE)] * 2
    [grant] = google.grants
    assert (grant["grant_type"], grant["refresh_token"]) == ("refresh_token", "refresh-secret")


@pytest.mark.parametrize(
    ("answer", "error", "words", "retry_after"),
    [
        (refused(429, "rateLimitExceeded", headers={"Retry-After": "90"}), DeliveryError, "now (429)", 90),
        (refused(429), DeliveryError, "does not take mail now (429)", None),
        (refused(403, "rateLimitExceeded"), DeliveryError, "now (403)", None),
        (refused(403, "userRateLimitExceeded"), DeliveryError, "now (403)", None),
        (refused(500, "backendError"), DeliveryError, "now (500)", None),
        (refused(503, headers={"Retry-After": "nonsense"}), DeliveryError, "now (503)", None),
        (refused(504), UnknownOutcome, "does not say whether the message was taken (504)", None),
        (refused(403, "insufficientPermissions"), LoginRefused, "do not allow sending (403): run 'guardian", None),
        (refused(403, "accessNotConfigured"), LoginRefused, "is not enabled in the Cloud project (403)", None),
        (refused(403, "domainPolicy"), LoginRefused, "does not let this account send (403)", None),
        (refused(400, "failedPrecondition"), LoginRefused, "does not let this account send (400)", None),
        (refused(401, "authError"), LoginRefused, "refuses the login (401): run 'guardian gmail login'", None),
        (refused(400, "invalidArgument"), PermanentError, "refuses the message or its recipient", None),
        (refused(404), DeliveryError, "Gmail answers 404", None),
        ("cut", UnknownOutcome, "the connection to Gmail broke while the message was sent", None),
    ],
)
async def test_each_refusal_says_whether_and_when_to_try_again(google, transport, answer, error, words, retry_after):
    google.answers = [answer]
    with pytest.raises((DeliveryError, UnknownOutcome)) as caught:
        await send(transport())
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert getattr(caught.value, "retry_after", None) == (retry_after and timedelta(seconds=retry_after))
    assert not any(secret in str(caught.value) for secret in ("ann@", "token-1", "refresh-secret"))
    assert google.sent == []


async def test_a_broken_connection_is_not_tried_a_second_time_behind_the_back_of_the_outbox(google, transport):
    google.answers = ["cut", (200, {}, {})]
    with pytest.raises(UnknownOutcome):
        await send(transport())
    assert google.sends == 1


async def test_a_token_withdrawn_before_its_time_is_replaced_once(google, transport):
    google.answers = [refused(401), (200, {}, {})]
    await send(transport())
    assert google.sent == [("Bearer token-2", MESSAGE)]


async def test_a_refused_refresh_token_wants_a_new_login_and_a_new_file_is_read_at_once(google, transport, tmp_path):
    google.token_answers = [
        (400, {"error": "invalid_grant", "error_description": "ann@example.org is gone"}, {}),
        (200, {"expires_in": 3600}, {}),
    ]
    gmail = transport()
    with pytest.raises(LoginRefused) as caught:
        await send(gmail)
    assert str(caught.value) == "Google refuses the login (invalid_grant): run 'guardian gmail login'"
    google.token_file(tmp_path / "token.json", refresh_token="renewed")
    await send(gmail)
    assert google.grants[-1]["refresh_token"] == "renewed"


async def test_an_unknown_word_of_the_token_endpoint_is_not_repeated(google, transport):
    google.token_answers = [(400, {"error": "ann@example.org"}, {})]
    with pytest.raises(LoginRefused, match=r"^Google refuses the login \(no reason that is known\)"):
        await send(transport())


async def test_a_server_that_is_not_there_is_unreachable(google, transport):
    gmail = transport()
    await send(gmail)
    google.close()
    with pytest.raises(Unreachable, match=r"^Gmail cannot be reached \(ConnectionRefusedError\)$"):
        await send(gmail)


async def test_a_token_endpoint_that_is_not_there_is_unreachable_and_no_matter_for_a_person(google, transport):
    gmail = transport()
    google.close()
    with pytest.raises(Unreachable, match=r"^Google's token endpoint does not answer") as caught:
        await send(gmail)
    assert not isinstance(caught.value, LoginRefused)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda google, path: None, r"^\S+token.json is not there: run 'guardian gmail login'$"),
        (lambda google, path: google.token_file(path, mode=0o644), r"^others than its owner may read .* 'chmod 600 "),
        (lambda google, path: google.token_file(path, scopes=["openid"]), "does not allow this way of sending"),
        (lambda google, path: (path.write_text("[]"), path.chmod(0o600)), "does not hold Google's credentials: run"),
        (lambda google, path: (path.write_text("{}"), path.chmod(0o600)), "does not hold Google's credentials: run"),
    ],
)
async def test_a_token_file_that_is_of_no_use_says_so(google, tmp_path, write, words):
    path = tmp_path / "token.json"
    write(google, path)
    with pytest.raises(LoginRefused, match=words):
        await send(GmailTransport(GmailSettings(token_file=path), api_url=google.url))


@pytest.mark.parametrize("subject", [None, "boss@example.com"])
async def test_a_service_account_acts_for_the_sender_or_the_subject_of_the_settings(google, tmp_path, subject):
    path, public = google.service_account_file(tmp_path / "key.json")
    await send(GmailTransport(GmailSettings(service_account_file=path, subject=subject), api_url=google.url))
    assert google.sent == [("Bearer token-1", MESSAGE)]
    claims = jwt.decode(
        google.grants[0]["assertion"], public, algorithms=["RS256"], audience="https://oauth2.googleapis.com/token"
    )
    assert (claims["sub"], claims["scope"]) == (subject or "g@example.com", SEND)
    assert claims["iss"] == "robot@project.iam.gserviceaccount.com"


async def test_two_sends_at_once_use_a_connection_each(google, transport):
    gmail, google.gate = transport(), threading.Barrier(2)
    await asyncio.gather(send(gmail), send(gmail))
    assert len(google.sent) == len(set(google.ports)) == 2


async def test_no_more_than_the_minutes_share_is_sent_and_the_rest_is_told_when(google, tmp_path):
    now = [0.0]
    settings = GmailSettings(token_file=google.token_file(tmp_path / "token.json"), per_minute=2)
    gmail = GmailTransport(settings, api_url=google.url, clock=lambda: now[0])
    await send(gmail)
    now[0] = 10.0
    await send(gmail)
    now[0] = 15.0
    with pytest.raises(DeliveryError, match=r"mail\.gmail\.per_minute = 2") as caught:
        await send(gmail)
    assert caught.value.retry_after == timedelta(seconds=45)
    now[0] = 60.0
    await send(gmail)
    assert len(google.sent) == 3


def test_a_retry_after_that_is_a_date_is_told_as_a_wait():
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    found = refusal(429, (), "Mon, 02 Mar 2026 12:02:00 GMT", cure="", now=now)
    assert found.retry_after == timedelta(minutes=2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"error": {"details": [{"reason": "SERVICE_DISABLED"}, {"other": 1}]}}', {"SERVICE_DISABLED"}),
        (b"<html>", set()),
        (b'{"error": "text"}', set()),
        (b"[]", set()),
    ],
)
def test_the_reasons_of_an_answer_are_read_whatever_it_is(content, expected):
    assert reasons(content) == expected


def test_googles_libraries_are_not_loaded_before_they_are_used():
    code = (
        "import sys, guardian.cli, guardian.application.root, guardian.application.check.checkup;"
        "print([name for name in sys.modules if name.split('.')[0] in ('google', 'googleapiclient', 'httplib2')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


async def test_without_googles_libraries_the_cure_is_named(google, transport, monkeypatch):
    monkeypatch.setitem(sys.modules, "httplib2", None)
    with pytest.raises(LoginRefused, match=r"pip install 'usage-guardian\[gmail\]'$"):
        await send(transport())

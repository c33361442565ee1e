"""Trying a mail server: what is said of real ones, and that nothing is sent."""

import ssl

import pytest
from aiosmtpd.smtp import AuthResult

from guardian.application.check.probe import probe_smtp
from guardian.mail.transport import DeliveryError
from guardian.settings.schema import SmtpSettings
from tests.support.mail_servers import AnyPort, make_certificate


class Server:
    """Accepts mail from all but one sender, and keeps it."""

    def __init__(self):
        self.mails = []

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address == "stranger@example.com":
            return "550 5.7.1 not yours"
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and its key, in one file."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def serve(certificate):
    """Starts a mail server that knows one login, user with the password right; its port."""
    running = []

    def login(server, session, envelope, mechanism, data):
        right = (data.login, data.password) == (b"user", b"right")
        return AuthResult(success=right, handled=False)

    def started(*, starttls=False, tls=False, auth=False, handler=None, utf8=False):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        controller = AnyPort(
            handler or Server(),
            ssl_context=context if tls else None,
            tls_context=context if starttls else None,
            authenticator=login if auth else None,
            auth_required=auth,
            enable_SMTPUTF8=utf8,
            auth_require_tls=starttls,
        )
        controller.start()
        running.append(controller)
        return controller.port

    yield started
    for controller in running:
        controller.stop()


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


async def verdict(port, sender="guardian@example.com", recipients=(), **more):
    smtp = SmtpSettings(host="127.0.0.1", port=port, timeout_seconds=60, **more)
    try:
        level, text = "ok", await probe_smtp(smtp, sender, recipients)
    except DeliveryError as error:
        level, text = "error", str(error)
    assert str(more.get("password")) not in text
    return level, text.replace(f"127.0.0.1:{port} ", "")


async def test_a_server_that_encrypts_and_lets_in_is_fine(serve, trusted):
    port = serve(starttls=True, auth=True)
    assert await verdict(port, username="user", password="right") == (
        "ok",
        "takes mail from guardian@example.com: STARTTLS, logged in as user",
    )
    assert await verdict(serve(tls=True), security="tls") == (
        "ok",
        "takes mail from guardian@example.com: TLS, without a login",
    )


async def test_a_refused_login_is_named_without_the_password(serve, trusted):
    assert await verdict(serve(starttls=True, auth=True), username="user", password="wrong") == (
        "error",
        "refuses the login (535): check username and password of mail.smtp",
    )


LOGIN = {"username": "user", "password": "right"}


class WithoutLogin(Server):
    """Offers no AUTH."""

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [line for line in responses if "AUTH" not in line]


@pytest.mark.parametrize(
    ("server", "settings", "said"),
    [
        ({}, {"security": "none"}, "does not offer AUTH, a login, without encryption: set security = 'starttls' or"),
        ({"starttls": True}, {}, "does not offer AUTH, a login: remove username and password, or"),
        ({"tls": True}, {"security": "tls"}, "does not offer AUTH, a login: remove username and password, or"),
    ],
)  # fmt: skip
async def test_a_server_that_offers_no_login_is_told_from_one_without_starttls(serve, trusted, server, settings, said):
    level, text = await verdict(serve(**server, handler=WithoutLogin()), **LOGIN, **settings)
    assert level == "error"
    assert text.startswith(said)


class ByToken(Server):
    """Offers a login by OAuth alone."""

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [*[line for line in responses[:-1] if "AUTH" not in line], "250-AUTH XOAUTH2", "250 HELP"]


async def test_a_server_that_takes_tokens_alone_is_told_from_one_without_a_login(serve, trusted):
    assert await verdict(serve(tls=True, handler=ByToken()), security="tls", **LOGIN) == (
        "error",
        "does not offer a login by password: set mail.smtp.auth = 'xoauth2' and a token, or check mail.smtp.host",
    )


class Refusing(Server):
    """Answers MAIL with this."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    async def handle_MAIL(self, server, session, envelope, address, options):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("530 5.7.0 Authentication required", "wants a login (530): set username and password of mail.smtp"),
        ("530 Access denied", "wants a login (530): set username and password of mail.smtp"),
        ("550 5.7.1 You must authenticate first", "wants a login (550): set username and password of mail.smtp"),
        ("530 5.7.0 Must issue a STARTTLS command first",
         "wants an encrypted connection (530): set security = 'starttls' or 'tls' in mail.smtp"),
        ("538 5.7.11 no", "wants an encrypted connection (538): set security = 'starttls' or 'tls' in mail.smtp"),
        ("550 5.7.1 not yours", "takes no mail from guardian@example.com (550): set mail.sender to an address it"),
        ("451 4.7.1 Authentication required later", "takes no mail from guardian@example.com (451): set mail.sender"),
    ],
)  # fmt: skip
async def test_a_server_that_wants_a_login_or_encryption_first_says_so(serve, answer, said):
    level, text = await verdict(serve(handler=Refusing(answer)), security="none")
    assert (level, text[: len(said)]) == ("error", said)


async def test_a_server_that_wants_another_login_says_so(serve, trusted):
    port = serve(starttls=True, auth=True, handler=Refusing("530 5.7.0 Authentication required"))
    assert await verdict(port, **LOGIN) == (
        "error",
        "wants another login (530): check username and password of mail.smtp",
    )


async def test_a_certificate_that_nobody_vouches_for_is_refused(serve):
    level, text = await verdict(serve(starttls=True))
    assert level == "error"
    assert text.startswith("has a certificate that is not valid for 127.0.0.1 (self")


async def test_a_server_without_starttls_is_refused_with_the_cure(serve):
    assert await verdict(serve()) == (
        "error",
        "does not offer STARTTLS: use smtps://, or ?security=none for a server on this machine",
    )


async def test_tls_to_a_server_that_speaks_plainly_is_explained(serve):
    assert await verdict(serve(), security="tls") == (
        "error",
        "does not speak TLS from the first byte: use smtp:// (STARTTLS) instead of smtps://",
    )


async def test_a_sender_that_the_server_refuses_is_named(serve):
    assert await verdict(serve(), sender="stranger@example.com", security="none") == (
        "error",
        "takes no mail from stranger@example.com (550): set mail.sender to an address it may send for",
    )


async def test_a_port_where_nobody_listens_is_explained(serve):
    level, text = await verdict(1, security="none")
    assert level == "error"
    assert text == "cannot be reached (Connection refused): check host and port of mail.smtp, and the firewall"


async def test_nothing_is_sent_by_a_check(serve):
    handler = Server()
    assert (await verdict(serve(handler=handler), security="none"))[0] == "ok"
    assert handler.mails == []


async def test_an_address_in_another_script_needs_a_server_that_knows_them(serve, trusted):
    for sender, recipients in (("guardian@example.com", ["ann@bücher.example", "josé@example.com"]),
                               ("josé@example.com", [])):  # fmt: skip
        assert await verdict(serve(), sender, recipients, security="none") == (
            "error",
            "does not take addresses in other scripts (SMTPUTF8): write another address than josé@example.com",
        )
    for sender in ("guardian@example.com", "josé@bücher.example"):
        level, text = await verdict(serve(utf8=True), sender, ["josé@example.com"], security="none")
        assert (level, text) == ("ok", f"takes mail from {sender}: no encryption, without a login")

"""Trying a mail server: what is said of real ones, and that nothing is sent."""

import ssl

import pytest
from aiosmtpd.smtp import AuthResult

from guardian.config import SmtpSettings
from guardian.mail.probe import probe_smtp
from guardian.mail.transport import DeliveryError
from tests.mail_servers import AnyPort, make_certificate


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

    def started(*, starttls=False, tls=False, auth=False, handler=None):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        controller = AnyPort(
            handler or Server(),
            ssl_context=context if tls else None,
            tls_context=context if starttls else None,
            authenticator=login if auth else None,
            auth_required=auth,
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


async def verdict(port, sender="guardian@example.com", **more):
    smtp = SmtpSettings(host="127.0.0.1", port=port, timeout_seconds=5, **more)
    try:
        level, text = "ok", await probe_smtp(smtp, sender)
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

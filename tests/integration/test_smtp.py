"""The SMTP transport against real servers that behave badly: what became of the message is told truly."""

import asyncio
import base64
import ssl

import aiosmtplib.protocol
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import SecretStr

from guardian.application.check.probe import probe_smtp
from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, UnknownOutcome, Unreachable
from guardian.mail.transports.files import FileTransport
from guardian.mail.transports.smtp import SmtpTransport
from guardian.settings.schema import SmtpSettings
from tests.support.google_server import Google
from tests.support.mail_servers import make_certificate

MESSAGE = b"From: g@example.com\r\nTo: a@example.org\r\nSubject: Hi\r\n\r\nHello\r\n.\r\nline after a dot\r\n"


class Server:
    """A handler whose answers are set by the test; it keeps what it accepted."""

    def __init__(self, *, rcpt=None, data=None, mail=None):
        self.kept, self.connections = [], 0
        self.rcpt, self.data, self.mail = rcpt or {}, data, mail

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.mail:
            return self.mail
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.rcpt:
            return self.rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if callable(self.data):
            return await self.data(server)
        if self.data:
            return self.data
        self.kept.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and its key, in one file."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
async def serve(certificate):
    """Start a server; the transport to it."""
    running, transports = [], []

    async def start(handler, *, security="none", trust=True, tls=None, timeout=60, login=None, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        offered = tls or security
        if offered == "starttls":
            options["tls_context"] = context
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(handler, hostname="localhost", **options),
            "127.0.0.1", 0, ssl=context if offered == "tls" else None,
        )  # fmt: skip
        running.append(server)
        if login is None:
            login = {"username": "ann", "password": SecretStr("right")} if options.get("authenticator") else {}
        port = server.sockets[0].getsockname()[1]
        settings = SmtpSettings(host="127.0.0.1", port=port, security=security, timeout_seconds=timeout, **login)
        trusted = ssl.create_default_context(cafile=str(certificate)) if trust else None
        transports.append(SmtpTransport(settings, tls_context=trusted))
        return transports[-1]

    yield start
    for transport in transports:
        await transport.close()
    for server in running:
        server.close()


def send(transport, recipient="a@example.org"):
    return transport.send(MESSAGE, sender="g@example.com", recipient=recipient)


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_a_message_arrives_byte_for_byte(serve, security):
    handler = Server()
    await send(await serve(handler, security=security))
    assert handler.kept == [("g@example.com", ["a@example.org"], MESSAGE)]


async def test_one_connection_carries_several_messages(serve):
    handler = Server(rcpt={"gone@example.org": "550 no such user"})
    transport = await serve(handler)
    await send(transport)
    with pytest.raises(PermanentError, match=r"^the server refuses the recipient for good \(550\)$"):
        await send(transport, "gone@example.org")
    await send(transport, "b@example.org")
    assert [rcpt for _, rcpt, _ in handler.kept] == [["a@example.org"], ["b@example.org"]]
    assert handler.connections == 1


INTERNATIONAL = "From: g@example.com\r\nReply-To: <hilfé@example.com>\r\nTo: {}\r\n\r\nHello\r\n"


async def test_a_recipient_in_another_script_is_sent_to_with_smtputf8_and_a_domain_in_ascii(serve):
    handler, options = Server(), []
    handler.handle_MAIL = lambda *given: options.extend(given[4]) or kept_sender(*given)
    transport = await serve(handler, enable_SMTPUTF8=True)
    message = INTERNATIONAL.format("<josé@xn--bcher-kva.example>").encode()
    await transport.send(message, sender="g@example.com", recipient="josé@bücher.example")
    assert handler.kept == [("g@example.com", ["josé@xn--bcher-kva.example"], message)]
    assert options == ["SMTPUTF8", "BODY=8BITMIME"]


async def kept_sender(server, session, envelope, address, options):
    envelope.mail_from = address
    return "250 OK"


async def test_a_server_without_smtputf8_costs_the_mail_to_that_recipient_and_no_other(serve):
    handler = Server()
    transport = await serve(handler)
    message = INTERNATIONAL.format("<josé@example.org>").encode()
    with pytest.raises(PermanentError, match=r"does not take addresses in other scripts .* the recipient's address"):
        await transport.send(message, sender="g@example.com", recipient="josé@example.org")
    with pytest.raises(Unreachable, match="to an address in ASCII"):
        await transport.send(message, sender="gé@example.com", recipient="a@example.org")
    await transport.send(
        INTERNATIONAL.format("a@example.org").encode(), sender="g@example.com", recipient="a@example.org"
    )
    assert handler.kept[0][2] == b"From: g@example.com\r\nTo: a@example.org\r\n\r\nHello\r\n"
    assert handler.connections == 1


async def test_a_domain_in_another_script_needs_no_smtputf8(serve):
    handler = Server()
    await send(await serve(handler), "a@bücher.example")
    assert handler.kept[0][1] == ["a@xn--bcher-kva.example"]


async def test_a_recipient_that_no_message_can_be_sent_to_is_refused_for_good_without_asking_the_server(serve):
    handler = Server()
    with pytest.raises(PermanentError, match="two in a row"):
        await send(await serve(handler), "a..b@example.org")
    assert handler.connections == 0


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
async def test_a_server_that_has_had_enough_of_a_kept_connection_gets_the_mail_over_a_new_one_at_once(serve, command):
    handler = Server()
    transport = await serve(handler)
    await send(transport)
    tired = "421 4.7.0 too many messages in this session"
    before = handler.handle_EHLO

    async def rested(server, session, envelope, hostname, responses):
        handler.mail, handler.data, handler.rcpt = None, None, {}
        return await before(server, session, envelope, hostname, responses)

    handler.handle_EHLO = rested
    setattr(handler, command, {"b@example.org": tired} if command == "rcpt" else tired)
    await send(transport, "b@example.org")
    assert [rcpt for _, rcpt, _ in handler.kept] == [["a@example.org"], ["b@example.org"]]
    assert handler.connections == 2


async def test_a_server_that_closes_a_new_connection_is_not_asked_again_at_once(serve):
    handler = Server(mail="421 come back later")
    with pytest.raises(DeliveryError, match=r"closes the connection \(421\)"):
        await send(await serve(handler))
    assert handler.connections == 1


@pytest.mark.parametrize(
    ("handler", "error", "words"),
    [
        (Server(rcpt={"a@example.org": "451 greylisted, come back"}), DeliveryError, "does not take the recipient now"),
        (Server(rcpt={"a@example.org": "552 over quota"}), PermanentError, "refuses the recipient for good"),
        (Server(mail="550 not you"), PermanentError, "refuses the sender for good"),
        (Server(data="554 looks like spam"), PermanentError, "refuses the message for good"),
        (Server(data="452 disk full"), DeliveryError, "does not take the message now"),
    ],
)
async def test_a_refusal_is_for_good_or_for_now(serve, handler, error, words):
    with pytest.raises(DeliveryError, match=words) as caught:
        await send(await serve(handler))
    assert type(caught.value) is error
    assert handler.kept == []


async def test_a_connection_that_breaks_after_the_data_leaves_it_open_whether_it_was_sent(serve):
    async def cut(server):
        server.transport.abort()
        return "250 OK"

    transport = await serve(Server(data=cut))
    with pytest.raises(UnknownOutcome, match="the connection broke while the message was sent"):
        await send(transport)


async def test_a_server_that_never_answers_after_the_data_leaves_it_open_too(serve):
    async def hang(server):
        await asyncio.Event().wait()

    class Hasty(Server):
        async def handle_RCPT(self, *given):
            assert transport._client.timeout == 60
            transport._client.timeout = 0.1  # from here on, so that it cannot run out before the data
            return await super().handle_RCPT(*given)

    transport = await serve(Hasty(data=hang), timeout=60)
    with pytest.raises(UnknownOutcome):
        await send(transport)


async def test_after_a_broken_connection_the_next_message_takes_a_new_one(serve):
    broken = []

    async def cut_once(server):
        if not broken:
            broken.append(1)
            server.transport.abort()
        return "250 OK"

    transport = await serve(Server(data=cut_once))
    with pytest.raises(UnknownOutcome):
        await send(transport)
    await send(transport)


async def test_after_a_send_that_was_stopped_no_answer_is_taken_for_that_of_the_next_message(serve):
    reached, answer, calls = asyncio.Event(), asyncio.Event(), []

    async def slow_then_refusing(server):
        calls.append(1)
        if len(calls) == 2:
            reached.set()
            await answer.wait()
        return "554 looks like spam" if len(calls) == 3 else "250 OK"

    transport = await serve(Server(data=slow_then_refusing))
    await send(transport)
    stopped = asyncio.create_task(send(transport))
    await asyncio.wait_for(reached.wait(), 60)
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    answer.set()
    with pytest.raises(PermanentError, match="refuses the message for good"):
        await send(transport)


async def test_a_server_without_starttls_gets_no_mail(serve):
    handler = Server()
    transport = await serve(handler, security="starttls", tls="none")
    with pytest.raises(Unreachable, match="it does not offer STARTTLS"):
        await send(transport)
    assert handler.kept == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_mail(serve, security):
    handler = Server()
    transport = await serve(handler, security=security, trust=False)
    with pytest.raises(Unreachable, match="certificate"):
        await send(transport)
    assert handler.kept == []


@pytest.mark.parametrize(("password", "reaches"), [(b"right", True), (b"other", False)])
async def test_a_login_that_is_refused_says_so_without_the_password(serve, password, reaches):
    handler = Server()

    def check(server, session, envelope, mechanism, data):
        return AuthResult(success=data.password == password, handled=False)

    transport = await serve(handler, security="starttls", authenticator=check, auth_required=True)
    if reaches:
        return await send(transport)
    with pytest.raises(Unreachable, match=r"^127.0.0.1 refuses the login \(535\): check mail.smtp$"):
        await send(transport)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (Server(mail="530 5.7.0 Authentication required"), "wants a login (530): set username and"),
        (Server(rcpt={"a@example.org": "530 log in"}), "wants a login (530): set username and password of mail.smtp"),
        (Server(data="530 5.7.0 Must issue a STARTTLS command first"), "wants an encrypted connection (530)"),
    ],
)  # fmt: skip
async def test_a_login_that_is_wanted_first_is_no_refusal_of_the_message(serve, handler, said):
    transport = await serve(handler)
    with pytest.raises(LoginRefused) as caught:
        await send(transport)
    assert str(caught.value).startswith(f"127.0.0.1 {said}")


async def test_a_server_without_a_login_is_not_said_to_lack_starttls(serve):
    transport = await serve(Server(), login={"username": "u", "password": SecretStr("p")})
    with pytest.raises(Unreachable, match=r"cannot be used \(it does not offer AUTH, a login\)"):
        await send(transport)


class Xoauth2(Server):
    """Takes one access token of one user, by AUTH XOAUTH2, as Google's server does."""

    async def auth_XOAUTH2(self, server, args):
        given = base64.b64decode(args[1])
        if given == b"user=ann@example.com\x01auth=Bearer token-1\x01\x01":
            return AuthResult(success=True, auth_data=given)
        await server.challenge_auth(b'{"status": "400"}')
        return AuthResult(success=False, handled=False)


@pytest.fixture
def google():
    server = Google()
    yield server
    server.close()


@pytest.mark.parametrize(("user", "reaches"), [("ann@example.com", True), ("bob@example.com", False)])
async def test_an_access_token_logs_in_instead_of_a_password(serve, google, tmp_path, user, reaches):
    path = google.token_file(tmp_path / "token.json", scopes=["https://mail.google.com/"])
    handler = Xoauth2()
    login = {"auth": "xoauth2", "username": user, "token_file": path}
    transport = await serve(handler, security="starttls", login=login, auth_required=True)
    if reaches:
        await send(transport)
        assert len(handler.kept) == 1
        return
    with pytest.raises(LoginRefused, match=r"^127.0.0.1 refuses the login \(535\): run 'guardian gmail login --smtp'$"):
        await send(transport)


async def test_a_login_that_is_refused_for_now_is_no_matter_for_a_person(serve):
    def check(server, session, envelope, mechanism, data):
        return AuthResult(success=False, handled=False, message="454 temporary failure")

    transport = await serve(Server(), security="starttls", authenticator=check, auth_required=True)
    with pytest.raises(Unreachable, match=r"refuses the login \(454\)") as caught:
        await send(transport)
    assert not isinstance(caught.value, LoginRefused)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("ann@example.com", "takes mail from g@example.com: STARTTLS, logged in as ann@example.com"),
        ("bob@example.com", "refuses the login (535): check username, and whose token it is, of mail.smtp"),
    ],
)
async def test_check_logs_in_with_an_access_token_too(serve, google, tmp_path, certificate, monkeypatch, user, said):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    path = google.token_file(tmp_path / "token.json", scopes=["https://mail.google.com/"])
    login = {"auth": "xoauth2", "username": user, "token_file": path}
    handler = Xoauth2()
    transport = await serve(handler, security="starttls", login=login, auth_required=True)
    try:
        found = await probe_smtp(transport._settings, "g@example.com")
    except DeliveryError as error:
        found = str(error)
    assert found.partition(" ")[2] == said
    assert handler.kept == []


async def test_without_an_access_token_the_server_is_not_troubled_with_a_login(serve, google, tmp_path):
    google.token_answers = [(400, {"error": "invalid_grant"}, {})]
    path = google.token_file(tmp_path / "token.json", scopes=["https://mail.google.com/"])
    login = {"auth": "xoauth2", "username": "ann@example.com", "token_file": path}
    transport = await serve(Xoauth2(), security="starttls", login=login, auth_required=True)
    with pytest.raises(LoginRefused, match=r"^Google refuses the login \(invalid_grant\)"):
        await send(transport)


async def test_a_server_that_knows_no_access_tokens_is_told_apart(serve, google, tmp_path):
    path = google.token_file(tmp_path / "token.json", scopes=["https://mail.google.com/"])
    login = {"auth": "xoauth2", "username": "ann@example.com", "token_file": path}
    transport = await serve(Server(), security="starttls", login=login)
    with pytest.raises(Unreachable, match="it does not offer XOAUTH2"):
        await send(transport)


async def test_a_server_that_is_not_there_is_unreachable():
    transport = SmtpTransport(SmtpSettings(host="127.0.0.1", port=1, security="none"))
    with pytest.raises(Unreachable, match=r"^127.0.0.1:1 cannot be used"):
        await send(transport)


async def test_mail_without_a_server_goes_into_files_that_only_the_owner_reads(tmp_path, caplog):
    transport = FileTransport(tmp_path / "mail")
    await send(transport)
    await send(transport, "b@example.org")
    files = sorted((tmp_path / "mail").iterdir())
    assert [path.read_bytes() for path in files] == [MESSAGE, MESSAGE]
    assert {path.suffix for path in files} == {".eml"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert caplog.text.count("No mail server is configured") == 1


async def test_a_large_message_goes_out_in_pieces_so_that_the_loop_goes_on(serve, monkeypatch):
    server, written, real = Server(), [], aiosmtplib.protocol.SMTPProtocol.write
    monkeypatch.setattr(
        aiosmtplib.protocol.SMTPProtocol, "write", lambda self, data: written.append(len(data)) or real(self, data)
    )
    transport = await serve(server)
    large = MESSAGE + b"a line of the file that goes along\r\n" * 20_000
    await transport.send(large, sender="g@example.com", recipient="a@example.org")
    assert server.kept == [("g@example.com", ["a@example.org"], large)]
    assert max(written) < 70_000
    assert len(written) > 10


@pytest.mark.parametrize("refused", [True, False])
async def test_what_a_server_says_before_it_has_the_whole_message_counts(refused):
    async def serve_one(reader, writer):
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if not line.startswith(b"DATA"):
                writer.write(b"250 fine\r\n")
                continue
            writer.write(b"354 go on\r\n")
            await reader.readline()
            if not refused:
                break
            writer.write(b"552 too large\r\n")
            await reader.readuntil(b"\r\n.\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, limit=2**24)
    port = server.sockets[0].getsockname()[1]
    transport = SmtpTransport(SmtpSettings(host="127.0.0.1", port=port, security="none", timeout_seconds=30))
    try:
        with pytest.raises(PermanentError if refused else UnknownOutcome):
            await transport.send(MESSAGE * 50_000, sender="g@example.com", recipient="a@example.org")
    finally:
        await transport.close()
        server.close()

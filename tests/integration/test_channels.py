"""Channels over real HTTP: what goes out for each service, and what each failure is taken for."""

import asyncio
import json
import logging
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import apprise
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from guardian.core.outgoing import Outgoing
from guardian.mail.channels.client import LARGEST_ANSWER, Client
from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.sender import Request
from guardian.mail.channels.transport import ChannelTransport
from guardian.mail.circuits import Circuits
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome, Unreachable
from guardian.mail.transports import build_transports
from guardian.settings.channels import ChannelSettings
from guardian.settings.schema import Settings
from guardian.stores.sqlite.state import SqliteStateStore
from tests.support.delivering import deliver_due

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NASTY = "<!channel> @everyone @here <@123> <@&55> <at>Bob</at> **b** `c` [l](http://x.test) <b>h</b> :fire: {{DATE(x)}}"
TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}"


class Server:
    """A web server on loopback: answers each request with the next of `answers` (the last is repeated), keeps all."""

    def __init__(self, tls=None):
        self.answers, self.requests, self.release = [(200, {}, b"ok")], [], threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.path, dict(self.headers), body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer == "hang":
                    outer.release.wait()
                    return
                if answer == "break":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if answer == "endless":
                    self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
                    with suppress(OSError):
                        while not outer.release.is_set():
                            self.wfile.write(b"x" * 65536)
                    return
                status, headers, content = answer
                self.send_response_only(status)
                own = {"Content-Length": str(len(content)), "Date": self.date_time_string()}
                for name, value in (own | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def sent(self):
        """The JSON of the only request."""
        [(_, _, body)] = self.requests
        return json.loads(body)

    def close(self):
        self.release.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@contextmanager
def serving(tls=None):
    server = Server(tls)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server():
    with serving() as found:
        yield found


@pytest.fixture
def tls(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost.example.com")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost.example.com")]), critical=False)
        .serial_number(1).not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "server.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form) + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return SimpleNamespace(context=context, certificate=certificate.public_bytes(serialization.Encoding.DER))


def transport(url, allow_private=True, **options):
    return ChannelTransport("ops", ChannelSettings(url=url, allow_private=allow_private), **options)


class Wire(httpx2.AsyncBaseTransport):
    """The internet, as far as these tests go: whatever host is asked for, the server on loopback is, without TLS."""

    def __init__(self, server):
        self.server, self.real, self.urls = server, httpx2.AsyncHTTPTransport(trust_env=False), []

    def __call__(self, verify):
        return self

    async def handle_async_request(self, request):
        self.urls.append(str(request.url))
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.server.port)
        return await self.real.handle_async_request(
            httpx2.Request(
                request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
            )
        )


def webhook(server, **options):
    return transport(f"json://user:hunter22@127.0.0.1:{server.port}/hook", **options)


def message(title="Error rate above 10%", text="12% failed.", **options):
    return ChannelMessage(title, text, **{"severity": "critical", "url": "https://g.example.com"} | options).packed()


async def send(carrier, body=None):
    await carrier.send(body or message(), sender="", recipient="ops")


# What goes out.


async def test_slack_pings_and_formats_nothing(server):
    await send(transport(SLACK, wire=Wire(server)), message(f"Down: {NASTY}", NASTY))
    assert server.requests[0][0] == f"/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN}"
    harmless = (
        "&lt;!channel&gt; @\u200beveryone @\u200bhere &lt;@\u200b123&gt; &lt;@\u200b&amp;55&gt; &lt;at&gt;"
        "Bob&lt;/at&gt; **b** `c` [l](http://x.test) &lt;b&gt;h&lt;/b&gt; :\u200bfire: {{DATE(x)}}"
    )
    [attachment] = server.sent["attachments"]
    assert server.sent["mrkdwn"] is False and "mrkdwn_in" not in attachment
    assert attachment["title"] == f"Down: {harmless}"
    assert attachment["text"] == f"{harmless}\n\nhttps://g.example.com"
    assert "icon_url" not in server.sent


async def test_discord_pings_and_formats_nothing(server):
    server.answers = [(204, {}, b"")]
    address = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    await send(transport(address, wire=Wire(server)), message("Down", NASTY))
    assert server.sent["content"] == (
        "Down\r\n"
        "\\<\\!channel\\> @\u200beveryone @\u200bhere \\<@\u200b123\\> \\<@\u200b\\&55\\> \\<at\\>Bob\\</at\\> "
        "\\*\\*b\\*\\* \\`c\\` \\[l\\]\\(http\\://x\\.test\\) \\<b\\>h\\</b\\> \\:fire\\: \\{\\{DATE\\(x\\)\\}\\}"
        "\n\nhttps://g.example.com"
    )
    assert server.sent["allowed_mentions"] == {"parse": [], "users": [], "roles": []}
    assert "embeds" not in server.sent and "avatar_url" not in server.sent


async def test_teams_pings_and_formats_nothing(tls):
    with serving(tls.context) as server:
        server.answers = [(202, {}, b"")]
        carrier = transport(f"workflows://127.0.0.1:{server.port}/aaaa/bbbb?verify=no")
        await send(carrier, message(f"Down: {NASTY}", f"{NASTY}\nsecond"))
        content = server.sent["attachments"][0]["content"]
    harmless = (
        "\\<\\!channel\\> @\u200beveryone @\u200bhere \\<@\u200b123\\> \\<@\u200b\\&55\\> \\<at\\>Bob\\</at\\> "
        "\\*\\*b\\*\\* \\`c\\` \\[l\\]\\(http\\://x\\.test\\) \\<b\\>h\\</b\\> \\:fire\\: \\{\\{DATE\\(x\\)\\}\\}"
    )
    title, text = content["body"]
    assert title["text"] == f"Down\\: {harmless}"
    assert text["text"] == f"{harmless}\n\nsecond\n\nhttps://g.example.com"
    assert content["msteams"] == {"width": "full"}


async def test_ntfy_gets_plain_text_and_a_link(server):
    await send(transport(f"ntfy://127.0.0.1:{server.port}/topic"), message("Down", NASTY))
    [(_, headers, _)] = server.requests
    assert server.sent == {"topic": "topic", "title": "Down", "message": NASTY}
    assert headers["X-Click"] == "https://g.example.com"
    assert "X-Markdown" not in headers and "X-Icon" not in headers


async def test_ntfy_gets_a_long_message_as_a_message_not_as_a_file(server):
    await send(transport(f"ntfy://127.0.0.1:{server.port}/topic"), message("Down", "Ж" * 5000))
    assert len(server.sent["message"]) == 1000 and server.sent["message"].endswith("Ж…")


async def test_pagerduty_gets_one_incident_a_thread_and_its_end(server):
    server.answers = [(202, {}, b"{}")]
    carrier = transport("pagerduty://A1BRTD4JDTIiajkdnlazk@b1234567890", wire=Wire(server))
    await send(carrier, message("Down", NASTY, thread="i-1"))
    await send(carrier, message("Down", "Well again.", thread="i-1", resolved=True))
    opened, resolved = (json.loads(body) for _, _, body in server.requests)
    assert opened["event_action"] == "trigger" and opened["dedup_key"] == "i-1"
    assert opened["payload"]["severity"] == "critical"
    assert opened["payload"]["summary"].split("\n")[-1] == NASTY
    assert opened["links"] == [{"href": "https://g.example.com"}] and "images" not in opened
    assert resolved["event_action"] == "resolve" and resolved["dedup_key"] == "i-1"


async def test_a_webhook_gets_the_facts_as_json(server):
    server.answers = [(204, {}, b"")]
    await send(webhook(server), message("Down", NASTY, thread="i-1", severity="warning"))
    assert server.sent == {
        "version": "1.0", "title": "Down", "message": NASTY, "attachments": [], "type": "warning",
        "severity": "warning", "url": "https://g.example.com", "thread": "i-1", "resolved": False,
        "over": False, "change": "",
    }  # fmt: skip
    assert server.requests[0][1]["Authorization"].startswith("Basic ")


# What becomes of it.


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((500, {}, b""), DeliveryError, "the webhook answered 500 Internal Server Error"),
        ((503, {}, b""), DeliveryError, "the webhook answered 503 Service Unavailable"),
        ((429, {}, b""), DeliveryError, "the webhook answered 429 Too Many Requests"),
        ((504, {}, b""), UnknownOutcome, "the webhook answered 504 Gateway Timeout, so it may have been sent"),
        ((404, {}, b""), PermanentError, "the webhook answered 404 Not Found"),
        ((401, {}, b""), PermanentError, "the webhook answered 401 Unauthorized"),
        ("break", UnknownOutcome, "the connection to the webhook broke before its answer, so it may have been sent"),
        ((200, {"Content-Length": "500"}, b"short"), None, ""),
    ],
)
async def test_each_answer_has_its_meaning(server, answer, error, said):
    server.answers = [answer]
    if error is None:
        await send(webhook(server))
        return
    with pytest.raises((DeliveryError, UnknownOutcome)) as caught:
        await send(webhook(server))
    assert (caught.type, str(caught.value)) == (error, said)
    assert len(server.requests) == 1


async def test_a_server_that_hangs_is_given_up_and_its_thread_ends(server, monkeypatch):
    @asynccontextmanager
    async def timeout(seconds):
        """The time is over as soon as the server has the request."""
        assert seconds == 45
        async with asyncio.timeout(None) as limit:
            over = asyncio.create_task(until_asked(limit))
            yield
            over.cancel()

    async def until_asked(limit):
        while not server.requests:
            await asyncio.sleep(0.01)
        limit.reschedule(0)

    monkeypatch.setattr(
        "guardian.mail.channels.transport.asyncio", SimpleNamespace(**{**vars(asyncio), "timeout": timeout})
    )
    server.answers = ["hang"]
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    with pytest.raises(UnknownOutcome, match=r"did not answer within 45 s, so it may have been sent"):
        await send(webhook(server, seconds=45))
    assert len(server.requests) == 1
    async with asyncio.timeout(60):  # the only thread is free again, though the server hangs on
        await asyncio.to_thread(lambda: None)


async def test_a_closed_port_is_unreachable():
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"the webhook cannot be reached: no connection \(Connection refused\)"):
            await send(transport(f"json://127.0.0.1:{taken.getsockname()[1]}/x"))


async def test_a_name_that_is_not_there_is_unreachable(monkeypatch):
    def nowhere(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(Unreachable, match="the webhook cannot be reached: its name does not resolve"):
        await send(transport("jsons://hooks.example.com/x"))


async def test_a_certificate_that_is_not_trusted_stops_before_anything_is_sent(tls):
    with serving(tls.context) as server:
        with pytest.raises(Unreachable, match="its TLS certificate is not trusted"):
            await send(transport(f"jsons://127.0.0.1:{server.port}/x"))
        assert server.requests == []


async def test_a_redirect_is_not_followed(server):
    with serving() as inner:
        server.answers = [(302, {"Location": f"http://127.0.0.1:{inner.port}/latest/meta-data"}, b"")]
        with pytest.raises(PermanentError, match="answered 302 Found: redirects are not followed"):
            await send(webhook(server))
        assert inner.requests == []


async def test_a_name_that_turns_private_is_refused_before_a_connection(server):
    carrier = transport(f"json://localtest.example.com:{server.port}/x", allow_private=False)
    real = socket.getaddrinfo

    def rebound(host, port, *args, **options):
        return real("127.0.0.1" if host == "localtest.example.com" else host, port, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", rebound)
        with pytest.raises(PermanentError, match="its host has a private address, which is refused unless"):
            await send(carrier)
    assert server.requests == []


async def test_the_connection_goes_to_the_address_that_was_looked_at(server, monkeypatch):
    asked, tried = [], []
    real = socket.getaddrinfo

    def rebinding(host, port, *args, **options):
        if host == "rebind.example.com":
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8" if len(asked) == 1 else "127.0.0.1", port))]
        return real(host, port, *args, **options)

    class Refused(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            tried.append((request.url.host, request.url.port))
            raise httpx2.ConnectError("refused") from ConnectionRefusedError(111, "Connection refused")

    carrier = transport(
        f"json://rebind.example.com:{server.port}/x", allow_private=False, wire=lambda verify: Refused()
    )
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with pytest.raises(Unreachable, match=r"cannot be reached: no connection \(Connection refused\)"):
        await send(carrier)
    assert (asked, tried) == (["rebind.example.com"], [("8.8.8.8", server.port)])


async def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    await send(webhook(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_an_answer_says_how_long_it_wants_to_be_left_alone(server, status):
    server.answers = [(status, {"Retry-After": "90"}, b"")]
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        await send(webhook(server))
    assert caught.value.retry_after == timedelta(seconds=90)


async def test_discord_is_asked_once_even_when_it_is_too_often(server):
    reset = str(int(datetime.now(UTC).timestamp()) + 3600)
    limits = {"Retry-After": "3", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset}
    server.answers = [(429, limits, b"")]
    with pytest.raises(DeliveryError, match="Discord answered 429 Too Many Requests"):
        await send(transport("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", wire=Wire(server)))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b'{"ok": false, "error": "channel_not_found"}', PermanentError, "Slack answered with channel_not_found"),
        (b'{"ok": false, "error": "ratelimited"}', DeliveryError, "Slack answered with ratelimited"),
        (b"<html>", DeliveryError, "Slack answered with an answer that is not its ok"),
    ],
)
async def test_slack_says_no_with_a_success(server, content, error, said):
    server.answers = [(200, {}, content)]
    with pytest.raises(DeliveryError) as caught:
        await send(transport("slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#general", wire=Wire(server)))
    assert (caught.type, str(caught.value)) == (error, said)


async def test_no_log_line_and_no_error_has_the_address(server, caplog):
    server.answers = [(200, {}, b"ok"), (500, {}, TOKEN.encode()), "break"]
    said = []
    with caplog.at_level(1):
        carrier = transport(SLACK, wire=Wire(server))
        for _ in range(3):
            try:
                await send(carrier)
            except (DeliveryError, UnknownOutcome) as error:
                said.append(
                    f"{error!r}{error.__cause__!r}{error.__context__ if not error.__suppress_context__ else ''}"
                )
    assert len(said) == 2 and TOKEN not in "".join(said) + caplog.text


async def test_apprise_still_serves_others_in_the_same_process(server, caplog):
    await send(webhook(server))
    server.answers = [(302, {"Location": "/other"}, b""), (200, {}, b"")]
    plugin = apprise.Apprise.instantiate(f"json://127.0.0.1:{server.port}/theirs")
    with caplog.at_level(logging.DEBUG):
        assert plugin.notify("text")
    assert [path for path, _, _ in server.requests] == ["/hook", "/theirs", "/other"]
    assert "JSON POST URL" in caplog.text


async def test_the_server_is_asked_by_its_name_at_the_address_that_was_looked_at(tls, monkeypatch):
    monkeypatch.setattr("guardian.mail.channels.client.public_addresses", lambda host, port: ["127.0.0.2", "127.0.0.1"])
    named, trusting = [], ssl.create_default_context(cadata=tls.certificate)
    tls.context.sni_callback = lambda connection, name, context: named.append(name)
    with serving(tls.context) as server:
        carrier = transport(
            f"jsons://localhost.example.com:{server.port}/x",
            wire=lambda verify: httpx2.AsyncHTTPTransport(verify=trusting),
            allow_private=False,
        )
        await send(carrier)
        [(_, headers, _)] = server.requests
        assert headers["Host"] == f"localhost.example.com:{server.port}"
    assert named == ["localhost.example.com"]  # and the certificate is one for this name


async def test_no_more_of_an_answer_is_read_than_a_service_has_to_say(server):
    server.answers = ["endless"]
    async with asyncio.timeout(60):
        answer = await Client("it", verify=True, allow_private=True).ask(
            Request(f"http://127.0.0.1:{server.port}/", {})
        )
    assert (answer.status, len(answer.content)) == (200, LARGEST_ANSWER)


async def test_another_service_goes_through_apprise_with_its_yes_or_no(server, caplog):
    carrier = transport(f"gotify://127.0.0.1:{server.port}/{TOKEN}")
    with caplog.at_level(1):
        await send(carrier, message("Down", "12% failed for @everyone"))
        assert server.sent["title"] == "Down" and "@\u200beveryone" in server.sent["message"]
        server.answers = [(500, {}, TOKEN.encode())]
        with pytest.raises(DeliveryError, match=r"^Apprise did not send it, and does not say why$"):
            await send(carrier)
    assert TOKEN not in caplog.text


async def test_the_date_until_which_it_wants_that_counts_from_its_own_clock(server):
    wrong = datetime.now(UTC) - timedelta(days=3)
    until = format_datetime(wrong + timedelta(minutes=30), True)
    server.answers = [(503, {"Retry-After": until, "Date": format_datetime(wrong, True)}, b"")]
    with pytest.raises(DeliveryError, match="503") as caught:
        await send(webhook(server))
    assert caught.value.retry_after == timedelta(minutes=30)


# Through the outbox.


@pytest.fixture
async def state(tmp_path):
    store = await SqliteStateStore.open(tmp_path / "state.db")
    yield store
    await store.close()


async def test_the_outbox_delivers_to_mail_and_channel_alike(server, state, tmp_path):
    settings = Settings(
        reports_dir=tmp_path / "reports",
        channels={"ops": {"url": f"json://127.0.0.1:{server.port}/hook", "allow_private": True}},
    )
    carriers = build_transports(settings)
    assert [(each.name, getattr(each, "channel", "mail")) for each in carriers] == [
        ("files", "mail"), ("channel ops", "ops"),
    ]  # fmt: skip
    mail = b"From: guardian@example.com\r\nSubject: s\r\n\r\ntext\r\n"
    await state.enqueue(
        [Outgoing("m", "a@example.com", mail), Outgoing("c", "ops", message(), "alert", "ops")], now=NOW
    )
    server.answers = [(500, {}, b""), (200, {}, b"")]
    counts = await deliver_due(state, carriers, now=NOW, holder="me", random=lambda: 0.0)
    assert (counts.sent, counts.retried, counts.dead) == (1, 1, 0)
    [waiting] = await state.outbox(status="pending")
    assert waiting.last_error == "channel ops: the webhook answered 500 Internal Server Error"
    counts = await deliver_due(state, carriers, now=waiting.next_attempt_at, holder="me")
    assert (counts.sent, len(server.requests)) == (1, 2)


async def test_retry_after_keeps_the_whole_channel_still_and_costs_the_next_messages_no_try(server, state):
    carriers, circuits = [webhook(server)], Circuits()
    await state.enqueue([Outgoing(key, "ops", message(), "alert", "ops") for key in "ab"], now=NOW)
    server.answers = [(429, {"Retry-After": "90"}, b""), (200, {}, b"")]
    tried = []
    for seconds in (0, 80, 95):
        at = NOW + timedelta(seconds=seconds)
        await deliver_due(state, carriers, now=at, holder="me", circuits=circuits, random=lambda: 0.0)
        attempts = sorted(each.attempts for each in await state.outbox(status="pending"))
        tried.append((len(server.requests), attempts))
    assert tried == [(1, [0, 1]), (1, [0, 1]), (3, [])]


async def test_a_channel_that_was_taken_out_is_dead_with_its_reason(state):
    await state.enqueue([Outgoing("c", "ops", message(), "alert", "ops")], now=NOW)
    assert (await deliver_due(state, build_transports(Settings()), now=NOW, holder="me")).dead == 1
    [dead] = await state.outbox(status="dead")
    assert dead.last_error == "nothing is configured that carries ops"

"""Guardian mounted in a host app: when it starts, what a failure costs the host, and N workers that send one mail."""

import asyncio
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import guardian.web.mounted
from guardian.core.schedule import parse_schedule
from guardian.settings.loading import SettingsError
from guardian.stores.sqlite.state import SqliteStateStore
from guardian.web import app as guardian_app
from tests.support.api_client import KEY, SCHEDULER, TOKEN, bearer, make_settings
from tests.support.mail_servers import serving
from tests.support.ports import free_port
from tracker import UsageTrackingMiddleware

HOST = """
import guardian
from starlette.applications import Starlette
from starlette.routing import Mount

mounted = guardian.app("guardian.toml")
app = Starlette(lifespan=mounted.lifespan, routes=[Mount("/ops/guardian", mounted)])
"""
SETTINGS = """
admins = ["admin@example.com"]
schedules = ["{schedule}"]
[mail]
sender = "Guardian <guardian@example.com>"
smtp = {{ host = "127.0.0.1", port = {port}, security = "none" }}
[api]
jwt_key = "{key}"
scheduler_token = "{token}"
"""


class Inbox:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def inbox():
    with serving(Inbox()) as handler:
        yield handler


@contextmanager
def workers(folder, port):
    """Two uvicorn workers of the host app, ended as an operator ends them."""
    command = [sys.executable, "-m", "uvicorn", "host:app", "--workers", "2", "--port", str(port)]
    environment = {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}", "PATH": "/usr/bin:/bin"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


async def eventually(condition, folder, seconds=60.0):
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError((folder / "log").read_text()) from None


async def test_two_workers_send_one_mail(tmp_path, inbox):
    (tmp_path / "host.py").write_text(HOST)
    settings = tmp_path / "guardian.toml"
    # No week ends while this runs.
    schedule = parse_schedule(f"weekly {datetime.now(UTC) + timedelta(days=3):%A} 09:00", "UTC")
    settings.write_text(SETTINGS.format(port=inbox.port, key=KEY, token=TOKEN, schedule=schedule))
    settings.chmod(0o600)
    due = schedule.last_due(datetime.now(UTC))
    ledger = await SqliteStateStore.open(tmp_path / "guardian.db")
    await ledger.claim_period(str(schedule), due.start, due.start, report=None, mails=(), now=due.start)
    await ledger.close()

    port = free_port()
    roles, answers = set(), []
    with workers(tmp_path, port):

        async def ask(method, path, **keys):
            # A new connection each time, so that both workers get some.
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/ops/guardian") as client:
                try:
                    return await client.request(method, path, **keys)
                except httpx2.TransportError:
                    return None

        async def both_answered():
            response = await ask("GET", "/api/guardian/status", headers=bearer())
            if response is not None and response.status_code == 200:
                roles.add(response.json()["leading"])
            return roles == {True, False}

        async def mail_arrived():
            return bool(inbox.mails)

        await eventually(both_answered, tmp_path)
        await eventually(mail_arrived, tmp_path)
        for _ in range(6):
            answers.append((await ask("POST", "/api/guardian/scheduled-report", headers=SCHEDULER)).json())
        document = (await ask("GET", "/openapi.json")).json()
        large = await ask("POST", "/api/usage/cleanup", headers=bearer(), content=b"x" * 1_000_000)
    assert [answer["sent"] for answer in answers] == [False] * 6
    assert [mail["To"] for mail in inbox.mails] == ["admin@example.com"]
    assert document["servers"] == [{"url": "/ops/guardian"}]
    assert large is None or large.status_code == 413


def host(mounted, **keys):
    routes = [Route("/", lambda request: PlainTextResponse("host")), Mount("/guardian", mounted)]
    return Starlette(routes=routes, **keys)


def client_of(app):
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://host")


async def test_without_a_lifespan_guardian_starts_with_its_first_request(tmp_path):
    mounted = guardian_app(make_settings(tmp_path))
    async with client_of(host(mounted)) as client:
        assert (await client.get("/")).text == "host"
        assert not (tmp_path / "guardian.db").exists()
        many = await asyncio.gather(*(client.get("/guardian/api/guardian/status", headers=bearer()) for _ in range(5)))
        assert [each.json()["leading"] for each in many] == [True] * 5
    async with mounted.lifespan():
        pass


async def test_guardians_own_pages_are_no_use_of_the_app_around_them(tmp_path):
    mounted = guardian_app(make_settings(tmp_path))
    tracked = UsageTrackingMiddleware(host(mounted), tmp_path / "guardian.db")
    async with mounted.lifespan(), client_of(tracked) as client:
        assert (await client.get("/")).text == "host"
        assert (await client.get("/guardian/api/guardian/status", headers=bearer())).status_code == 200
        assert tracked.recorder.flush()
    assert tracked.recorder.stats() == (1, 1, 0, 0)
    tracked.recorder.close()


async def test_in_the_hosts_lifespan_guardian_runs_without_any_request_and_gives_the_lead_up(tmp_path):
    first, second = (guardian_app(make_settings(tmp_path)) for _ in range(2))
    async with first.lifespan(host(first)):
        assert (tmp_path / "guardian.db").exists()
    async with second.lifespan(), client_of(host(second)) as client:
        status = await client.get("/guardian/api/guardian/status", headers=bearer())
        assert status.json()["leading"] is True


async def test_run_by_itself_it_takes_the_servers_lifespan_events(tmp_path):
    mounted, sent, received = guardian_app(make_settings(tmp_path)), [], asyncio.Queue()
    for kind in ("lifespan.startup", "lifespan.shutdown"):
        received.put_nowait({"type": kind})

    async def send(message):
        sent.append(message["type"])

    await mounted({"type": "lifespan"}, received.get, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_database_that_cannot_be_opened_costs_the_host_nothing(tmp_path, monkeypatch, caplog):
    (tmp_path / "guardian.db").write_bytes(b"this is no database" * 1000)
    mounted = guardian_app(make_settings(tmp_path))
    async with mounted.lifespan(), client_of(host(mounted)) as client:
        assert (await client.get("/")).text == "host"
        refused = await client.get("/guardian/api/usage/health")
        assert refused.status_code == 503
        assert refused.json() == {"error": "Guardian could not be started: the log says why"}
        assert len([record for record in caplog.records if "could not be started" in record.message]) == 1
        for path in tmp_path.glob("guardian.db*"):
            path.unlink()
        monkeypatch.setattr(guardian.web.mounted, "RETRY_SECONDS", 0.0)
        assert (await client.get("/guardian/api/usage/health")).status_code == 200


def test_bad_settings_are_said_at_once(tmp_path):
    (tmp_path / "guardian.toml").write_text("hours = 2\n")
    with pytest.raises(SettingsError, match="hours"):
        guardian_app(tmp_path / "guardian.toml")

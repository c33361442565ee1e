"""Real daemons that are killed, stopped, doubled and started on broken ground, with a real mail server."""

import json
import os
import random
import signal
import socket
import sqlite3
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import parse_schedule
from guardian.stores.sqlite.state import SqliteStateStore
from guardian.web.daemon import STOP_SECONDS
from tests.support.mail_servers import serving
from tests.support.ports import free_port
from tests.support.waiting import until

CHILD = Path(__file__).with_name("daemon_child.py").read_text()
LEASE = 2.0
QUICK = f"{LEASE},0.2,3.0"
"""A leader that was killed or frozen is replaced soon; see daemon_child."""
STEADY = "60,0.2,60"
"""One that is only slow, since the machine is, keeps the lead."""


class Inbox:
    def __init__(self):
        self.mails, self.delay = [], 0.0

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.mails += [(to, message["X-Number"], message["Message-ID"]) for to in envelope.rcpt_tos]
        return "250 OK"


@pytest.fixture
def inbox():
    with serving(Inbox()) as handler:
        yield handler


@pytest.fixture
def settings(tmp_path, inbox):
    return {
        "database": str(tmp_path / "guardian.db"),
        "reports_dir": str(tmp_path / "reports"),
        "admins": ["a@example.com", "b@example.com"],
        "schedules": [{"when": f"daily at {(datetime.now(UTC).hour + 12) % 24:02}:00"}],  # none ends while a test runs
        "mail": {
            "sender": "Guardian <guardian@example.com>",
            "smtp": {"host": "127.0.0.1", "port": inbox.port, "security": "none"},
        },
        "api": {"enabled": False},
    }


class Listener:
    """What systemd would hear."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(1)

    def hear(self, word, child):
        """The lines until one begins with the word. A child that ends before is a failure that shows what it said."""
        heard, silent = [], 0
        while not any(line.startswith(word) for line in heard):
            try:
                heard += self.socket.recv(4096).decode().splitlines()
            except TimeoutError:
                silent += 1
                assert child.poll() is None, child.said()
                assert silent < 60, f"no {word} in a minute, only {heard}; locks:\n{Path('/proc/locks').read_text()}"
        return heard


@pytest.fixture
def start(loaded, tmp_path):
    children, listeners = [], []

    def begin(settings, *more, quick=QUICK, ready=True, descriptors=None, **environment):
        listener = Listener(tmp_path / f"notify{len(children)}")
        listeners.append(listener)
        child = loaded.start(
            json.dumps(settings), *([quick] if quick else []), *more, program=CHILD, descriptors=descriptors,
            cwd=tmp_path, env=os.environ | {"NOTIFY_SOCKET": str(listener.path)} | environment,
        )  # fmt: skip
        child.listener = listener
        children.append(child)
        if ready:
            child.heard = listener.hear("READY=1", child)
        return child

    yield begin
    for child in children:
        child.send_signal(signal.SIGCONT)
        child.kill()
        child.wait()
    for listener in listeners:
        listener.socket.close()


def stop(child):
    """SIGTERM; the exit code."""
    child.terminate()
    return child.wait()


async def fill(settings, count, first=0):
    """Put numbered mails for two recipients into the outbox."""
    state = await SqliteStateStore.open(settings["database"])
    mails = [
        Outgoing(
            key=f"test/{n}",
            recipient=f"{'ab'[n % 2]}@example.com",
            body=f"From: g@example.com\r\nMessage-ID: <{n}@example.com>\r\nX-Number: {n}\r\n\r\n{n}\r\n".encode(),
        )
        for n in range(first, first + count)
    ]
    await state.enqueue(mails, now=datetime.now(UTC))
    await state.close()


def column(settings, sql):
    db = sqlite3.connect(settings["database"], timeout=10)
    try:
        return [value for (value,) in db.execute(sql)]
    finally:
        db.close()


def pending(settings):
    return column(settings, "SELECT count(*) FROM guardian_outbox WHERE status = 'pending'")[0]


async def owe(state, settings, days):
    """Let the ledger say that the last report went out so many days before the one that is due."""
    [schedule], now = settings["schedules"], datetime.now(UTC)
    schedule = parse_schedule(schedule["when"], "UTC")
    end = schedule.last_due(now).end - timedelta(days=days)
    await state.claim_period(str(schedule), end, end, report=None, mails=(), now=now)


async def owe_reports(settings, days):
    """The same of the file of these settings."""
    state = await SqliteStateStore.open(settings["database"])
    await owe(state, settings, days)
    await state.close()


async def test_a_daemon_catches_up_serves_and_stops(settings, start, inbox):
    await owe_reports(settings, 2)
    child = start(settings, quick=None)
    until(lambda: len(inbox.mails) == 4)
    until(lambda: pending(settings) == 0)
    assert stop(child) == 0
    assert column(settings, "SELECT holder FROM guardian_lease") == [""]
    assert Counter(to for to, _, _ in inbox.mails) == {"a@example.com": 2, "b@example.com": 2}


async def test_a_stop_takes_less_than_five_seconds_even_while_a_thread_hangs(settings, start):
    child = start(settings, "hang")
    assert stop(child) == 1
    assert f"Stopped after {STOP_SECONDS:.1f} s although something was still under way" in child.said()
    assert STOP_SECONDS < 5


async def test_systemd_hears_when_the_daemon_is_ready_alive_and_stopping(settings, start):
    child = start(settings, WATCHDOG_USEC="200000")
    assert "STATUS=leads" in child.heard
    child.listener.hear("WATCHDOG=1", child)
    child.terminate()
    child.listener.hear("STOPPING=1", child)
    assert child.wait() == 0


async def test_two_daemons_send_each_mail_once_and_the_second_takes_over(settings, start, inbox):
    await owe_reports(settings, 2)
    first = start(settings, quick=STEADY)
    second = start(settings, quick=STEADY)
    assert "STATUS=stands by for another process that leads" in second.heard
    await fill(settings, 20)
    until(lambda: pending(settings) == 0)
    assert stop(first) == 0
    await fill(settings, 20, first=20)
    until(lambda: pending(settings) == 0)
    assert Counter(number for _, number, _ in inbox.mails if number) == Counter(map(str, range(40)))
    assert len(inbox.mails) == 40 + 4
    assert stop(second) == 0


async def test_a_killed_leader_is_replaced(settings, start, inbox):
    first, second = start(settings), start(settings)
    first.kill()
    await fill(settings, 4)
    until(lambda: len(inbox.mails) == 4)
    assert stop(second) == 0


async def test_a_leader_that_was_frozen_for_three_leases_sends_at_most_one_mail_more(settings, start, inbox):
    first = start(settings)
    await fill(settings, 200)
    until(lambda: len(inbox.mails) >= 5)
    until(lambda: freeze(first, settings))
    second = start(settings)
    until(lambda: pending(settings) == 0)
    time.sleep(3 * LEASE)  # the span is what is tested
    first.send_signal(signal.SIGCONT)
    await fill(settings, 20, first=200)
    until(lambda: pending(settings) == 0)
    assert stop(first) == 0
    assert stop(second) == 0
    counts = Counter(number for _, number, _ in inbox.mails)
    assert set(counts) == set(map(str, range(220)))
    assert sum(counts.values()) <= 220 + 1


async def test_killed_again_and_again_it_loses_no_mail_and_doubles_at_most_one_each_time(settings, start, inbox):
    total, kills, chance = 100, 0, random.Random(1)
    await fill(settings, total)
    while pending(settings) and kills < 8:
        child = start(settings)
        goal = len(inbox.mails) + chance.randint(1, 12)
        until(lambda goal=goal: len(inbox.mails) >= goal or not pending(settings))
        child.kill()
        child.wait()
        kills += 1
    start(settings)
    until(lambda: pending(settings) == 0)
    counts = Counter(number for _, number, _ in inbox.mails)
    assert set(counts) == set(map(str, range(total)))
    assert sum(counts.values()) - total <= kills
    assert {(number, ident) for _, number, ident in inbox.mails} == {
        (str(n), f"<{n}@example.com>") for n in range(total)
    }
    firsts = [[int(n) for to, n, _ in dict.fromkeys(inbox.mails) if to == who] for who in settings["admins"]]
    assert all(order == sorted(order) for order in firsts)


def freeze(child, settings):
    """SIGSTOP, but for a process that holds the database's lock just then: it would stop all others too."""
    child.send_signal(signal.SIGSTOP)
    # The signal is only sent: until the system says that each thread stands, one of them may still take the lock.
    child.wait_until_stopped()
    db = sqlite3.connect(settings["database"], timeout=0.2, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
        return True
    except sqlite3.OperationalError:
        child.send_signal(signal.SIGCONT)
        return False
    finally:
        db.close()


def refusal(start, settings):
    child = start(settings, quick=None, ready=False)
    code = child.wait()
    return code, [line for line in child.said().splitlines() if not line.startswith(("INFO", "WARNING"))]


async def test_a_corrupt_database_ends_the_daemon_with_one_line(settings, start):
    Path(settings["database"]).write_bytes(b"this is no database" * 1000)
    code, [line] = refusal(start, settings)
    assert code == 1
    assert line.startswith("guardian: ")
    assert "guardian.db" in line
    assert "file is not a database" in line


async def test_a_database_of_a_newer_version_ends_the_daemon_with_one_line(settings, start):
    await fill(settings, 1)
    db = sqlite3.connect(settings["database"])
    with db:
        db.execute("INSERT INTO guardian_migration VALUES ('guardian/9999_later', '')")
    db.close()
    code, [line] = refusal(start, settings)
    assert code == 1
    assert "'guardian/9999_later', which this version of Guardian does not know: upgrade usage-guardian" in line


async def test_a_port_in_use_ends_the_daemon_with_one_line(settings, start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings["api"] = {"host": "127.0.0.1", "port": port}
        code, [line] = refusal(start, settings)
    assert code == 1
    assert line == (
        f"guardian: the API cannot listen on 127.0.0.1:{port} (Address already in use): "
        "stop what uses the port, or set api.port"
    )
    assert column(settings, "SELECT holder FROM guardian_lease") == [""]


async def test_the_daemon_serves_the_api_and_a_stand_by_takes_its_port_over(settings, start):
    settings["api"] = {"host": "127.0.0.1", "port": free_port()}

    def answer():
        try:
            with socket.create_connection(("127.0.0.1", settings["api"]["port"]), timeout=60) as call:
                call.sendall(b"GET /api/usage/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return call.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    first = start(settings, quick=STEADY)
    assert answer()
    second = start(settings, quick=STEADY)
    assert stop(first) == 0
    until(answer)
    assert stop(second) == 0


async def test_three_hundred_half_sent_requests_stop_neither_the_api_nor_the_steps(settings, start, inbox, tmp_path):
    port = free_port()
    settings["api"] = {"host": "127.0.0.1", "port": port}
    child = start(settings, quick=STEADY, descriptors=256)
    held = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(300)]
    for each in held:
        with suppress(OSError):
            each.sendall(b"GET /api/usage/health HT")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as call:
        call.sendall(b"GET /api/usage/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert call.recv(4096).startswith(b"HTTP/1.1 200")
    await fill(settings, 4)
    until(lambda: len(inbox.mails) == 4)
    assert stop(child) == 0
    said = child.said()
    assert "failed" not in said
    assert "accept" not in said
    assert len(said) < 5000
    for each in held:
        each.close()

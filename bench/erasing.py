"""How long erasing people takes, how long others wait for the database meanwhile, and whether a byte of them is left.

    PYTHONPATH=. python bench/erasing.py [--users 20000] [--erase 300] [--mails 2]

A report on everybody, with the table of users, waits for each admin, alerts are open, mails lie as files, and one
person is erased after the other. Another process asks for the write lock all the time: printed is how long it waited at
most. At the end every byte of the folder is searched for the people who were erased, and decoded mails too.
The goal is 400 ms a person, 200 ms for who waits, and nothing left.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

from guardian.application.erasing import erase_again, erase_person
from guardian.application.judging.steps import alert_step
from guardian.application.reporting import send_due_reports, send_report_now
from guardian.application.root import Application, open_application
from guardian.settings.schema import Settings
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
WORDS = ("subject", "status", "memories", "users", "chat_message", "report", "anonymous1", "body", "00", "500")
GOAL_MS, GOAL_WAIT_MS = 400.0, 200.0


def names(number: int) -> list[str]:
    """So many names of 3 to 320 characters, the structural words among them."""
    chance = random.Random(12)
    found = list(WORDS)
    for n in range(number - len(found)):
        most = chance.choice((0, 0, 0, 8, 30, 200))
        found.append(f"u{n:x}" if n % 50 == 7 else f"u{n:05d}{'x' * most}@{'d' * (most // 4)}example.com"[:320])
    return found


def fill(path: Path, people: list[str]) -> None:
    """Two requests of each in the last two hours; every twentieth person keeps meeting an error."""
    writer, boom = Writer(str(path)), Failure("KeyError", "Internal Server Error", "app.py:7 chat")
    begin = int((NOW - timedelta(hours=2)).timestamp()) * 1_000_000
    events = []
    for place, name in enumerate(people):
        bad = place % 20 == 0
        for n in range(6 if bad else 2):
            at = begin + (place * 7 + n) * 1_000_000 % 7_190_000_000
            failure, status = (boom, 500) if bad else (None, 200)
            events.append(Event(at, name, "/api/chat", "POST", "chat_message", status, 20_000, failure))
    writer.write(events)
    writer.close()


def waiting(path: str, stop: multiprocessing.synchronize.Event, longest: multiprocessing.Queue) -> None:
    """Ask for the write lock again and again; the longest wait, in seconds, goes into the queue."""
    most = 0.0
    with closing(sqlite3.connect(path, timeout=60.0, isolation_level=None)) as db:
        while not stop.is_set():
            begin = time.perf_counter()
            db.execute("BEGIN IMMEDIATE")
            most = max(most, time.perf_counter() - begin)
            db.execute("ROLLBACK")
            time.sleep(0.002)
    longest.put(most)


def left(folder: Path, gone: list[str]) -> list[tuple[str, str]]:
    """The file and the name of what is still there; names that are words are looked for in no file."""
    found = []
    wanted = [name.encode() for name in gone if "@" in name]
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        if path.suffix == ".eml":
            parts = [part.get_payload(decode=True) or b"" for part in message_from_bytes(content).walk()]
            content = b"\n".join((content, *parts)).replace(b"<wbr>", b"")
        found += [(path.name, name.decode()) for name in wanted if name in content]
    return found


def left_in_mails(database: Path, gone: list[str]) -> list[tuple[str, str]]:
    """The same for what waits in the outbox."""
    found = []
    with closing(sqlite3.connect(database)) as db:
        for key, body in db.execute("SELECT key, body FROM guardian_outbox"):
            parts = [part.get_payload(decode=True) or b"" for part in message_from_bytes(body).walk()]
            content = b"\n".join(parts).replace(b"<wbr>", b"")
            found += [(key, name) for name in gone if "@" in name and name.encode() in content]
    return found


async def measured(app: Application, gone: list[str]) -> tuple[list[float], float]:
    """How long each erasure took, and the longest wait of another process, in seconds."""
    stop, longest = multiprocessing.Event(), multiprocessing.Queue()
    other = multiprocessing.Process(target=waiting, args=(str(app.settings.database), stop, longest))
    other.start()
    taken = []
    try:
        for name in gone:
            begin = time.perf_counter()
            receipt = await erase_person(app, name)
            taken.append(time.perf_counter() - begin)
            assert receipt is not None, name
    finally:
        stop.set()
        most = longest.get()
        other.join()
    return taken, most


async def run(folder: Path, users: int, erase: int, admins: int) -> None:
    """Fill a database, let mails wait, erase, measure, search."""
    people = names(users)
    fill(folder / "guardian.db", people)
    settings = Settings(
        database=folder / "guardian.db",
        reports_dir=folder / "reports",
        admins=tuple(f"admin{n}@example.org" for n in range(admins)),
        schedules=["every 2h"],
        mail={"directory": folder / "mail"},
        rules={"user_burst": {"kind": "user_burst"}, "error_rate": {"kind": "error_rate"}},
    )
    async with open_application(settings, clock=lambda: NOW) as app:
        await alert_step(app, NOW, None)
        await send_due_reports(app, now=NOW)
        await send_report_now(app, hours=2)
        await app.usage.generate_and_save_report(2)
        waits = await app.state.outbox()
        print(f"{len(waits)} mails, {sum(len(each.message.body) for each in waits) / 1e6:.1f} MB", end="; ")
        gone = sorted(people[: len(WORDS)] + random.Random(3).sample(people[len(WORDS) :], erase - len(WORDS)))
        random.Random(4).shuffle(gone)
        taken, most = await measured(app, gone)
        await erase_again(app)
        after = await app.state.outbox()
    whole = 1000 * sum(taken)
    print(f"{erase} of {users:,} people in {whole / 1000:.1f} s, {whole / erase:.0f} ms each (goal {GOAL_MS:.0f} ms)")
    print(f"the slowest {1000 * max(taken):.0f} ms; another process waited {1000 * most:.0f} ms at most", end=" ")
    print(f"(goal {GOAL_WAIT_MS:.0f} ms)")
    assert [each.message.key for each in after] == [each.message.key for each in waits], "a mail is gone"
    found = left(folder, gone) + left_in_mails(folder / "guardian.db", gone)
    print("left of them: " + (", ".join(f"{name} in {where}" for where, name in found[:20]) or "nothing"))


def main() -> None:
    """Read the options, measure in a folder that goes at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--erase", type=int, default=300)
    parser.add_argument("--mails", type=int, default=2, help="how many admins get each mail")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), options.users, options.erase, options.mails))


if __name__ == "__main__":
    main()

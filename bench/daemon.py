"""What `guardian run` needs, and what is in its way, while an app stores so many events a second beside it.

    PYTHONPATH=. python bench/daemon.py [--database FILE] [--rate 200] [--idle 60] [--seconds 120]

The database is a copy of FILE, or a new one. Printed are the memory of the daemon while nothing is stored and while the
app stores; then, while reports and exports are asked for back to back over the API and by commands, how long an answer
about health takes, how large the write-ahead log becomes, and how long the app's longest batch takes; each beside what
it is without them. The goals: 110 MB idle on 10 M events, 150 at 200 a second, health in 5 ms, a log of 64 MB.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt

from tracker.event import Event, Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import Writer

ROOT = Path(__file__).resolve().parent.parent
KEY = "an admin key of at least 32 bytes!"
TOML = """
database = "guardian.db"
reports_dir = "reports"
admins = ["a@example.com"]
critical_features = ["feature_1", "feature_2"]
schedules = []
{rules}
[retention]
events_days = 36500
errors_days = 36500
sessions_days = 36500
summaries_days = 36500
[api]
jwt_key = "{key}"
port = {port}
"""
KINDS = ("error_rate", "feature_down", "user_burst", "latency", "traffic_drop", "traffic_spike", "new_error",
         "tracker_silent", "burn_rate")  # fmt: skip
LOAD = ("/api/usage/users?hours=720&format=csv", "/api/usage/summary?hours=720", "/api/usage/summary?hours=2")
COMMANDS = (("export", "--table", "feature_usage", "--hours", "24"), ("backtest", "--days", "30"), ("report",))


def store(path: str, rate: int, seconds: float, answer: multiprocessing.Queue[list[float]]) -> None:
    """Store so many events a second, ten times a second, of 40 routes; how long each batch took, ms."""
    writer, chance, stored, took = Writer(path), random.Random(7), 0, list[float]()
    failures = [Failure("Boom", "no", f"app.py:{n} f") for n in range(30)]
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        now_us, batch = time.time_ns() // 1_000, []
        for n in range(rate // 10):
            bad, route = chance.random() < 0.02, chance.randrange(40)
            row = (f"user{chance.randrange(50_000)}@example.com", f"/r{route}", "GET", f"feature_{route}")
            why = chance.choice(failures) if bad else None
            duration = chance.randrange(100, 90_000)
            batch.append(Event(now_us - 100_000 + n, *row, 500 if bad else 200, duration, why))
        stored += len(batch)
        beat = ("bench", now_us, now_us, stored, stored, 0, "1")
        before = time.perf_counter()
        writer.write(batch, heartbeat=lambda *_, beat=beat: beat)
        took.append((time.perf_counter() - before) * 1000)
        time.sleep(max(0.0, began + 0.1 - time.monotonic()))
    writer.close()
    answer.put(took)


class Daemon:
    """`guardian run` on a folder's database."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("GUARDIAN_")}
        self.environment["PYTHONPATH"] = str(ROOT)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "guardian", "run"], cwd=folder, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"),
        )  # fmt: skip
        token = jwt.encode({"sub": "bench", "role": "admin", "exp": int(time.time()) + 36_000}, KEY, "HS256")
        self._headers = {"Authorization": f"Bearer {token}"}
        while self.ask("/api/usage/health") is None:
            if self.process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.1)

    def ask(self, path: str, connection: http.client.HTTPConnection | None = None) -> float | None:
        """How long the answer took, ms; None where nobody answers."""
        began = time.perf_counter()
        try:
            asked = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            asked.request("GET", path, headers=self._headers)
            answer = asked.getresponse()
            while answer.read(65536):
                pass
            if answer.status >= 400:
                raise SystemExit(f"{path}: {answer.status}")
        except OSError:
            return None
        return (time.perf_counter() - began) * 1000

    def command(self, *words: str) -> None:
        """Run one of the commands beside it, to its end."""
        subprocess.run([sys.executable, "-m", "guardian", *words], cwd=self.folder, env=self.environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # fmt: skip

    def resident(self, name: str = "VmRSS") -> float:
        """MB of it in memory; with `VmHWM` the most so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@contextmanager
def asking(daemon: Daemon) -> Iterator[None]:
    """Ask for reports and exports back to back meanwhile, over the API and by commands."""
    over = threading.Event()

    def again(what: list[object]) -> None:
        while not over.is_set():
            for each in what:
                if over.is_set():
                    return
                daemon.ask(each) if isinstance(each, str) else daemon.command(*each)  # type: ignore[misc]

    threads = [threading.Thread(target=again, args=(list(what),)) for what in (LOAD, COMMANDS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def watch(daemon: Daemon, seconds: float) -> tuple[list[float], float, float]:
    """How long answers about health took meanwhile, ms, twenty a second; the most memory of the daemon, and the longest
    that the log was, MB."""
    took, memory, log, end = list[float](), 0.0, 0, time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    wal = daemon.folder / "guardian.db-wal"
    while time.monotonic() < end:
        took.append(daemon.ask("/api/usage/health", connection) or 60_000.0)
        memory = max(memory, daemon.resident())
        log = max(log, wal.stat().st_size if wal.exists() else 0)
        time.sleep(0.05)
    return took, memory, log / 2**20


def said(took: list[float]) -> str:
    """The median, the 99th of a hundred and the longest."""
    ordered = sorted(took)
    return f"{statistics.median(took):.1f} / {ordered[len(ordered) * 99 // 100]:.1f} / {ordered[-1]:.1f} ms"


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Print what each part shows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rules = "\n".join(f"[rules.{kind}]" for kind in KINDS)
    (folder / "guardian.toml").write_text(TOML.format(key=KEY, port=port, rules=rules))
    (folder / "guardian.toml").chmod(0o600)
    connect(str(folder / "guardian.db")).close()
    daemon = Daemon(folder, port)
    spawn = multiprocessing.get_context("spawn")
    try:
        took, memory, _ = watch(daemon, options.idle)
        print(f"idle: {daemon.resident():.0f} MB (at most {memory:.0f}); health {said(took)}", flush=True)
        for name, beside in (("the app alone", False), ("reports and exports beside it", True)):
            answer = spawn.Queue()
            path = str(folder / "guardian.db")
            app = spawn.Process(target=store, args=(path, options.rate, options.seconds, answer))
            app.start()
            if beside:
                with asking(daemon):
                    took, memory, log = watch(daemon, options.seconds)
            else:
                took, memory, log = watch(daemon, options.seconds)
            batches = answer.get(timeout=120)
            app.join()
            print(f"{options.rate:,} events/s, {name}: {memory:.0f} MB; health {said(took)}; log {log:.1f} MB; "
                  f"a batch {said(batches)}", flush=True)  # fmt: skip
        print(f"at most: {daemon.resident('VmHWM'):.0f} MB")
    finally:
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(30)


def main() -> None:
    """Copy the database, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.database:
            shutil.copy(options.database, Path(name) / "guardian.db")
        measure(Path(name), options)


if __name__ == "__main__":
    main()

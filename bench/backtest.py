"""How long `guardian backtest` takes over 30 days of a million events, and what it finds.

    PYTHONPATH=. python bench/backtest.py [--events 1000000] [--days 30]

The goal is under 2 seconds of CPU. Every kind of rule that events alone can judge is replayed beside the three
default ones.
"""

import argparse
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardian.application.judging.backtest import run_backtests
from guardian.settings.schema import Settings
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

DEFAULT = {"error_rate": {}, "feature_down": {}, "user_burst": {}}
MORE = {**DEFAULT, "latency": {}, "traffic_drop": {}, "traffic_spike": {}, "new_error": {}, "burn_rate": {}}


def fill(path: Path, number: int, days: int, now: datetime) -> None:
    """Events of so many days with two outages, from 5,000 users of 20 features."""
    chance, writer = random.Random(1), Writer(str(path))
    start = int((now - timedelta(days=days)).timestamp()) * 1_000_000
    span = days * 86_400_000_000
    times = sorted(chance.randrange(span) for _ in range(number))
    boom = Failure("Boom", "Internal Server Error", "app.py:7 f")
    batch = []
    for at in times:
        feature = "chat_message" if chance.random() < 0.3 else f"feature{chance.randrange(19)}"
        broken = 10 * 86_400_000_000 < at < 10 * 86_400_000_000 + 7_200_000_000
        bad = chance.random() < (1.0 if broken and feature == "chat_message" else 0.01)
        user = f"user{chance.randrange(5000)}@example.com"
        status, failure = (500, boom) if bad else (200, None)
        duration = chance.randrange(5_000, 400_000)
        batch.append(Event(start + at, user, f"/api/{feature}", "POST", feature, status, duration, failure))
        if len(batch) == 20_000:
            writer.write(batch)
            batch.clear()
    writer.write(batch)
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    arguments = parser.parse_args()
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guardian.db"
        fill(path, arguments.events, arguments.days, now)
        for name, rules in (("the three default rules", DEFAULT), ("eight kinds of rule", MORE)):
            settings = Settings(database=path, admins=("a@example.com",), rules=rules)
            began, cpu = time.perf_counter(), time.process_time()
            [result] = run_backtests(settings, days=arguments.days, now=now)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            found = ", ".join(f"{rule.rule} {rule.incidents}" for rule in result.rules)
            goal = "met" if cpu < 2 else "missed"
            events = f"{result.events:,} events over {arguments.days} days"
            print(f"{name}: {cpu:.1f} s of CPU, {took:.1f} s in all, for {events} (goal 2 s: {goal})")
            print(f"    incidents: {found}")


if __name__ == "__main__":
    main()

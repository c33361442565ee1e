"""What Guardian on Firestore writes, reads and costs, from one instance to 10,000 and from 10 to 1,000,000 requests a
second, and which limit is met first. A model, not a measurement: `tests/integration/test_firestore_scale.py` counts
documents on Google's emulator at small sizes and compares.

    PYTHONPATH=. .venv/bin/python bench/scale.py
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PRICES = Path(__file__).with_name("firestore_prices.json")
DAY, MONTH_DAYS = 86_400, 30.4

INTERVAL = 15.0
"""Seconds between the slices of an instance that has something to store (tracker.sink.FIRESTORE_PACE)."""
FULL = 5_000
"""So many events make a slice at once (the same)."""
EVENT_BYTES = 9.0
"""A packed event in a slice: 7 to 10 by how much traffic repeats itself."""
SLICE_BYTES = 1_000
"""What a slice costs beside its events: its names and numbers, and its entry in the one index."""
SEAL_BYTES = 3_000
PERSON_BYTES = 14.0
"""A sealed bucket, and each person in it."""
REQUESTS_A_PERSON_AND_DAY = 50
SEALS_A_DAY = 288 + 24 + 1
STATE_WRITES_A_DAY = 144 + 288 + 24
"""The state of alerting each ten quiet minutes, how far sealing has come, reports and their mails."""
DAEMON_READS, TICK_READS = 31, 20
"""What a minute of a daemon beside its lease, and a call of a scheduler outside, read beside the new slices."""
FIRST_READS = 90
"""What the first call of a new process reads, with the 70 days before that rules are judged on."""
REPORTS_READ = 46, 112, 62, 62
"""What a report of 2 and of 24 hours, of a week from Monday 09:00, and of 30 days read, in a process that knows nothing
from before: with the periods that they are compared with, who came and went, and the names that they show."""
REPORT_READS, WEEK_READS = REPORTS_READ[0], REPORTS_READ[2]
REPORTS_A_DAY = 24
SLICE_READS = 5
"""A slice is judged, sealed, and looked at for what came late, again and again until it is a minute old."""
SUMMED = 1_000
"""So many documents are one read where Firestore counts them, as each report has it do for everybody who was ever seen
and for the slices of the last minutes."""
UNSEALED = 360
"""Seconds of slices that are in no seal yet, at most: their number of events is added up."""
PULSE = 5.0
"""Seconds between renewals of the lease by a daemon; a scheduler outside renews it each minute."""

HOT_FIELD = 500
"""Writes a second that one indexed rising field takes
(https://cloud.google.com/firestore/docs/best-practices#hotspots)."""
SINGLE_EVENTS_S = 3_600
HISTORY_BYTES = 24
"""What an alert rule's look-back of single events costs a daemon in memory: an hour of them."""
MEMORY = 1 << 30
LEADER_US = 2.5
"""Microseconds of the leader's CPU an event costs: decoded, judged, sealed (bench/tick.py, bench/storage.py)."""


@dataclass(frozen=True)
class Load:
    """So many instances of the app serve so many requests a second, all together."""

    instances: int
    requests: float


LOOKS_A_MINUTE, MOST_ASKED = 4, 100
"""So often it is looked whether every living process has passed a minute, where they are no more than this."""


@dataclass(frozen=True)
class Usage:
    """What a load asks of Firestore: documents a day, and GiB that lie there at the end of the retention."""

    slices: float
    writes: float
    reads: float
    deletes: float
    stored_gib: float


def slices_a_second(load: Load, interval: float = INTERVAL) -> float:
    """Slices of all instances: one each interval in which something came, more where one is full before that."""
    each = load.requests / load.instances
    in_time = (1 - math.exp(-each * interval)) / interval
    return load.instances * max(in_time, each / FULL)


def usage(load: Load, *, retention_days: int = 90, daemon: bool = True, interval: float = INTERVAL) -> Usage:
    """What the load asks of Firestore in a day. `daemon` False: a scheduler outside calls each minute."""
    slices = slices_a_second(load, interval) * DAY
    busy_minutes = load.instances * (1 - math.exp(-60 * load.requests / load.instances)) * DAY / 60
    people = load.requests * DAY / REQUESTS_A_PERSON_AND_DAY
    seal_bytes = SEALS_A_DAY * SEAL_BYTES + PERSON_BYTES * (
        288 * min(people, load.requests * 300 / 3) + 24 * min(people, load.requests * 3_600 / 8) + people
    )
    seals = SEALS_A_DAY + seal_bytes / 900_000
    lease = DAY / (PULSE if daemon else 60)
    writes = slices + busy_minutes + seals + STATE_WRITES_A_DAY + lease + people / 30  # one person in 30 is new
    minutes = 1_440 * (DAEMON_READS if daemon else TICK_READS)
    reads = SLICE_READS * slices + minutes + seals + REPORTS_A_DAY * REPORT_READS + WEEK_READS / 7 + lease
    reads += REPORTS_A_DAY * (slices * UNSEALED / DAY + people * retention_days / 30) / SUMMED
    if load.instances <= MOST_ASKED:
        reads += 1_440 * LOOKS_A_MINUTE * load.instances + slices
    stored = retention_days * (slices * SLICE_BYTES + load.requests * DAY * EVENT_BYTES) + 730 * seal_bytes
    return Usage(slices, writes, reads, slices + seals, stored / 2**30)


def monthly_cost(used: Usage, prices: Mapping[str, float]) -> float:
    """US dollars a month, what is free each day taken off."""
    day = sum(
        max(0.0, count - prices[f"free_{kind}_a_day"]) * prices[f"{kind}_per_100k"] / 100_000
        for kind, count in (("reads", used.reads), ("writes", used.writes), ("deletes", used.deletes))
    )
    return MONTH_DAYS * day + max(0.0, used.stored_gib - prices["free_storage_gib"]) * prices["storage_gib_month"]


def first_limit(load: Load) -> str:
    """What does not hold any more at this load, and what to change; "" where all holds."""
    if load.requests * LEADER_US / 1e6 > 0.7:
        return "one leader's CPU: use a column store"
    if load.requests * SINGLE_EVENTS_S * HISTORY_BYTES > 16 * MEMORY:
        return "the leader's memory: PostgreSQL or a column store"
    if slices_a_second(load) > HOT_FIELD:
        return "500 slices/s: flush each 60 s"
    if load.requests * SINGLE_EVENTS_S * HISTORY_BYTES > MEMORY:
        gib = load.requests * SINGLE_EVENTS_S * HISTORY_BYTES / MEMORY
        return f"the leader needs {gib:.0f} GiB"
    return ""


LOADS = [Load(i, r) for i, r in (
    (1, 1), (1, 10), (10, 10), (10, 100), (100, 100), (100, 1_000), (1_000, 1_000), (1_000, 10_000),
    (10_000, 10_000), (10_000, 100_000), (10_000, 1_000_000),
)]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retention-days", type=int, default=90)
    parser.add_argument("--tick", action="store_true", help="a scheduler outside calls each minute, no daemon runs")
    options = parser.parse_args()
    prices = json.loads(PRICES.read_text())
    print(f"prices: {prices['place']}, {prices['as_of']}; {options.retention_days} days of events")
    print("instances  requests/s   slices/s    writes/day     reads/day       GiB      $/month  first limit")
    for load in LOADS:
        used = usage(load, retention_days=options.retention_days, daemon=not options.tick)
        print(
            f"{load.instances:9,}  {load.requests:10,}  {used.slices / DAY:9.2f}  {used.writes:12,.0f}  "
            f"{used.reads:12,.0f}  {used.stored_gib:8,.1f}  {monthly_cost(used, prices):11,.2f}  {first_limit(load)}"
        )


if __name__ == "__main__":
    main()

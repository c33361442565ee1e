"""How often the first mail of a slow feature names what is slow, and how often it blames something where all is alike.

    PYTHONPATH=. python bench/slow.py [--incidents 200] [--alike 600]

One release, route, instance or person of a feature answers 3 to 30 times slower from some moment on; it is asked in the
minute in which a rule of the default settings would fire first, when about seven requests were slow. Half of the apps
have a week before to compare with. Prints for five seeds how many were named first, how many of them wrongly, and what
was blamed where everything is slower alike, of routes and people that take as long, and of those that differ.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from math import exp, log
from typing import NamedTuple

import numpy as np

from guardian.alerting.explaining import WEEK, Explanation, explain
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds.latency import Latency
from guardian.alerting.sample import Sample
from guardian.settings.rules import parse_rule
from tracker.event import Event
from tracker.source import Source

SIZES = {"release": 2, "route": 3, "instance": 4, "person": 40}
RULE = Latency()
LIMIT_US = RULE.threshold_ms * 1000
FEWEST = 20
"""With fewer requests in its window the rule does not fire."""
BEGUN = 1_772_442_000
"""Seconds since 1970; two hours more are tried."""
SEEDS = range(5)
Made = tuple[Event, Source]


class Slow(NamedTuple):
    """An incident in the minute in which it fires (µs), and what was planted: a dimension with its value."""

    requests: Sequence[Made]
    onset_us: int
    now_us: int
    planted: tuple[str, str] | None


def incident(chance: random.Random, dimension: str | None, alike: bool) -> Slow | None:
    """One, None where the rule does not fire within two hours. With `alike` all routes and people take as long."""
    popular = {name: [1 / (rank + 1) ** 0.8 for rank in range(size)] for name, size in SIZES.items()}
    medians = [150_000.0 if alike else chance.uniform(60_000, 500_000) for _ in range(SIZES["route"])]
    spread = [0.5 if alike else chance.uniform(0.3, 0.7) for _ in medians]
    heavy = [1.0 if alike else exp(chance.gauss(0, 0.2)) for _ in range(SIZES["person"])]
    place = chance.randrange(min(SIZES[dimension], 4)) if dimension else 0
    times, rate = exp(chance.uniform(log(3), log(30))), chance.uniform(2, 12) / 60

    def made(at: float, slower: bool) -> Made:
        code = {name: chance.choices(range(size), popular[name])[0] for name, size in SIZES.items()}
        took = medians[code["route"]] * heavy[code["person"]] * exp(chance.gauss(0, spread[code["route"]]))
        if slower and (dimension is None or code[dimension] == place):
            took *= times
        event = Event(int(at * SECOND), f"p{code['person']}", f"/r{code['route']}", "GET", "chat", 200, int(took), None)
        return event, Source(f"2.{code['release']}", f"web-{code['instance']}")

    requests = list[Made]()
    for start, end in ((BEGUN - WEEK - 3600, BEGUN - WEEK + 3600),) if chance.random() < 0.5 else ():
        at = float(start)
        while (at := at + chance.expovariate(rate)) < end:
            requests.append(made(at, False))
    at, onset_us, minute = BEGUN - 3600.0, None, BEGUN + 60
    while (at := at + chance.expovariate(rate)) < BEGUN + 7200:
        while at >= minute:
            took = [e.duration_us for e, _ in requests if minute - RULE.window <= e.at_us / SECOND < minute]
            if onset_us and len(took) >= FEWEST and np.quantile(took, RULE.quantile) > LIMIT_US:
                name = {"release": f"2.{place}", "route": f"/r{place}", "instance": f"web-{place}"}
                planted = (dimension, name.get(dimension, f"p{place}")) if dimension else None
                return Slow(requests, onset_us, minute * SECOND, planted)
            minute += 60
        requests.append(made(at, at >= BEGUN))
        if onset_us is None and requests[-1][0].duration_us > LIMIT_US:
            onset_us = requests[-1][0].at_us
    return None


def told(slow: Slow) -> Explanation:
    """What its first mail says."""
    open_ = Incident("i", "latency", "chat", "warning", "open", since_us=slow.onset_us, onset_us=slow.onset_us)

    def read(start_us: int, end_us: int) -> Sample:
        return Sample.of([each for each in slow.requests if start_us <= each[0].at_us < end_us], 20_000)

    return explain(parse_rule("latency", {}), open_, slow.now_us, read)


def figures(seed: int, number: int, *, planted: bool, alike: bool) -> tuple[int, int]:
    """How many of so many incidents are told what was planted, and how many anything else."""
    chance, named, wrong, made = random.Random(f"{seed}/{planted}/{alike}"), 0, 0, 0
    while made < number:
        slow = incident(chance, list(SIZES)[made % len(SIZES)] if planted else None, alike)
        if slow is None:
            continue
        made += 1
        if found := told(slow).cause.found:
            right = (found[0].dimension, found[0].value) == slow.planted
            named, wrong = named + right, wrong + (not right)
    return named, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=200)
    parser.add_argument("--alike", type=int, default=600)
    options = parser.parse_args()
    named, wrong = zip(*(figures(s, options.incidents, planted=True, alike=False) for s in SEEDS), strict=True)
    print(f"named {', '.join(map(str, named))} of {options.incidents}, wrongly {sum(wrong)} in all")
    for alike, which in ((True, "alike"), (False, "that differ")):
        blamed = [figures(s, options.alike, planted=False, alike=alike)[1] for s in SEEDS]
        print(f"all slower, routes and people {which}: blamed {', '.join(map(str, blamed))} of {options.alike}")


if __name__ == "__main__":
    main()

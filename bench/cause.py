"""How often the planted cause of an incident is named, and how often one is named where there is none.

    PYTHONPATH=. python bench/cause.py [--incidents 200] [--alike 600]

Prints, for incidents of 300 and of 1,000 requests, how many planted causes were named first, how many incidents without
one were blamed on anything, and the CPU of one search. The goals: 190 of 200 at 300 requests, 0 of 600.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import numpy as np

from guardian.core.cause import Cause, Dimension, find_cause

SIZES = {"release": 2, "route": 12, "instance": 4, "person": 40, "method": 4}


def incident(chance: random.Random, requests: int, planted: str | None, bad: float) -> tuple[Cause, int]:
    """What is found in so many requests, the second half of them during an incident, and what was planted. Some values
    are common and most are rare, as in real traffic; one request in a hundred fails anyhow."""
    codes = {}
    for name, size in SIZES.items():
        popular = [1 / (rank + 1) ** 0.8 for rank in range(size)]
        codes[name] = np.array(chance.choices(range(size), popular, k=requests))
    value = chance.randrange(min(SIZES[planted], 4)) if planted else 0
    failed = np.zeros(requests, dtype=bool)
    for n in range(requests):
        during = n >= requests // 2
        hit = during and (planted is None or codes[planted][n] == value)
        failed[n] = chance.random() < (bad if hit else 0.01)
    dimensions = [Dimension(name, codes[name], range(size)) for name, size in SIZES.items()]
    return find_cause(failed, dimensions, base=0.01), value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=200)
    parser.add_argument("--alike", type=int, default=600)
    options = parser.parse_args()
    for requests in (300, 1_000):
        chance, took = random.Random(requests), []
        hits = 0
        for n in range(options.incidents):
            planted = list(SIZES)[n % len(SIZES)]
            begun = time.process_time()
            cause, value = incident(chance, requests, planted, chance.uniform(0.4, 1.0))
            took.append(time.process_time() - begun)
            hits += bool(cause.found) and (cause.found[0].dimension, cause.found[0].value) == (planted, value)
        alike = [incident(chance, requests, None, chance.uniform(0.1, 1.0))[0] for _ in range(options.alike)]
        blamed = sum(bool(cause.found) for cause in alike)
        even = sum(bool(cause.even) for cause in alike)
        print(
            f"{requests:5} requests: {hits} of {options.incidents} named, {blamed} of {options.alike} alike blamed, "
            f"{even} called even, {statistics.median(took) * 1000:.1f} ms with its making"
        )


if __name__ == "__main__":
    main()

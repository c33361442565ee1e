"""How often a feature is called taken up, or a week out of the ordinary, where nothing has changed; and how often a
change is found.

    PYTHONPATH=. python bench/turnover.py [--weeks 1000]

People have habits: each uses some of 40 features in most weeks, and others now and then. Prints for some numbers of
people in how many weeks any feature is found where nothing has changed (the goal: no more than 1 %), in how many one is
found that is used two and five times as often, and how many weeks without any change are called ordinary.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from guardian.core.turnover import Presence, Turnover, turnover

FEATURES, WINDOWS = 40, 5
END = datetime(2026, 3, 30, tzinfo=UTC)
EDGES = [END - n * timedelta(days=7) for n in range(WINDOWS, -1, -1)]


def weeks(chance: np.random.Generator, people: int, planted: float) -> Turnover:
    """Some weeks of people; in the last one feature 20 is used `planted` times as often."""
    active = chance.beta(2, 1, people)
    there = chance.random((WINDOWS + 1, people)) < active
    there[0] |= chance.random(people) < 0.95
    popular = 1 / (np.arange(FEATURES) + 1) ** 0.8
    habit = np.clip(chance.beta(0.3, 1.2, (people, FEATURES)) * popular * 3, 0, 1)
    used = []
    for row in (-2, -1):
        share = habit.copy()
        if row == -1:
            share[:, 20] = np.clip(share[:, 20] * planted, 0, 1)
        used.append(((chance.random((people, FEATURES)) < share) & there[row][:, None]).sum(axis=0))
    ones = np.ones((2, people), np.int64)
    first = np.full(people, 2**40)
    return turnover(
        Presence(there, ones, first, first, np.stack(used), [f"feature_{n:02}" for n in range(FEATURES)]),
        {}, EDGES, lambda numbers: {number: str(number) for number in numbers},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=1_000)
    options = parser.parse_args()
    for people in (30, 200, 2_000):
        chance, begun = np.random.default_rng(people), time.process_time()
        same = [weeks(chance, people, 1.0) for _ in range(options.weeks)]
        took = (time.process_time() - begun) / options.weeks
        changed = [[weeks(chance, people, times) for _ in range(options.weeks // 5)] for times in (2.0, 5.0)]
        false = sum(bool(each.adopted or each.abandoned) for each in same)
        twice, five = (sum(any(u.feature == "feature_20" for u in one.adopted) for one in each) for each in changed)
        ordinary = sum(each.ordinary for each in same)
        print(
            f"{people:6,} people: a feature told in {false} of {len(same)} unchanged weeks; of {len(changed[0])} found "
            f"{twice} doubled and {five} fivefold; {ordinary} of {len(same)} called ordinary; {took * 1000:.1f} ms"
        )


if __name__ == "__main__":
    main()

"""Finds rows of one person that overlap in time, as when they were recorded under two numbers. Pure."""

from __future__ import annotations

import numpy as np

from guardian.core.counting import begins, distinct


def overlapping(users: np.ndarray) -> np.ndarray:
    """The numbers of those whose rows of `Totals.users`, sorted by number and beginning, overlap: each once."""
    # The end of all rows before, not of the neighbour alone: a long one may reach over several.
    reached = users[:, 5].copy()
    same = users[1:, 0] == users[:-1, 0]
    for at in np.flatnonzero(same) + 1:
        reached[at] = max(reached[at], reached[at - 1])
    return distinct(users[1:, 0][same & (users[1:, 4] <= reached[:-1])])


def spanned(rows: np.ndarray) -> np.ndarray:
    """One row for each person of a bucket of 5 minutes whose single events are gone, from rows of `Totals.users` sorted
    by person and then by time. It starts like that of the person's first number.

    Nobody starts a second session within 5 minutes, so a person was active from their first to their last request.
    Which number's request ended first is no longer known; the one that began first is used. So a session's active time
    may be wrong by the length of its first request, and nothing else can be.
    """
    first = np.flatnonzero(begins(rows[:, 0]))
    found: np.ndarray = rows[first]
    for column in (1, 2, 3):
        found[:, column] = np.add.reduceat(rows[:, column], first)
    found[:, 5] = np.maximum.reduceat(rows[:, 5], first)
    found[:, 6] = found[:, 5] - found[:, 4]
    return found

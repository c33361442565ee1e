"""Finds rows of one person that overlap in time, as when they were recorded under two numbers. Pure."""

from __future__ import annotations

import numpy as np


def overlapping(users: np.ndarray) -> np.ndarray:
    """The numbers of those whose rows of `Totals.users`, sorted by number and beginning, overlap: each once."""
    # The end of all rows before, not of the neighbour alone: a long one may reach over several.
    reached = users[:, 5].copy()
    same = users[1:, 0] == users[:-1, 0]
    for at in np.flatnonzero(same) + 1:
        reached[at] = max(reached[at], reached[at - 1])
    return np.unique(users[1:, 0][same & (users[1:, 4] <= reached[:-1])])

"""Who met many errors within a short time, from the rows that failed."""

from __future__ import annotations

import numpy as np

from guardian.alerting.columns import Columns
from guardian.core.unlinked import is_unlinked
from tracker.event import ANONYMOUS

Bursts = tuple[list[int], list[tuple[str, int]]]
"""When (µs) each burst was complete, ascending, and beside it whose it was and when its first error came."""


def find_bursts(columns: Columns, failed: np.ndarray, errors: int, window_us: int) -> Bursts:
    """Each error of these rows that completes a burst, in the order of time: when, and (whose, when it began)."""
    user = columns.user[failed]
    failed = failed[np.bincount(user, minlength=1)[user] >= errors]  # few meet so many
    # The user and the place in one number: a plain sort of it is stable, and the fastest that there is.
    both = np.sort(columns.user[failed].astype(np.int64) << 32 | np.arange(len(failed)))
    order = failed[both & 0xFFFFFFFF]
    user, at = columns.user[order], columns.at_us[order]
    if len(at) < errors:
        return [], []
    last, first = slice(errors - 1, None), slice(None, len(at) - errors + 1)
    hits = np.flatnonzero((user[last] == user[first]) & (at[last] - at[first] <= window_us))
    found = sorted((int(at[i + errors - 1]), columns.users[user[i]], int(at[i])) for i in hits)
    found = [hit for hit in found if hit[1] != ANONYMOUS and not is_unlinked(hit[1])]
    return [ended for ended, _, _ in found], [(name, began) for _, name, began in found]

"""What a rule's probe answered, and what that says."""

from __future__ import annotations

from collections.abc import Sequence

from guardian.alerting.history import Snapshot
from guardian.alerting.verdicts import State


def answers(rule: str, snapshot: Snapshot, since_us: int = 0) -> list[tuple[int, bool]]:
    """When (µs) the probe of the rule of this name was answered since then, and whether well, in the order of time."""
    return [(at, good) for at, good in snapshot.history.probes.get(rule, []) if since_us <= at < snapshot.now_us]


def state_of(found: Sequence[tuple[int, bool]], failures: int) -> State:
    """It fires after so many failures in a row; after fewer nothing is known."""
    last = [good for _, good in found[-failures:]]
    if last and last[-1]:
        return "ok"
    return "firing" if len(last) == failures and not any(last) else "no_data"

"""The answers of a rule's probe, and the state that follows from them."""

from __future__ import annotations

from collections.abc import Sequence

from guardian.alerting.history import Snapshot
from guardian.alerting.verdicts import State


def answers(rule: str, snapshot: Snapshot, since_us: int = 0) -> list[tuple[int, bool]]:
    """The answers of this rule's probe since then, as (µs, good), in order of time."""
    return [(at, good) for at, good in snapshot.history.probes.get(rule, []) if since_us <= at < snapshot.now_us]


def state_of(found: Sequence[tuple[int, bool]], failures: int) -> State:
    """Firing after this many failures in a row; after fewer, the state is unknown."""
    last = [good for _, good in found[-failures:]]
    if last and last[-1]:
        return "ok"
    return "firing" if len(last) == failures and not any(last) else "no_data"

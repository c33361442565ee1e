"""How useful the rules were: which ones make noise that nobody acts on, and which threshold would have made less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from guardian.alerting.incidents import SECOND, Incident

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

NOISY = 3
"""A rule with fewer incidents than this is never called noisy."""


@dataclass(frozen=True, slots=True)
class Review:
    """How a rule did in a period: how many incidents it opened, and how many of them somebody acted on."""

    rule: str
    incidents: int
    acted_on: int


@dataclass(frozen=True, slots=True)
class Better:
    """A threshold that would have kept every incident that somebody acted on, and spared `spared` others."""

    rule: Rule
    threshold: float
    spared: int


def review(incidents: Sequence[Incident], since: datetime) -> list[Review]:
    """The rules with incidents that opened at `since` or later, noisiest first (most incidents that nobody acted
    on)."""
    since_us = int(since.timestamp()) * SECOND
    counts: dict[str, list[int]] = {}
    for incident in incidents:
        if (incident.opened_us or 0) >= since_us:
            count = counts.setdefault(incident.rule, [0, 0])
            count[0] += 1
            count[1] += incident.acted
    reviews = [Review(name, number, acted) for name, (number, acted) in counts.items()]
    return sorted(reviews, key=lambda r: (r.acted_on - r.incidents, r.rule))


def noisiest(incidents: Sequence[Incident], since: datetime) -> Review | None:
    """The rule with the most incidents that nobody acted on, if it makes noise at all."""
    found = review(incidents, since)
    return found[0] if found and found[0].incidents >= NOISY and found[0].acted_on < found[0].incidents else None

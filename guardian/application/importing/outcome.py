"""The result of an import, for people and programs. It contains nothing that a client sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from guardian.core.time import moment

MOST_SHOWN = 20
"""How many unreadable lines are listed individually."""


@dataclass(slots=True)
class Outcome:
    """Counts of lines: each line is one of `imported`, `known` (imported before), `skipped` (files and health checks,
    which the tracker skips too), `recorded` (of a time when the app recorded itself), `old` (retention has passed it)
    and `bad`; `lines` is all of them.

    `reasons` counts the bad ones by why, and `where` names the first: file, number, why. `places` has what was
    imported by template and method; `paths` how many different paths became it, at most MOST_PATHS of each.
    `people` are names, `anonymous` requests of nobody; `timed` requests whose duration the log has.
    """

    lines: int = 0
    imported: int = 0
    known: int = 0
    skipped: int = 0
    recorded: int = 0
    old: int = 0
    bad: int = 0
    anonymous: int = 0
    timed: int = 0
    first_us: int | None = None
    last_us: int | None = None
    formats: dict[str, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    where: list[tuple[str, int, str]] = field(default_factory=list)
    places: Counter[tuple[str, str]] = field(default_factory=Counter)
    paths: dict[str, set[int]] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)

    def refuse(self, file: str, number: int, why: str) -> None:
        """Count a line that could not be read."""
        self.bad += 1
        self.reasons[why] += 1
        if len(self.where) < MOST_SHOWN:
            self.where.append((file, number, why))

    @property
    def first(self) -> datetime | None:
        """When the first imported request ended."""
        return None if self.first_us is None else moment(self.first_us)

    @property
    def last(self) -> datetime | None:
        """When the last imported request ended."""
        return None if self.last_us is None else moment(self.last_us)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        numbers = ("lines", "imported", "known", "skipped", "recorded", "old", "bad", "anonymous", "timed")
        return {
            **{name: getattr(self, name) for name in numbers},
            "people": len(self.people),
            "first": self.first,
            "last": self.last,
            "formats": self.formats,
            "bad_reasons": dict(self.reasons.most_common()),
            "bad_lines": [{"file": file, "line": number, "reason": why} for file, number, why in self.where],
            "routes": [
                {"route": route, "method": method, "requests": count, "paths": len(self.paths.get(route, ()))}
                for (route, method), count in self.places.most_common()
            ],
        }

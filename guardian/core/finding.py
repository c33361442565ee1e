"""One line of what `guardian check` says."""

from __future__ import annotations

from dataclasses import dataclass

from guardian.core.grade import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `ok`, a `warning` (works, but know it) or an `error` (will not work)."""

    subject: str
    level: Level
    text: str

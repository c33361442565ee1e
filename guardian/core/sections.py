"""The sections of the report mail by their names in the settings. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

SECTIONS = (
    "summary",
    "incidents",
    "releases",
    "moved",
    "turnover",
    "chart",
    "failures",
    "help",
    "quiet",
    "features",
    "users",
    "companions",
    "privacy",
)
"""In the order of the mail; `guardian.mail.report.sections` has what they show."""


def known_sections(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are. Raises ValueError with one sentence for one that is no section."""
    names = tuple(names)
    for name in names:
        if name not in SECTIONS:
            close = difflib.get_close_matches(name, SECTIONS, n=1, cutoff=0.6)
            cure = f"did you mean {close[0]}? " if close else ""
            raise ValueError(
                f"{json.dumps(name)} is not a section of the report mail: {cure}They are {', '.join(SECTIONS)}"
            )
    return names

"""How grave something is: one scale with its marks and colours, and the words that each part has for it. Pure.

| grade | report | rule, message | companion report | finding of `guardian check` | mark | sign |
| --- | --- | --- | --- | --- | --- | --- |
| GOOD | `OK` | `ok` | `OK` | `ok` | | ✓ |
| INFO | | `info` | | | | |
| UNKNOWN | | | `UNKNOWN` | | ⚠ | ? |
| WARNING | `WARNING` | `warning` | `DEGRADED`, `WARNING` | `warning` | ⚠ | ! |
| CRITICAL | `CRITICAL` | `critical` | `CRITICAL`, `FAILED` | `error` | ● | ✗ |
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Literal, NamedTuple, get_args

Status = Literal["OK", "WARNING", "CRITICAL"]
"""The statuses of a report, least severe first."""
STATUSES: tuple[Status, ...] = get_args(Status)
Severity = Literal["info", "warning", "critical"]
"""The severities of an incident, least severe first."""
Level = Literal["ok", "warning", "error"]
"""The levels of `guardian check`: all well, works with a caveat, or will not work."""


class Look(NamedTuple):
    """How a grade looks: `mark` begins a subject ("" for none), `sign` and `colour` are those of a terminal, `style`
    names the colours that a mail shows it in: `ok`, `unknown`, `warning` or `critical`."""

    mark: str
    sign: str
    colour: str
    style: str


class Grade(IntEnum):
    """The grades, least severe first; `max` gives the worse of two."""

    GOOD = 0
    INFO = 1
    UNKNOWN = 2
    WARNING = 3
    CRITICAL = 4

    @property
    def look(self) -> Look:
        """How it looks."""
        return _LOOKS[self]

    @property
    def status(self) -> Status:
        """The status that it means for a report. UNKNOWN counts as a warning, since nobody knows whether all is
        well."""
        return "CRITICAL" if self >= Grade.CRITICAL else "WARNING" if self >= Grade.UNKNOWN else "OK"

    @property
    def mark(self) -> str:
        """What begins a subject, with a space behind; "" for none."""
        return f"{self.look.mark} " if self.look.mark else ""


_LOOKS = {
    Grade.GOOD: Look("", "✓", "green", "ok"),
    Grade.INFO: Look("", "·", "white", "unknown"),
    Grade.UNKNOWN: Look("⚠", "?", "yellow", "unknown"),
    Grade.WARNING: Look("⚠", "!", "yellow", "warning"),
    Grade.CRITICAL: Look("●", "✗", "red", "critical"),
}
_GRADES = {
    "ok": Grade.GOOD,
    "info": Grade.INFO,
    "unknown": Grade.UNKNOWN,
    "degraded": Grade.WARNING,
    "warning": Grade.WARNING,
    "critical": Grade.CRITICAL,
    "failed": Grade.CRITICAL,
    "error": Grade.CRITICAL,
}
COMPANION_STATUSES = ("OK", "DEGRADED", "WARNING", "CRITICAL", "FAILED", "UNKNOWN")
"""The statuses that a companion report may have, in any case."""


def grade(word: str) -> Grade:
    """The grade that a word of the table means, in any case. Raises KeyError for another."""
    return _GRADES[word.lower()]


def gravest(words: Iterable[str], otherwise: str) -> str:
    """The most severe of these words, as spelled; the first of equals. `otherwise` if there are none."""
    return max(words, key=grade, default=otherwise)

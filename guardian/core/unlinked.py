"""Unlinkable names, which replace those of erased users: their events count in totals, but belong to nobody."""

from __future__ import annotations

import re

from tracker.names import ERASED_PREFIX

_PART = "~"
_UNLINKED = re.compile(rf"{ERASED_PREFIX}[0-9a-f]{{16}}({_PART}\d+)?")

AMONG = (ERASED_PREFIX, "erased.")
"""All such names, and maybe others, are at least the first text and below the second."""


def unlinked_name(token: str) -> str:
    """The name for this token of 16 hexadecimal digits, which nobody can guess."""
    return f"{ERASED_PREFIX}{token}"


def token_of(name: str) -> str:
    """The token in the name of an erased person's first id."""
    return name.removeprefix(ERASED_PREFIX)


def further_name(name: str, place: int) -> str:
    """The name for another id of the erased person who has this name, by the id's index: `name` itself for 0. It tells
    which ids belong together, so totals still count one person."""
    return name if place == 0 else f"{name}{_PART}{place}"


def first_name(name: str) -> str:
    """The name that all ids of an erased person have in common, of the name of one of them; any other name itself."""
    return name.partition(_PART)[0] if is_unlinked(name) else name


def is_unlinked(name: str) -> bool:
    """Whether the name is such a one; a user who is really called `erased-mike` is not."""
    return name.startswith(ERASED_PREFIX) and _UNLINKED.fullmatch(name) is not None

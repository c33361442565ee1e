"""Unlinkable names, which replace those of erased users: their events count in totals, but belong to nobody."""

from __future__ import annotations

import re

_PART = "~"
_UNLINKED = re.compile(rf"erased-[0-9a-f]{{16}}({_PART}\d+)?")


def unlinked_name(token: str) -> str:
    """The name for this token of 16 hexadecimal digits, which nobody can guess."""
    return f"erased-{token}"


def further_name(name: str, place: int) -> str:
    """The name for another id of the erased person who has this name, by the id's index: `name` itself for 0. It tells
    which ids belong together, so totals still count one person."""
    return name if place == 0 else f"{name}{_PART}{place}"


def first_name(name: str) -> str:
    """The name that all ids of an erased person have in common, of the name of one of them."""
    return name.partition(_PART)[0]


def is_unlinked(name: str) -> bool:
    """Whether the name is such a one; a user who is really called `erased-mike` is not."""
    return name.startswith("erased-") and _UNLINKED.fullmatch(name) is not None

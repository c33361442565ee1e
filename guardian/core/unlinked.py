"""Unlinkable names, which replace those of erased users: their events count in totals, but belong to nobody."""

from __future__ import annotations

import re

_UNLINKED = re.compile(r"erased-[0-9a-f]{16}(~\d+)?")


def unlinked_name(token: str) -> str:
    """The name for this token of 16 hexadecimal digits, which nobody can guess."""
    return f"erased-{token}"


def is_unlinked(name: str) -> bool:
    """Whether the name is such a one; a user who is really called `erased-mike` is not."""
    return name.startswith("erased-") and _UNLINKED.fullmatch(name) is not None

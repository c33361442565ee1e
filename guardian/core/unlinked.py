"""The names that lead nowhere, which events have whose user was erased: they count in totals, and are about nobody."""

from __future__ import annotations

import re

_UNLINKED = re.compile(r"erased-[0-9a-f]{16}(~\d+)?")


def unlinked_name(token: str) -> str:
    """The name for this token of 16 hexadecimal digits, which nobody can guess."""
    return f"erased-{token}"


def is_unlinked(name: str) -> bool:
    """Whether the name is such a one: no user of an app that calls itself `erased-mike` is meant."""
    return name.startswith("erased-") and _UNLINKED.fullmatch(name) is not None

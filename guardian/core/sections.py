"""The sections of the report mail: their names in the settings, and a mail with only some of them. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

SECTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "summary": {"figures": ()},
        "moved": {"moved": ()},
        "chart": {"chart": None},
        "failures": {"errors": ()},
        "help": {"help": ()},
        "quiet": {"gone_quiet": ()},
        "features": {"features": ()},
        "users": {"users": (), "more_users": "", "anonymous": ""},
        "incidents": {"incidents": ()},
        "companions": {"others": (), "more_others": "", "companions": (), "malformed": ()},
        "privacy": {"privacy": ""},
    }
)
"""Per section, in the order of the mail, what the view has of it, and what stands there where it is left out."""


def known_sections(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are. Raises ValueError with one sentence for one that is no section."""
    names = tuple(names)
    for name in names:
        if name not in SECTIONS:
            close = difflib.get_close_matches(name, SECTIONS, n=1, cutoff=0.6)
            cure = f"did you mean {close[0]}? " if close else ""
            raise ValueError(
                f"{json.dumps(name)} is no section of the report mail: {cure}They are {', '.join(SECTIONS)}"
            )
    return names


def only_sections(view: Mapping[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    """The view of a mail with the chosen sections and no other; none chosen means all. Headline and status stay."""
    left_out = [blank for name, blank in SECTIONS.items() if chosen and name not in chosen]
    return {**view, **{key: value for blank in left_out for key, value in blank.items()}}

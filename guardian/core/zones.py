"""Guesses the time zone that somebody meant by a name that the tz database does not have."""

from __future__ import annotations

import difflib
import re
import unicodedata
from zoneinfo import available_timezones

_USUAL = {
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "MDT": "America/Denver", "CST": "America/Chicago",
    "CDT": "America/Chicago", "EDT": "America/New_York", "BST": "Europe/London", "CEST": "CET", "EEST": "EET",
    "WEST": "WET", "MSK": "Europe/Moscow", "IST": "Asia/Kolkata", "SGT": "Asia/Singapore", "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney", "NZST": "Pacific/Auckland",
    "Z": "UTC",
}  # fmt: skip
"""What abbreviations usually mean; the tz database has only some of them as names."""
_OFFSET = re.compile(r"([A-Za-z/_]*?)\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?")
_NO_PLACES = {"Factory", "localtime", "posixrules"}


def nearest_zone(name: str) -> str | None:
    """The name of the tz database that is nearest to this one, or None where nothing is near.

    Found are other spellings (`europe/zürich`), cities alone (`New York`), slips of the pen (`Eurpe/Paris`), usual
    abbreviations, offsets (`UTC+2` is `Etc/GMT-2`, whose sign is turned round) and the names that Windows uses.
    """
    name = name.strip()
    wanted = _plain(name)
    known = {_plain(each): each for each in sorted(available_timezones() - _NO_PLACES)}
    if wanted in known:
        return known[wanted]
    if found := _USUAL.get(name.upper()) or _of_offset(name) or _of_windows(name):
        return found
    cities: dict[str, list[str]] = {}
    for plain in known:
        cities.setdefault(plain.rpartition("/")[2], []).append(plain)
    city = wanted.rpartition("/")[2]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.8)
    if not near and len(city) > 2:
        for match in difflib.get_close_matches(city, cities, n=1, cutoff=0.8):
            near = difflib.get_close_matches(wanted, cities[match], n=1, cutoff=0)
    return known[near[0]] if near else None


def _plain(name: str) -> str:
    """The name without accents, case, and what separates words."""
    letters = unicodedata.normalize("NFKD", name)
    text = "".join(each for each in letters if not unicodedata.combining(each)).casefold()
    return re.sub(r"[\s_-]+", "_", text).replace("\\", "/").strip("_/")


def _of_offset(name: str) -> str | None:
    match = _OFFSET.fullmatch(name)
    if match is None:
        return None
    base, sign, hours = match[1].strip(), match[2], int(match[3])
    if base.upper() not in ("", "UTC", "GMT", "Z"):
        return base.upper() if base.upper() in available_timezones() else nearest_zone(base)
    if int(match[4] or 0) or hours > (14 if sign == "+" else 12):
        return None
    return f"Etc/GMT{'-' if sign == '+' else '+'}{hours}" if hours else "UTC"


def _of_windows(name: str) -> str | None:
    from babel.core import get_global

    names = get_global("windows_zone_mapping")
    return next((zone for each, zone in names.items() if each.casefold() == name.casefold()), None)

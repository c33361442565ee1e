"""The people whom a report names: three fields of it, and no other. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from guardian.core.mentions import ERASED
from guardian.core.report.model import Report

FIELDS = ("users", "help", "gone_quiet")
"""The lists of a report's JSON in which each item has somebody's name under "email"."""
_ERASED = json.dumps(ERASED).encode()


def renamed(report: Report, name: Callable[[str], str]) -> Report:
    """The report with each person's name as `name` gives it."""
    return replace(
        report,
        users=tuple(user._replace(email=name(user.email)) for user in report.users),
        help=tuple(replace(each, email=name(each.email)) for each in report.help),
        gone_quiet=tuple(replace(each, email=name(each.email)) for each in report.gone_quiet),
    )


def people_of(report: Mapping[str, Any]) -> set[str]:
    """The names in a report's JSON; none in what is no report."""
    return {row["email"] for rows in _rows(report) for row in rows if isinstance(row.get("email"), str)}


def replaced(report: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    """A report's JSON with each person's name as `name` gives it; nothing else is touched."""
    changed = dict(report)
    for field, rows in zip(FIELDS, _rows(report), strict=True):
        if rows:
            changed[field] = [
                {**row, "email": name(row["email"])} if isinstance(row.get("email"), str) else row for row in rows
            ]
    return changed


def text_without(text: bytes, people: Collection[str]) -> bytes:
    """A report's JSON, as it is written, with `ERASED` in the place of these people; the very same where it names none.

    Nothing is parsed, since a report on thousands may be there hundreds of times: a name stands behind the key "email"
    alone, and inside of a text each quotation mark has a backslash before it.
    """
    for name in people:
        for ascii_only in {True, name.isascii()}:
            said = json.dumps(name, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
            for key in (b'"email": ', b'"email":'):
                if key + said in text:
                    text = text.replace(key + said, key + _ERASED)
    return text


def _rows(report: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """The three lists; an empty one where there is none, or where something else than objects is in it."""
    found = []
    for field in FIELDS:
        rows = report.get(field)
        whole = isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows)
        found.append(rows if whole and rows is not None else [])
    return found

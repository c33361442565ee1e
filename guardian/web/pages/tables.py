"""Tables of a page, which can be had as CSV and as JSON too. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any

from guardian.core.language import marked
from guardian.core.off_loop import json_text
from guardian.mail.report.userlist import plain_cell

Cell = str | int | float | bool | None | datetime


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as they are, whole, made when somebody asks for the file: `name` is that of the file, `columns` are the
    keys of the JSON and the head of the CSV.

    Keys are English in every language: a program reads them.
    """

    name: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]

    @property
    def title(self) -> str:
        """What the page calls it, to be translated."""
        return _TITLES[self.name]


_TITLES = {
    "check": marked("Check"),
    "durations": marked("Latency"),
    "errors": marked("Errors"),
    "features": marked("Features"),
    "headers": marked("Headers"),
    "incidents": marked("Incidents"),
    "mails": marked("Mail"),
    "people": marked("People"),
    "quiet": marked("Gone quiet"),
    "recorders": marked("Recorders"),
    "replay": marked("Replay"),
    "routes": marked("Routes"),
    "rules": marked("Rules"),
    "schedules": marked("Schedules"),
    "sessions": marked("Sessions"),
    "settings": marked("Settings"),
    "statuses": marked("Errors by status"),
    "steps": marked("Steps"),
    "timeline": marked("Over time"),
    "transports": marked("Transports"),
    "versions": marked("Versions"),
}


def as_json(table: Table) -> str:
    """The rows as a list of objects; times are ISO 8601."""
    rows = [dict(zip(table.columns, map(_plain, row), strict=True)) for row in table.rows]
    return json_text({table.name: rows}, allow_nan=False, separators=(",", ":"))


def as_csv(table: Table) -> str:
    """A line a row, as RFC 4180 has it; what a spreadsheet would take for a formula begins with an apostrophe."""
    file = StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(table.columns)
    writer.writerows(_cells(row) for row in table.rows)
    return file.getvalue()


def _cells(row: Iterable[Cell]) -> list[Any]:
    return [plain_cell(value) if isinstance(value, str) else "" if value is None else _plain(value) for value in row]


def _plain(value: Cell) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

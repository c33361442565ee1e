"""Exports, piece by piece: what is stored about one person, as JSON or as a page to read; and whole published
tables."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Literal

from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.core.templates import environment
from guardian.mail.report.userlist import plain_cell
from guardian.stores.erasure import as_kept
from guardian.stores.events import Table

Form = Literal["json", "html"]
COLUMNS: dict[Table, tuple[str, ...]] = {
    "user_sessions": (
        "id", "user_email", "session_start", "session_end", "duration_seconds", "ip_address", "user_agent",
        "created_at",
    ),
    "feature_usage": (
        "id", "user_email", "feature_name", "endpoint", "method", "timestamp", "success", "error_message",
        "duration_ms", "status_code", "created_at",
    ),
    "user_errors": (
        "id", "user_email", "endpoint", "method", "error_type", "error_code", "error_message", "stack_trace",
        "timestamp", "created_at",
    ),
}  # fmt: skip
"""The columns of the published tables."""


async def export_person(app: Application, name: str, form: Form) -> AsyncIterator[str] | None:
    """The text of the export, in pieces; None for someone never seen.

    Raises StorageError where the database cannot be read, also while the pieces are read, and where the aliases
    cannot: an id could be left out.
    """
    name = as_kept(name)
    pieces = app.repository.exported(name)
    first = await anext(pieces, None)
    if first is None:
        return None

    async def found() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        yield first
        async for piece in pieces:
            yield piece

    return _as_json(found()) if form == "json" else _as_page(found(), name, app)


async def _as_json(pieces: AsyncIterator[tuple[str, list[dict[str, Any]]]]) -> AsyncIterator[str]:
    """One object, as `UsageRepository.export_user` gives it; a row a line."""
    table, any_rows = "", False
    async for name, rows in pieces:
        if name != table:
            yield ("{" if not table else "\n]," if any_rows else "],") + f'\n"{name}": ['
            table, any_rows = name, False
        if rows:
            text = await off_loop(_lines, rows)
            yield ("," if any_rows else "") + text
            any_rows = True
    yield ("\n]" if any_rows else "]") + "\n}\n"


def _lines(rows: list[dict[str, Any]]) -> str:
    """The rows in ASCII: a lone surrogate in a name is escaped, where UTF-8 would fail."""
    return ",".join("\n" + json.dumps(row, default=str) for row in rows)


async def _as_page(
    pieces: AsyncIterator[tuple[str, list[dict[str, Any]]]], name: str, app: Application
) -> AsyncIterator[str]:
    # Off the loop: the first call compiles it.
    parts: Any = await off_loop(lambda: environment("web").get_template("person.html").module)
    yield str(parts.head(name, app.clock().isoformat(timespec="minutes")))
    table = ""
    async for part, rows in pieces:
        if part != table:
            yield (str(parts.end_of_table()) if table else "") + str(parts.table(part, list(rows[0]) if rows else []))
            table = part
        yield await off_loop(_rows, parts, rows)
    yield str(parts.end_of_table()) + str(parts.foot())


def _rows(parts: Any, rows: list[dict[str, Any]]) -> str:
    return str(parts.rows(rows))


async def export_table(
    app: Application, table: Table, start: datetime, end: datetime, form: Literal["csv", "json"]
) -> AsyncIterator[str]:
    """The text of a published table, of what happened in [start, end): CSV with a head, or a list of objects in JSON.

    Raises StorageError where the database cannot be read, also while the pieces are read.
    """
    columns, any_rows = COLUMNS[table], False
    yield "[" if form == "json" else ",".join(columns) + "\r\n"
    async for rows in app.repository.rows(table, start, end):
        if form == "json":
            yield ("," if any_rows else "") + await off_loop(_lines, rows)
            any_rows = True
        else:
            yield await off_loop(_cells, columns, rows)
    if form == "json":
        yield "\n]\n" if any_rows else "]\n"


def _cells(columns: Sequence[str], rows: list[dict[str, Any]]) -> str:
    """RFC 4180; no cell is a formula for a spreadsheet. A lone surrogate is a question mark."""
    file = StringIO()
    writer = csv.writer(file)
    for row in rows:
        values = (row[name] for name in columns)
        writer.writerow([plain_cell(value) if isinstance(value, str) else value for value in values])
    return file.getvalue().encode("utf-8", "replace").decode("utf-8")

"""Everybody who was there in a window, page by page, or as CSV."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO

from guardian.application.root import Application
from guardian.application.window import window
from guardian.core.activity import Active
from guardian.core.listing import Place, cursor_of, read_cursor
from guardian.core.off_loop import let_go, no_collection, off_loop
from guardian.core.report.rows import UserRows
from guardian.core.storage import WindowGone
from guardian.core.time import moment
from guardian.mail.report.userlist import plain_cell

STRIDE = 50_000
"""How many people of a CSV are in memory at once."""
AT_ONCE = 1_000
"""How many lines of a CSV are sent at once."""
COLUMNS = ("email", "total_time_minutes", "requests_count", "errors_count", "features_used")
"""Of the CSV: the keys of a user in a report. Features stand in one cell, with commas between them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A window [start, end), and the place behind which the people are wanted; None: from the first on."""

    start: datetime
    end: datetime
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some people of the window [start, end). `after` asks for the next ones; None: these were the last."""

    start: datetime
    end: datetime
    users: UserRows
    after: str | None


def asked_for(
    now: datetime, hours: int | None, start: datetime | None, end: datetime | None, after: str | None
) -> Asked:
    """What is wanted. A cursor brings its own window, so that all pages are of the same one.

    Raises ValueError with one sentence for a bad window or cursor.
    """
    if after is None:
        return Asked(*window(now, hours, start, end))
    try:
        return Asked(*read_cursor(after))
    except ValueError:
        raise ValueError(
            f'after is "{after[:80]}": give the value of `after` that the page before had, or leave it out'
        ) from None


async def read_page(app: Application, asked: Asked, most: int) -> Page:
    """The next `most` people.

    Where single events do not reach back to the first, begun 5 minutes any more, all of these count, as in a report.
    Raises WindowGone where retention has deleted more than that, StorageError where the store does not answer.
    """
    await app.repository.seal(app.clock())
    try:
        return await _page(app, asked, most)
    except WindowGone:
        if asked.after is not None:
            raise
        early = asked.start - (asked.start - moment(0)) % timedelta(minutes=5)
        return await _page(app, Asked(early, asked.end), most)


async def _page(app: Application, asked: Asked, most: int) -> Page:
    found = await app.repository.people(asked.start, asked.end, after=asked.after, most=most)
    rows = UserRows(found.users, found.failures)
    after = None if found.last is None else cursor_of(asked.start, asked.end, found.last)
    return Page(asked.start, asked.end, rows, after)


async def read_csv(app: Application, asked: Asked, most: int | None) -> AsyncIterator[str]:
    """The text of the CSV piece by piece, up to `most` people (None: everybody); the first page is read at once.

    No reading lasts: each piece is one of its own. Raises what `read_page` does.
    """
    first = await _read_text(app, asked, _stride(most, 0))

    async def texts() -> AsyncIterator[str]:
        piece, given = first, 0
        yield ",".join(COLUMNS) + "\r\n"
        while True:
            texts, number, after = piece
            given += number
            for text in texts:
                yield text
            if after is None or (most is not None and given >= most):
                return
            piece = await _read_text(app, Asked(*read_cursor(after)), _stride(most, given))

    return texts()


async def _read_text(app: Application, asked: Asked, most: int) -> tuple[list[str], int, str | None]:
    """The lines of the next `most` people, in pieces, how many people these are, and `Page.after`; see
    `no_collection`."""
    with no_collection():
        page = await read_page(app, asked, most)
        number, after, held = len(page.users), page.after, [*page.users.people]
        del page
        return await off_loop(_lines, held), number, after


def _stride(most: int | None, given: int) -> int:
    return STRIDE if most is None else min(STRIDE, most - given)


def _lines(people: list[Active]) -> list[str]:
    """The CSV lines of these people (RFC 4180), in texts of `AT_ONCE` lines; the list is empty afterwards. No cell is a
    formula for a spreadsheet. A lone surrogate in a name is a question mark."""
    texts = []
    for first in range(0, len(people), AT_ONCE):
        file = StringIO()
        writer = csv.writer(file)
        for name, requests, errors, minutes, used in people[first : first + AT_ONCE]:
            writer.writerow((plain_cell(name), minutes, requests, errors, plain_cell(", ".join(used))))
        texts.append(file.getvalue().encode("utf-8", "replace").decode("utf-8"))
    let_go(people)
    return texts

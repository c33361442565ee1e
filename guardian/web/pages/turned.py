"""Who came and went in the range of a page, as the report mail says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardian.application.explained import turnover_of
from guardian.core.report.comparing import recorded_since
from guardian.core.turnover import SHORTEST, Turnover
from guardian.mail.report.turnover import turnover_words
from guardian.web.pages.page import View
from guardian.web.pages.ranges import Range
from guardian.web.pages.reading import FRESH_LONG


async def turned(view: View, chosen: Range) -> Mapping[str, Any]:
    """`turnover`, `turnover_title` and `cohorts` as the mail has them; empty where the range is shorter than a week, or
    the one before it was not recorded in full. Raises StorageError."""
    app, start, end = view.app, chosen.start, chosen.end
    turnover: Turnover | None = None
    if end - start >= SHORTEST:

        async def read() -> Turnover | None:
            repository = app.repository
            since = recorded_since(await repository.stats(view.now), await repository.recorders(view.now))
            return await turnover_of(repository, start, end, view.zone, since)

        own = (start, end) if chosen.hours is None else ()
        key = ("turnover", chosen.key, *own, view.zone.key)
        turnover = await app.glances.take(key, read, now=view.now, fresh=FRESH_LONG)
    return turnover_words(turnover, end - start, view.lang, view.zone)

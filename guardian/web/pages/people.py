"""People: who came, who is new, who came back, who went quiet, who was hit most; searched, sorted and paged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from starlette.responses import Response

from guardian.core.language import marked
from guardian.core.off_loop import off_loop
from guardian.core.report.model import GoneQuiet
from guardian.core.roster import SORTS, Person, Roster
from guardian.core.time import moment
from guardian.mail.report.wording import short
from guardian.web.pages.frame import framed, range_bar
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import Paged, paged
from guardian.web.pages.ranges import read_range
from guardian.web.pages.reading import read_roster, read_window
from guardian.web.pages.tables import Table
from guardian.web.pages.turned import turned

SHOWN = 50
GROUPS = {
    "": marked("Everybody"),
    "new": marked("New"),
    "returned": marked("Came back"),
    "hit": marked("Hit errors"),
    "quiet": marked("Gone quiet"),
}


async def run(view: View) -> Mapping[str, Any] | Response:
    """The list."""
    query, lang = view.query, view.lang
    chosen = read_range(query, view.now, view.zone)
    search, feature = query.get("q", "")[:320], query.get("feature", "")
    group = query.get("group", "") if query.get("group", "") in GROUPS else ""
    sort = query.get("sort", "") if query.get("sort", "") in SORTS else "requests"
    everybody = await read_roster(view.app, chosen, view.now)
    places = np.zeros(0, np.int64)
    if group != "quiet":
        places = await off_loop(everybody.found, search=search, group=group, feature=feature)
    page: Paged = paged(range(len(places)), query, SHOWN)
    shown = await off_loop(everybody.ordered, places, sort, slice(page.last - len(page.rows), page.last))
    quiet: list[dict[str, str]] = []
    gone: Sequence[GoneQuiet] = ()
    if group == "quiet":
        gone = (await read_window(view.app, chosen, view.now, view.zone)).report.gone_quiet
        quiet = [
            {"raw": each.email, "name": short(each.email), "seen": lang.moment(each.last_seen, view.zone),
             "code": str(each.error.code), "what": short(each.error.endpoint)}
            for each in gone
        ]  # fmt: skip
    most = int(everybody.requests.max(initial=1))
    keep = {"q": search, "group": group, "sort": "" if sort == "requests" else sort, "feature": feature}
    kept = {name: value for name, value in keep.items() if value}
    counts = {key: everybody.number(key) for key in GROUPS if key != "quiet"}
    return await framed(
        view,
        {
            "range": range_bar(view, chosen, **kept),
            "search": search,
            "feature": feature,
            "group": group,
            "sort": sort,
            "kept": kept,
            "groups": [(key, lang(name), counts.get(key)) for key, name in GROUPS.items()],
            "rows": [_row(person, view, most) for person in everybody.rows(shown)],
            "pages": page,
            "quiet": quiet,
            "turned": None if kept.keys() - {"sort"} else await turned(view, chosen),
            "columns": (("name", lang("Person")), ("requests", lang("Requests")), ("errors", lang("Failed")),
                        ("time", lang("Time")), ("seen", lang("Last seen"))),
        },
        tables=[_quiet(gone) if group == "quiet" else _table(everybody, places, sort)],
    )  # fmt: skip


def _row(person: Person, view: View, most: int) -> dict[str, Any]:
    lang = view.lang
    return {
        "raw": person.name,
        "name": short(person.name),
        "requests": lang.number(person.requests),
        "share": person.requests / most,
        "errors": lang.number(person.errors) if person.errors else "–",
        "rate": lang.percent(person.errors / person.requests) if person.errors else "",
        "time": lang.duration(person.minutes * 60) if person.minutes else lang("< 1 min"),
        "seen": lang.moment(moment(person.last_us), view.zone),
        "features": person.features,
        "kind": lang(GROUPS[person.kind]) if person.kind else "",
        "group": person.kind,
    }


def _table(everybody: Roster, places: np.ndarray, sort: str) -> Table:
    """The people at these places, sorted: made only where somebody asks for the file."""

    def rows() -> Iterator[Sequence[Any]]:
        for p in everybody.rows(everybody.ordered(places, sort)):
            yield p.name, p.requests, p.errors, p.minutes, p.features, moment(p.last_us), p.kind

    return Table("people", ("person", "requests", "errors", "minutes", "features", "last_seen", "kind"), rows())


def _quiet(gone: Sequence[GoneQuiet]) -> Table:
    rows = ((each.email, each.last_seen, each.error.code, each.error.endpoint) for each in gone)
    return Table("quiet", ("person", "last_seen", "status", "route"), rows)


PAGE = Page("/people", marked("People"), run, "people.html", nav=True, key="2")

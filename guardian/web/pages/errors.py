"""Errors: grouped by type and place, with when each came first and last, and whom it met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from starlette.responses import Response

from guardian.core.language import marked
from guardian.core.time import moment
from guardian.mail.report.wording import short
from guardian.web.endpoint import Refusal
from guardian.web.pages.frame import framed, range_bar
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import paged
from guardian.web.pages.ranges import Range, read_range
from guardian.web.pages.tables import Table
from tracker.error_text import reason_phrase
from tracker.event import ANONYMOUS, Event

MOST = 200_000
"""So many failed requests, the oldest of the window, are grouped; that there were more is said."""
SHOWN = 40
PEOPLE = 200


@dataclass(slots=True)
class Group:
    """Failed requests of one type at one place (`route`, and where an exception was seen its last line of code).

    `people` counts the failures of each person; `first_us` and `last_us` are of the first and the last of them.
    """

    kind: str
    message: str
    route: str
    feature: str
    place: str
    status: int
    count: int = 0
    first_us: int = 0
    last_us: int = 0
    people: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What the address calls it: the same for the same type and place, today and tomorrow."""
        text = "\0".join((self.kind, self.route, self.place, str(self.status)))
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()

    @property
    def met(self) -> int:
        """How many verified users it met."""
        return len(self.people) - (ANONYMOUS in self.people)


def grouped(events: Iterable[Event], found: dict[tuple[Any, ...], Group]) -> None:
    """Count failed events, in the order of time, into the groups `found`. Pure but for that."""
    for event in events:
        failure = event.failure
        kind = failure.kind if failure else f"HTTP {event.status}"
        place = failure.location.rpartition("\n")[2] if failure else ""
        key = (kind, event.method, event.endpoint, place, event.status)
        group = found.get(key)
        if group is None:
            message = failure.message if failure else reason_phrase(event.status)
            route = f"{event.method} {event.endpoint}"
            group = found[key] = Group(kind, message, route, event.feature, place, event.status, first_us=event.at_us)
        group.count += 1
        group.last_us = event.at_us
        group.people[event.user] = group.people.get(event.user, 0) + 1


async def _groups(view: View, chosen: Range) -> tuple[list[Group], bool]:
    async def read() -> tuple[list[Group], bool]:
        found: dict[tuple[Any, ...], Group] = {}
        seen = 0
        async for chunk in view.app.repository.events(chosen.start, chosen.end, failed_only=True):
            grouped(chunk, found)
            seen += len(chunk)
            if seen >= MOST:
                break
        return sorted(found.values(), key=lambda group: (-group.count, group.kind, group.route)), seen >= MOST

    own = (chosen.start, chosen.end) if chosen.hours is None else ()
    return await view.app.glances.take(
        ("errors", chosen.key, *own), read, now=view.now, fresh=timedelta(seconds=30)
    )  # fmt: skip


async def run(view: View) -> Mapping[str, Any] | Response:
    """The groups; `status`, `feature` and `q` leave some. With `group` one of them and the people it met."""
    query = view.query
    chosen = read_range(query, view.now, view.zone)
    groups, cut = await _groups(view, chosen)
    if wanted := query.get("group"):
        return await _one(view, chosen, groups, wanted)
    kept = {name: query[name][:320] for name in ("status", "feature", "q") if query.get(name)}
    search = kept.get("q", "").strip().casefold()
    found = [
        group for group in groups
        if ("status" not in kept or str(group.status) == kept["status"])
        and ("feature" not in kept or group.feature == kept["feature"])
        and (not search or search in f"{group.kind} {group.message} {group.route} {group.place}".casefold())
    ]  # fmt: skip
    page = paged(found, query, SHOWN)
    most = max((group.count for group in found), default=1)
    return await framed(
        view,
        {
            "range": range_bar(view, chosen, **kept),
            "rows": [group_row(group, view, most) for group in page.rows],
            "pages": page,
            "kept": kept,
            "status": kept.get("status", ""),
            "feature": kept.get("feature", ""),
            "search": kept.get("q", ""),
            "cut": view.lang(
                "Only the first %(n)s failed requests of this period are counted.", n=view.lang.number(MOST)
            ) if cut else "",
            "one": None,
        },
        tables=[_table(found)],
    )  # fmt: skip


def group_row(group: Group, view: View, most: int) -> dict[str, Any]:
    """A group in the list."""
    lang = view.lang
    return {
        "id": group.id,
        "kind": short(group.kind),
        "message": short(group.message) if group.message and group.message != group.kind else "",
        "route": short(group.route),
        "raw_route": group.route,
        "place": short(group.place),
        "feature": short(group.feature),
        "raw_feature": group.feature,
        "status": group.status,
        "count": lang.number(group.count),
        "share": group.count / most,
        "first": lang.moment(moment(group.first_us), view.zone),
        "last": lang.moment(moment(group.last_us), view.zone),
        "people": lang.plural("%(n)s person", "%(n)s people", group.met) if group.met else lang("nobody signed in"),
        "grave": group.status >= 500,
    }


async def _one(view: View, chosen: Range, groups: Sequence[Group], wanted: str) -> Mapping[str, Any] | Response:
    group = next((each for each in groups if each.id == wanted), None)
    if group is None:
        raise Refusal(404, view.lang("No such error in this period: choose a longer one."))
    people = sorted(((n, name) for name, n in group.people.items() if name != ANONYMOUS), key=lambda p: (-p[0], p[1]))
    return await framed(
        view,
        {
            "range": range_bar(view, chosen, group=wanted),
            "rows": (), "pages": paged((), {}, 1), "kept": {}, "search": "", "cut": "",
            "status": "", "feature": "",
            "one": {
                **group_row(group, view, group.count),
                "who": [(name, short(name), view.lang.number(n)) for n, name in people[:PEOPLE]],
                "more": max(0, len(people) - PEOPLE),
                "anonymous": view.lang.number(group.people.get(ANONYMOUS, 0)),
            },
        },
        tables=[Table("people", ("person", "errors"), [(name, n) for n, name in people])],
    )  # fmt: skip


def _table(groups: Sequence[Group]) -> Table:
    columns = ("type", "message", "route", "place", "status", "count", "people", "first", "last")
    rows = (
        (g.kind, g.message, g.route, g.place, g.status, g.count, g.met, moment(g.first_us), moment(g.last_us))
        for g in groups
    )  # fmt: skip
    return Table("errors", columns, rows)


PAGE = Page("/errors", marked("Errors"), run, "errors.html", nav=True, key="4")

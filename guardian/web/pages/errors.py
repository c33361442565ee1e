"""Errors: grouped by type and place, with the first and last occurrence, and the people hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from guardian.core.failure_groups import FailureGroup
from guardian.core.language import marked
from guardian.core.time import moment
from guardian.mail.report.wording import short
from guardian.web.endpoint import Refusal
from guardian.web.pages.frame import framed, range_bar
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import paged
from guardian.web.pages.ranges import Range, read_range
from guardian.web.pages.tables import Table
from tracker.event import ANONYMOUS

SHOWN = 40
PEOPLE = 200


async def _groups(view: View, chosen: Range) -> Sequence[FailureGroup]:
    own = (chosen.start, chosen.end) if chosen.hours is None else ()
    return await view.app.glances.take(
        ("errors", chosen.key, *own),
        lambda: view.app.repository.failure_groups(chosen.start, chosen.end),
        now=view.now, fresh=timedelta(seconds=30),
    )  # fmt: skip


async def run(view: View) -> Mapping[str, Any] | Response:
    """The groups, filtered by `status`, `feature` and `q`; with `group`, one of them and the people it hit."""
    query = view.query
    chosen = read_range(query, view.now, view.zone)
    groups = await _groups(view, chosen)
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
            "one": None,
        },
        tables=[_table(found)],
    )  # fmt: skip


def group_row(group: FailureGroup, view: View, most: int) -> dict[str, Any]:
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


async def _one(view: View, chosen: Range, groups: Sequence[FailureGroup], wanted: str) -> Mapping[str, Any] | Response:
    group = next((each for each in groups if each.id == wanted), None)
    if group is None:
        raise Refusal(404, view.lang("No such error in this period: choose a longer one."))
    people = sorted(((n, name) for name, n in group.people.items() if name != ANONYMOUS), key=lambda p: (-p[0], p[1]))
    return await framed(
        view,
        {
            "range": range_bar(view, chosen, group=wanted),
            "rows": (), "pages": paged((), {}, 1), "kept": {}, "search": "",
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


def _table(groups: Sequence[FailureGroup]) -> Table:
    columns = ("type", "message", "route", "place", "status", "count", "people", "first", "last")
    rows = (
        (g.kind, g.message, g.route, g.place, g.status, g.count, g.met, moment(g.first_us), moment(g.last_us))
        for g in groups
    )  # fmt: skip
    return Table("errors", columns, rows)


PAGE = Page("/errors", marked("Errors"), run, "errors.html", nav=True, key="4")

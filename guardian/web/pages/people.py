"""People: who came, who is new, who came back, who went quiet, who was hit most; searched, sorted and paged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.responses import Response

from guardian.core.language import marked
from guardian.core.off_loop import off_loop
from guardian.core.summary import Summary, active_minutes
from guardian.core.time import micros, moment
from guardian.mail.report.wording import short
from guardian.web.pages.frame import framed, range_bar
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import Paged, paged
from guardian.web.pages.ranges import Range, read_range
from guardian.web.pages.reading import last_seen_before, read_people, read_window
from guardian.web.pages.tables import Table
from tracker.event import ANONYMOUS

SHOWN = 50
BACK = timedelta(days=30)
"""Who was not there in so long a time before the window is new in it."""
AWAY_US = 7 * 86_400_000_000
"""Who stayed away for so long before they came (µs) has come back."""


class Person(NamedTuple):
    """One person's part of a window. `last_us` is when their last request was; `kind` is "new", "returned" or ""."""

    name: str
    folded: str
    requests: int
    errors: int
    minutes: int
    last_us: int
    features: int
    kind: str = ""


SORTS: Mapping[str, Callable[[Person], Any]] = {
    "name": lambda person: person.folded,
    "requests": lambda person: -person.requests,
    "errors": lambda person: (-person.errors, -person.requests),
    "time": lambda person: -person.minutes,
    "seen": lambda person: -person.last_us,
}
GROUPS = {
    "": marked("Everybody"),
    "new": marked("New"),
    "returned": marked("Came back"),
    "hit": marked("Hit errors"),
    "quiet": marked("Gone quiet"),
}


def people_of(summary: Summary, start_us: int, before: Mapping[str, int]) -> list[Person]:
    """Everybody of a window, the busiest first. `before` says when each was last there before it; where it is empty,
    nobody knows who is new. Pure."""
    found = []
    for name, user in summary.users.items():
        if name == ANONYMOUS:
            continue
        last = before.get(name)
        kind = (
            "" if not before else "new" if last is None else "returned" if user.first_start_us - last >= AWAY_US else ""
        )
        found.append(
            Person(name, name.casefold(), user.requests, user.errors, active_minutes(user, start_us), user.last_us,
                   len(user.features), kind)
        )  # fmt: skip
    return sorted(found, key=lambda person: (-person.requests, person.folded))


def chosen_people(
    people: Sequence[Person], search: str, group: str, sort: str, *, feature: set[str] | None
) -> list[Person]:
    """Those whose name holds `search`, of a group and of a set of names (None: of all), sorted. Pure."""
    wanted = search.strip().casefold()
    found = [
        person for person in people
        if (not wanted or wanted in person.folded)
        and (group != "hit" or person.errors)
        and (group not in ("new", "returned") or person.kind == group)
        and (feature is None or person.name in feature)
    ]  # fmt: skip
    return found if sort == "requests" else sorted(found, key=SORTS[sort])


async def _everybody(view: View, chosen: Range) -> list[Person]:
    app, now = view.app, view.now

    async def read() -> list[Person]:
        summary = await read_people(app, chosen, now)
        before = await last_seen_before(app, chosen, now, BACK)
        return await off_loop(people_of, summary, micros(chosen.start), before)

    key = ("persons", chosen.key, *((chosen.start, chosen.end) if chosen.hours is None else ()))
    return await app.glances.take(key, read, now=now, fresh=timedelta(seconds=30))


async def run(view: View) -> Mapping[str, Any] | Response:
    """The list."""
    query, lang = view.query, view.lang
    chosen = read_range(query, view.now, view.zone)
    search, feature = query.get("q", "")[:320], query.get("feature", "")
    group = query.get("group", "") if query.get("group", "") in GROUPS else ""
    sort = query.get("sort", "") if query.get("sort", "") in SORTS else "requests"
    everybody = await _everybody(view, chosen)
    only = None
    if feature:
        summary = await read_people(view.app, chosen, view.now)
        only = {name for name, user in summary.users.items() if feature in user.features}
    found = chosen_people(everybody, search, group, sort, feature=only) if group != "quiet" else []
    page: Paged = paged(found, query, SHOWN)
    quiet: list[dict[str, str]] = []
    if group == "quiet":
        report = (await read_window(view.app, chosen, view.now, view.zone)).report
        quiet = [
            {"raw": each.email, "name": short(each.email), "seen": lang.moment(each.last_seen, view.zone),
             "code": str(each.error.code), "what": short(each.error.endpoint)}
            for each in report.gone_quiet
        ]  # fmt: skip
    most = max((person.requests for person in everybody[:1]), default=1) or 1
    keep = {"q": search, "group": group, "sort": "" if sort == "requests" else sort, "feature": feature}
    kept = {name: value for name, value in keep.items() if value}
    kinds = Counter(person.kind for person in everybody)
    hit = sum(person.errors > 0 for person in everybody)
    counts = {"": len(everybody), "new": kinds["new"], "returned": kinds["returned"], "hit": hit}
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
            "rows": [_row(person, view, most) for person in page.rows],
            "pages": page,
            "quiet": quiet,
            "columns": (("name", lang("Person")), ("requests", lang("Requests")), ("errors", lang("Failed")),
                        ("time", lang("Time")), ("seen", lang("Last seen"))),
        },
        tables=[_table(found)],
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
    }


def _table(people: Sequence[Person]) -> Table:
    rows = ((p.name, p.requests, p.errors, p.minutes, p.features, moment(p.last_us), p.kind) for p in people)
    return Table("people", ("person", "requests", "errors", "minutes", "features", "last_seen", "kind"), rows)


PAGE = Page("/people", marked("People"), run, "people.html", nav=True, key="2")

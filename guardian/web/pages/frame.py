"""What pages share: the bar about the quality of the figures, the range, and tables as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from guardian.core.language import Language
from guardian.core.off_loop import off_loop
from guardian.web.endpoint import HEADERS, Refusal
from guardian.web.pages.honesty import honesty_words, read_honesty
from guardian.web.pages.page import View
from guardian.web.pages.ranges import HOURS, NAMES, Range, range_words
from guardian.web.pages.tables import Table, as_csv, as_json

ZONES = (
    "UTC", "Europe/London", "Europe/Paris", "Europe/Zurich", "Europe/Berlin", "Europe/Athens", "Africa/Nairobi",
    "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "America/Sao_Paulo",
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
)  # fmt: skip
"""What is offered beside the zone of the settings and the one in use; any other can be put into the address."""


async def framed(view: View, own: Mapping[str, Any], *, tables: Sequence[Table] = ()) -> Mapping[str, Any] | Response:
    """The values of a page: its own, those of the bar, and the names of its tables. Where the address asks for a
    table (`table` is its name, `as` is csv or json), that as a file.

    Raises Refusal (404) for a table that the page does not have.
    """
    if wanted := view.query.get("table"):
        table = next((each for each in tables if each.name == wanted), None)
        if table is None:
            raise Refusal(404, view.lang("There is no such table on this page."))
        return await off_loop(as_file, table, view.query.get("as", "csv"))
    bar = honesty_words(await read_honesty(view), view.lang)
    asked = {name: value for name, value in view.query.items() if name not in ("as", "page")}
    named = [(table.name, view.lang(table.title)) for table in tables]
    return {"range": None, **own, "honesty": bar, "tables": named, "asked": asked}


def as_file(table: Table, form: str) -> Response:
    """The whole table as CSV, or as JSON."""
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{table.name}.{form}"'}
    if form == "json":
        return Response(as_json(table).encode(), headers=headers, media_type="application/json")
    headers["Content-Disposition"] = f'attachment; filename="{table.name}.csv"'
    return Response(as_csv(table).encode("utf-8", "replace"), headers=headers, media_type="text/csv; charset=utf-8")


def range_bar(view: View, chosen: Range, **kept: str) -> dict[str, Any]:
    """What the template of ranges prints. `kept` is what else of the address stays, as a search."""
    lang, zone = view.lang, view.zone
    local = (edge.astimezone(zone).strftime("%Y-%m-%dT%H:%M") for edge in (chosen.start, chosen.end))
    off = {} if chosen.compare else {"compare": "off"}
    here = {**kept, **chosen.query}
    flipped = {**here, "compare": "off"} if chosen.compare else {k: v for k, v in here.items() if k != "compare"}
    home = view.app.settings.timezone
    return {
        "choices": [
            {"name": lang(NAMES[key]), "key": key, "query": {**kept, "range": key, **off}, "here": key == chosen.key}
            for key in HOURS
        ],
        "own": chosen.key == "own",
        "key": chosen.key,
        "compare": chosen.compare,
        "flip": flipped,
        "start": next(local),
        "end": next(local),
        "words": range_words(chosen, lang, zone),
        "trouble": lang(chosen.trouble) if chosen.trouble else "",
        "kept": kept,
        "query": chosen.query,
        "zone": zone.key,
        "zones": sorted({*ZONES, home, zone.key}),
    }


def time_words(starts: Sequence[datetime], end: datetime, lang: Language, zone: ZoneInfo) -> list[str]:
    """The label of each bar of a timeline: its day and time, or only the day if it is a whole day."""
    days = bool(starts) and (end - starts[0]).total_seconds() / len(starts) >= 86_000
    return [lang.short_day(at, zone) if days else lang.moment(at, zone) for at in starts]


def tick_words(starts: Sequence[datetime], end: datetime, lang: Language, zone: ZoneInfo, most: int = 5) -> list[str]:
    """What stands under a timeline, at equal distances from its beginning to its end: times of a day, or days."""
    if not starts:
        return []
    length = end - starts[0]
    say = lang.clock if length.total_seconds() <= 36 * 3600 else lang.short_day
    return [say(starts[0] + length * i / (most - 1), zone) for i in range(most)]

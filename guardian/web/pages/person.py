"""One person: their sessions, steps and errors on a strip, what they use, and their rights: export and erasure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from markupsafe import Markup
from starlette.responses import Response, StreamingResponse

from guardian.alerting.sample import Released
from guardian.application.erasing import erase_person
from guardian.application.exporting import export_person
from guardian.core.language import marked
from guardian.core.off_loop import off_loop
from guardian.core.roster import Person
from guardian.core.time import micros, moment
from guardian.mail.report.wording import short
from guardian.stores.erasure import as_kept
from guardian.web.endpoint import HEADERS, Refusal
from guardian.web.pages.frame import framed, range_bar, tick_words
from guardian.web.pages.page import Page, View
from guardian.web.pages.person_story import Story, Visit, failed, ranked_features, story_of, visits_of
from guardian.web.pages.ranges import Range, read_range
from guardian.web.pages.reading import read_releases, read_totals
from guardian.web.pages.svg import Mark, share_bar, strip
from guardian.web.pages.tables import Table
from guardian.web.pages.timeline import flags_of
from guardian.web.usage import PAGE_POLICY
from tracker.error_text import reason_phrase
from tracker.event import Event
from tracker.names import MAX_NAME

MOST = 2000
"""How many of a person's newest steps are read; the page says if there were more."""
SHOWN = 40
"""How many of the newest steps are listed."""
MARKS = 240
"""How many of the newest errors are marked on the strip."""


async def run(view: View) -> Mapping[str, Any] | Response:
    """The page of one person, or a file with everything that is stored about them. Raises Refusal for nobody."""
    name = as_kept(view.query.get("name", "").strip()[:320])
    if not name:
        raise Refusal(404, view.lang("Nobody with this name was seen: check the spelling."))
    if form := view.query.get("export"):
        return await _export(view, name, form)
    query = {"range": "7d", **view.query}
    chosen = read_range(query, view.now, view.zone)
    end = chosen.end + timedelta(microseconds=1)
    steps = await view.app.repository.steps(name, chosen.start, end, most=MOST)
    if not steps and not await view.app.repository.steps(name, view.now - timedelta(days=3650), view.now, most=1):
        raise Refusal(404, view.lang("Nobody with this name was seen: check the spelling."))
    released = await read_releases(view.app, chosen.start, chosen.end, view.now)
    whole = await read_totals(view.app, chosen, view.now, name) if len(steps) == MOST else None
    own = await off_loop(person, view, chosen, name, steps, released, whole)
    return await framed(view, own, tables=[_table(steps), _sessions(steps), _used(steps)])


def person(
    view: View, chosen: Range, name: str, steps: Sequence[Event], released: Sequence[Released] = (),
    whole: Person | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What is shown of somebody's steps in the window, in the order of time; where these are only the newest, `whole`
    has the totals. Pure."""
    lang = view.lang
    visits, bad = visits_of(steps), [step for step in steps if failed(step)]
    ranked = ranked_features(steps)
    most = ranked[0][1][0] if ranked else 1
    active, cut = sum(visit.end_us - visit.start_us for visit in visits) // 1_000_000, ""
    least, requests, errors = "", len(steps), len(bad)
    if len(steps) == MOST:
        since = lang.moment(moment(steps[0].at_us), view.zone)
        cut = lang("Sessions, steps and features are of the newest %(n)s requests, since %(at)s.",
                   n=lang.number(MOST), at=since)  # fmt: skip
        least = "≥\u00a0"
        if whole is not None:
            requests, errors, active = whole.requests, whole.errors, whole.minutes * 60
    said = "" if whole else least
    return {
        "range": range_bar(view, chosen, name=name),
        "name": short(name),
        "raw": name,
        "figures": (
            (lang("Sessions"), least + lang.number(len(visits))),
            (lang("Time"), said + lang.duration(active)),
            (lang("Requests"), said + lang.number(requests)),
            (lang("Failed"), said + lang.number(errors)),
        ),
        "cut": cut,
        "story": story_words(story_of(steps), view),
        "strip": person_strip(visits, bad, chosen, view, released),
        "features": [
            {"name": short(feature), "raw": feature, "requests": lang.number(n), "bar": share_bar(n / most),
             "errors": e}
            for feature, (n, e) in ranked[:12]
        ],
        "steps": [_step(step, view) for step in reversed(steps[-SHOWN:])],
        "more": max(0, len(steps) - SHOWN),
    }  # fmt: skip


def story_words(story: Story | None, view: View) -> list[dict[str, str]]:
    """The story of the newest error, a line each; nothing where none failed."""
    lang = view.lang
    if story is None:
        return []

    def line(label: str, tone: str, step: Event | None, otherwise: str) -> dict[str, str]:
        if step is None:
            return {"label": label, "tone": tone, "text": otherwise, "when": ""}
        text = f"{short(step.feature)} {_code(step, view)}".strip()
        return {"label": label, "tone": tone, "text": text, "when": lang.moment(moment(step.at_us), view.zone)}

    found = [
        line(lang("Last good step"), "good", story.good, lang("none in this period")),
        line(lang("First bad one"), "bad", story.first_bad, ""),
    ]
    if story.tries:
        found.append(line(lang("Last bad one"), "bad", story.last_bad, ""))
    healed = story.recovered is not None
    found.append(line(lang("Recovered"), "good" if healed else "bad", story.recovered, lang("not yet")))
    return found


def person_strip(
    visits: Sequence[Visit], bad: Sequence[Event], chosen: Range, view: View, released: Sequence[Released]
) -> Markup:
    """Sessions as bars, errors as red marks upon them, releases of the app as lines."""
    lang, zone = view.lang, view.zone
    start, length = micros(chosen.start), max(1, micros(chosen.end) - micros(chosen.start))

    def at(us: int) -> float:
        return (us - start) / length

    marks = [
        Mark(
            at(visit.start_us), at(visit.end_us), "users",
            f"{lang.span(moment(visit.start_us), moment(visit.end_us), zone)} · "
            + lang.plural("%(n)s request", "%(n)s requests", visit.requests), 0.7,
        )
        for visit in visits
    ]  # fmt: skip
    marks += [
        Mark(
            at(e.at_us),
            at(e.at_us),
            "bad",
            f"{lang.moment(moment(e.at_us), zone)} · {short(e.feature)} {_code(e, view)}",
        )
        for e in bad[-MARKS:]
    ]
    title = lang(
        "Sessions in blue, errors in red: %(sessions)s and %(errors)s",
        sessions=lang.number(len(visits)), errors=lang.number(len(bad)),
    )  # fmt: skip
    flags = flags_of(released, [chosen.start], chosen.end, view)
    return strip(title, marks, tick_words([chosen.start], chosen.end, lang, zone), flags.each)


def _code(step: Event, view: View) -> str:
    if not failed(step):
        return ""
    if step.status < 400:
        return view.lang("%(code)s (failed)", code=step.status)
    return f"{step.status} {reason_phrase(step.status)}".strip()


def _step(step: Event, view: View) -> dict[str, Any]:
    failure = step.failure
    return {
        "when": view.lang.moment(moment(step.at_us), view.zone),
        "feature": short(step.feature),
        "raw": step.feature,
        "route": short(f"{step.method} {step.endpoint}"),
        "status": str(step.status),
        "bad": failed(step),
        "why": "" if failure is None else short(failure.message),
        "took": view.lang.milliseconds(step.duration_us / 1000),
    }


def _table(steps: Sequence[Event]) -> Table:
    columns = ("time", "feature", "method", "route", "status", "failed", "milliseconds", "error")
    rows = (
        (moment(s.at_us), s.feature, s.method, s.endpoint, s.status, failed(s), s.duration_us / 1000,
         s.failure.message if s.failure else None)
        for s in steps
    )  # fmt: skip
    return Table("steps", columns, rows)


def _sessions(steps: Sequence[Event]) -> Table:
    rows = ((moment(v.start_us), moment(v.end_us), v.requests, v.errors) for v in visits_of(steps))
    return Table("sessions", ("start", "end", "requests", "errors"), rows)


def _used(steps: Sequence[Event]) -> Table:
    return Table("features", ("feature", "requests", "errors"), ((name, *n) for name, n in ranked_features(steps)))


async def _export(view: View, name: str, form: str) -> Response:
    if not view.may_act:
        raise Refusal(403, view.lang("You may look, but not export what is stored about a person."))
    pieces = await export_person(view.app, name, "html" if form == "html" else "json")
    if pieces is None:
        raise Refusal(404, view.lang("Nobody with this name was seen: check the spelling."))
    headers = {
        **HEADERS,
        "Content-Disposition": f'attachment; filename="person.{"html" if form == "html" else "json"}"',
    }
    if form == "html":
        headers["Content-Security-Policy"] = PAGE_POLICY
    media_type = "text/html; charset=utf-8" if form == "html" else "application/json"
    encoded = (piece.encode("utf-8", "replace") async for piece in pieces)
    return StreamingResponse(encoded, headers=headers, media_type=media_type)


async def run_erase(view: View) -> Mapping[str, Any] | Response:
    """The page that asks whether to erase somebody; opening it erases nothing."""
    name = as_kept(view.query.get("name", "").strip()[:320])
    return await framed(view, {"name": short(name, MAX_NAME), "raw": name, "done": view.query.get("done", "")})


async def act_erase(view: View, form: Mapping[str, str]) -> str:
    """Erase somebody, whose name was typed again; where to go then. Raises Refusal with one sentence."""
    name = as_kept(form.get("name", "").strip()[:320])
    if not name or _as_typed(form.get("again", "")) != _as_typed(name):
        raise Refusal(422, view.lang("The two names differ, so nothing was erased: type the name exactly as shown."))
    erased = await erase_person(view.app, name)
    if erased is None:
        raise Refusal(404, view.lang("Nobody with this name was seen: check the spelling."))
    return view.url("/people/erase", done=str(erased.rows + erased.names)).removeprefix(view.base)


def _as_typed(name: str) -> str:
    """What two names share that look alike: a page shows no double spaces, and what is copied from it may bring marks
    of direction along. It only asks for care: who is erased is the form's other field."""
    return "".join(each for each in as_kept(name[:1000]) if each.isprintable() and not each.isspace()).casefold()


PAGE = Page("/people/person", marked("Person"), run, "person_page.html")
ERASE = Page("/people/erase", marked("Erase a person"), run_erase, "erase.html", act=act_erase)

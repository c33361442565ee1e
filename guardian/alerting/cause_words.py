"""Puts the cause of an incident into words, with the figures behind it; says nothing where no cause was found."""

from __future__ import annotations

import re
from collections.abc import Hashable

from guardian.alerting.explaining import Explanation
from guardian.core.bidi import isolated
from guardian.core.cause import PERIOD_BEFORE, Found
from guardian.core.language import Language, marked
from guardian.core.mentions import shortening
from tracker.source import shortened

_SHA = re.compile(r"[0-9a-f]{40}")
LONGEST = 80
"""Longer values are shown without their middle."""
_OURS = {"release", "instance", "method", "hour"}
"""The dimensions whose values come after a word of ours: see `_value`."""
_OVER = {
    "release": marked("releases"),
    "route": marked("routes"),
    "instance": marked("instances"),
    "person": marked("people"),
    "method": marked("methods"),
    "feature": marked("features"),
}


def cause_line(told: Explanation, lang: Language) -> str:
    """The cause in one line, "" where none was found. It names at most one person."""
    if told.others is not None:
        return _alone(*told.others, lang)
    if told.cause.found:
        first, *inner = [_said(found, told, lang) for found in told.cause.found]
        return "; ".join([first, *(lang("of these %(found)s", found=each) for each in inner)])
    if told.cause.even:
        several = ", ".join(lang(_OVER[name]) for name in told.cause.even if name in _OVER and name != "method")
        if several:
            return lang("none stands out: spread evenly over %(several)s", several=several)
    return ""


def unnamed(told: Explanation, lang: Language) -> str:
    """`cause_line` without anybody's name, for a chat room, whose readers may not be admins."""
    return cause_line(told.named(lambda name: lang("one person")), lang)


def way_note(told: Explanation, kind: str, place: str, lang: Language) -> str:
    """How often this error came in the period compared with, in brackets; "" unless it is the one that explains most
    failures."""
    way = told.way
    if way is None or way.before_requests is None or way.value != (kind, place):
        return ""
    all_, bad = way.before_requests, lang.number(way.before or 0)
    if told.days == 1:
        return lang.plural(
            "(%(bad)s of %(n)s request the day before)", "(%(bad)s of %(n)s requests the day before)", all_, bad=bad
        )
    if told.days == PERIOD_BEFORE:
        return lang.plural(
            "(%(bad)s of %(n)s request in the period before)", "(%(bad)s of %(n)s requests in the period before)", all_,
            bad=bad,
        )  # fmt: skip
    return lang.plural(
        "(%(bad)s of %(n)s request a week before)", "(%(bad)s of %(n)s requests a week before)", all_, bad=bad
    )


def _alone(hit: int, others: int, lang: Language) -> str:
    if not others:
        return lang("nobody else was there")
    if others == 1:
        if hit:
            return lang("the one other person who was there met it too")
        return lang("the one other person who was there did not meet it")
    many = lang.number(others)
    if not hit:
        return lang("nobody else met it, of %(all)s others who were there", all=many)
    return lang.plural(
        "%(n)s of %(all)s others who were there met it too", "%(n)s of %(all)s others who were there met it too", hit,
        all=many,
    )  # fmt: skip


def _said(found: Found, told: Explanation, lang: Language) -> str:
    what = _value(found, lang)
    if told.of in ("missing", "more"):
        then, now = found.bad, found.requests - found.bad
        if told.of == "more":
            then, now = now, then
        values = {"what": what, "before": lang.number(then)}
        if told.days == 1:
            return lang.plural(
                "%(what)s: %(n)s request, %(before)s the day before",
                "%(what)s: %(n)s requests, %(before)s the day before", now, **values,
            )  # fmt: skip
        if told.days == PERIOD_BEFORE:
            return lang.plural(
                "%(what)s: %(n)s request, %(before)s in the period before",
                "%(what)s: %(n)s requests, %(before)s in the period before", now, **values,
            )  # fmt: skip
        return lang.plural(
            "%(what)s: %(n)s request, %(before)s a week before",
            "%(what)s: %(n)s requests, %(before)s a week before", now, **values,
        )  # fmt: skip
    numbers = {
        "what": what,
        "bad": lang.number(found.bad),
        "all": lang.number(found.of),
        "share": lang.percent(found.bad / found.requests),
        "others": lang.percent((found.of - found.bad) / found.other_requests if found.other_requests else 0),
    }
    if told.of == "slow":
        return lang(
            "%(what)s has %(bad)s of %(all)s slow requests (%(share)s of its requests, %(others)s of the others)",
            **numbers,
        )
    return lang(
        "%(what)s has %(bad)s of %(all)s failures (%(share)s of its requests, %(others)s of the others)", **numbers
    )


def _value(found: Found, lang: Language) -> str:
    value = isolated(_short(found.value))
    match found.dimension:
        case "release":
            return lang("release %(value)s", value=value)
        case "instance":
            return lang("instance %(value)s", value=value)
        case "method":
            return lang("method %(value)s", value=value)
        case "hour":
            return lang("the hour from %(start)s to %(end)s", start=value, end=f"{(int(value[:2]) + 1) % 24:02}:00")
    return value


def release_name(release: str) -> str:
    """A release as shown to readers: a commit hash is cut to its first characters."""
    return isolated(_short(release))


def _short(value: Hashable) -> str:
    text = str(value)
    if _SHA.fullmatch(text):
        return text[:12]
    return shortening(text, lambda whole: shortened(whole, LONGEST))


def cause_lines(told: Explanation, lang: Language) -> list[str]:
    """Everything known about the cause, one sentence each: which error, and where. Empty where nothing is known."""
    found = []
    if told.way is not None and isinstance(told.way.value, tuple):
        kind, place = told.way.value
        what, line = _short(kind), _short(place.rpartition(" ")[0])
        if place:
            what = lang("%(error)s at %(place)s", error=what, place=line)
        numbers = {"bad": lang.number(told.way.bad), "all": lang.number(told.way.of), "error": what}
        line = lang("%(bad)s of %(all)s failures are %(error)s", **numbers)
        found.append(" ".join(filter(None, (line, way_note(told, kind, place, lang)))))
    if line := cause_line(told, lang):
        found.append(line)
    return found


def cause_sentences(told: Explanation, lang: Language) -> list[str]:
    """The same as sentences of a text. A word of ours at the beginning has a capital letter; a name stays as it is."""
    lines = cause_lines(told, lang)
    named = told.others is None and told.cause.found and told.cause.found[0].dimension not in _OURS
    if lines and not (named and lines[-1] == cause_line(told, lang)):
        lines[-1] = lines[-1][:1].upper() + lines[-1][1:]
    return [f"{line}." for line in lines]

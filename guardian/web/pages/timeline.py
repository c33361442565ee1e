"""Charts of a window through time: what stands under them, what was released, and where their rows lead. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from guardian.alerting.cause_words import release_name
from guardian.alerting.sample import Released
from guardian.core.language import Language
from guardian.core.mentions import plain
from guardian.core.summary import TimelineBar
from guardian.core.time import micros, moment
from guardian.mail.report.wording import short
from guardian.web.pages.frame import tick_words, time_words
from guardian.web.pages.page import View
from guardian.web.pages.ranges import Range
from guardian.web.pages.svg import Flag, Flags, Series, Words, nice_top, over_time

MOST = 6
"""How many of the latest releases are marked."""
NAME = 14
"""A longer name of a release is cut above its line, not beside it."""


def through_time(
    words: Words, starts: Sequence[datetime], end: datetime, series: Sequence[Series], said: Sequence[Sequence[str]],
    view: View, *, scale: Sequence[str], form: str = "area", released: Sequence[Released] = (),
    href: Sequence[str] = (),
) -> Markup:  # fmt: skip
    """A chart with a place for each of `starts`, the last of which reaches to `end`. See `over_time`."""
    lang, zone = view.lang, view.zone
    return over_time(
        words, time_words(starts, end, lang, zone), series, tick_words(starts, end, lang, zone), said,
        scale=scale, form=form, href=href, flags=flags_of(released, starts, end, view),
    )  # fmt: skip


def flags_of(released: Sequence[Released], starts: Sequence[datetime], end: datetime, view: View) -> Flags:
    """The latest releases of a window, as a chart marks them."""
    lang, found = view.lang, list[Flag]()
    edges = [micros(at) for at in (*starts, end)]
    for release, at_us in [each for each in released if edges[0] <= each.at_us < edges[-1]][-MOST:]:
        place = next(i for i in range(len(starts)) if at_us < edges[i + 1])
        # Bars are drawn equally wide, though the first and the last may be shorter.
        inside = (at_us - edges[place]) / (edges[place + 1] - edges[place])
        name = plain(release_name(release))
        said = lang(
            "Release %(release)s, %(at)s", release=short(release_name(release)),
            at=lang.moment(moment(at_us), view.zone),
        )  # fmt: skip
        cut = name if len(name) <= NAME else name[: NAME - 1] + "…"
        found.append(Flag((place + inside) / len(starts), place, cut, said))
    return Flags(lang("Released"), found)


def bar_links(
    path: str, bars: Sequence[TimelineBar], end: datetime, chosen: Range, view: View, **kept: str
) -> list[str]:
    """Where each bar leads: to the same page with that time alone; "" where there is only one."""
    edges = [*(bar.start for bar in bars), end]
    return [
        view.url(path, **kept, **Range("own", edges[i], edges[i + 1], chosen.compare).query) if len(bars) > 1 else ""
        for i in range(len(bars))
    ]


def number_scale(most: float, lang: Language) -> list[str]:
    """The texts of the top, the middle and the bottom of a scale of numbers."""
    top = nice_top(most)
    return [lang.number(value, 1) for value in (top, top / 2, 0)]


def time_scale(most: float, lang: Language) -> list[str]:
    """The same of a scale of milliseconds."""
    top = nice_top(most)
    return [lang.milliseconds(value) for value in (top, top / 2, 0)]

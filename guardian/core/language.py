"""Words, numbers and times in a reader's language: gettext catalogues (.po) and Babel's locale data."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import cache, lru_cache
from gettext import NullTranslations
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_decimal, format_percent

from guardian.core.bidi import isolated
from guardian.core.resources import locales_dir

NO_BREAK = "\u00a0"
"""A no-break space between a number and its unit."""
LANGUAGES = ("en", "fr")
"""The languages of mails. English is that of the code; the others are catalogues in `locales/`."""


def marked(text: str) -> str:
    """Returns the text unchanged: marks it for the catalogues where it is defined, if it is translated elsewhere."""
    return text


@cache
def language(code: str = "en") -> Language:
    """The language of this code. Raises ValueError with one sentence for one that has no catalogue."""
    if code not in LANGUAGES:
        raise ValueError(f"language = {code!r} is not known: it is one of {', '.join(LANGUAGES)}")
    return Language(code)


class Language:
    """Turns texts of the code into the reader's, and formats values as readers of that language expect."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.locale = Locale.parse(code)
        self.translations: NullTranslations = NullTranslations()
        path = locales_dir() / f"{code}.po"
        if path.exists():
            from babel.messages.mofile import write_mo
            from babel.messages.pofile import read_po
            from babel.support import Translations

            compiled = BytesIO()
            with path.open("rb") as file:
                write_mo(compiled, read_po(file, locale=code))
            compiled.seek(0)
            self.translations = Translations(compiled)

    def __call__(self, text: str, /, **values: Any) -> str:
        """The translation of `text`, with `%(name)s` filled in: a name that runs from right to left is isolated."""
        translated = self._spaced(self.translations.gettext(text))
        return translated % _isolated(values) if values else translated

    def plural(self, one: str, many: str, number: int, /, **values: Any) -> str:
        """`one` or `many`, whichever fits `number`, which fills `%(n)s`."""
        said = self._spaced(self.translations.ngettext(one, many, number))
        return said % {"n": self.number(number), **_isolated(values)}

    def _spaced(self, text: str) -> str:
        """The text with spaces that never break: between a number and its unit, and in French before `: ; ! ?` and
        inside of quotes."""
        text = re.sub(r"(?<=\d) (?=(?:s|min|h|d|j)\b)", NO_BREAK, text)
        if self.code != "fr":
            return text
        return re.sub(r" (?=[:;!?»](?:\W|$))|(?<=«) ", NO_BREAK, text)

    def number(self, value: float, digits: int = 0) -> str:
        """12,345 or 12.3, with at most `digits` decimals."""
        return _number(self.code, round(value, digits) + 0, digits)  # avoids -0

    def percent(self, share: float) -> str:
        """A share of 1 as a percentage with one decimal, two below 0.1 %. A share above 0 is never shown as 0 %, nor
        one below 1 as 100 %: these are < 0.01 % and > 99.9 %."""
        if 0 < share < 0.0001:
            return f"<{NO_BREAK}{self.percent(0.0001)}"
        if 0.9995 <= share < 1:
            return f">{NO_BREAK}{self.percent(0.999)}"
        digits = 2 if 0 < share < 0.001 else 1
        return format_percent(share, format="#,##0." + "#" * digits + f"{NO_BREAK}%", locale=self.locale)

    def duration(self, seconds: float) -> str:
        """45 s, 12 min, 3 h 20 min, 2 d 4 h: two units at most, and all on one line."""
        return self._lasting(max(0, round(seconds))).replace(" ", NO_BREAK)

    def _lasting(self, seconds: int) -> str:
        if seconds < 60:
            return self("%(n)s s", n=seconds)
        minutes = seconds // 60
        if minutes < 60:
            return self("%(n)s min", n=minutes)
        if minutes < 48 * 60:
            hours, rest = divmod(minutes, 60)
            text = self("%(n)s h", n=hours)
            return text + " " + self("%(n)s min", n=rest) if rest else text
        days, rest = divmod(minutes // 60, 24)
        text = self("%(n)s d", n=days)
        return text + " " + self("%(n)s h", n=rest) if rest else text

    def lately(self, seconds: float) -> str:
        """The time up to now, to be put after "in": the last hour, the last 10 min."""
        match seconds:
            case 60:
                return self("the last minute")
            case 3600:
                return self("the last hour")
        return self("the last %(time)s", time=self.duration(seconds))

    def milliseconds(self, value: float) -> str:
        """85 ms, 1.4 s."""
        said, unit = (self.number(value), "ms") if value < 1000 else (self.number(value / 1000, 1), "s")
        return f"{said}{NO_BREAK}{unit}"

    def moment(self, when: datetime, zone: ZoneInfo) -> str:
        """A day and a time, in the zone: Mon 16 Mar, 12:05; as for `clock`, where the hour comes twice."""
        return self._date("EEE d MMM, HH:mm", when, zone) + which_of_two(when, zone)

    def zoned(self, when: datetime, zone: ZoneInfo) -> str:
        """The same with the zone's name: Mon 16 Mar, 12:05 (Europe/Zurich)."""
        return f"{self.moment(when, zone)} ({zone.key})"

    def day(self, when: datetime, zone: ZoneInfo) -> str:
        """A day with its year, in the zone: Monday 16 March 2026."""
        return self._date("EEEE d MMMM y", when, zone)

    def weekday(self, when: datetime, zone: ZoneInfo) -> str:
        """The name of the day, in the zone: Monday."""
        return self._date("EEEE", when, zone)

    def short_day(self, when: datetime, zone: ZoneInfo) -> str:
        """A day without its year, in the zone: 16 Mar."""
        return self._date("d MMM", when, zone)

    def _date(self, pattern: str, when: datetime, zone: ZoneInfo) -> str:
        local = when.astimezone(zone)
        if self.code == "fr" and local.day == 1:
            pattern = pattern.replace("d", "d'er'")  # 1er mars
        return _dated(self.code, pattern, local.replace(tzinfo=None))

    def clock(self, when: datetime, zone: ZoneInfo) -> str:
        """A time of the day, in the zone: 12:05. In an hour that comes twice, as clocks are put back, it says which of
        the two: 02:50 UTC+2."""
        local = when.astimezone(zone)
        return f"{local:%H:%M}" + which_of_two(when, zone)

    def span(self, start: datetime, end: datetime, zone: ZoneInfo) -> str:
        """A window: Mon 16 Mar, 12:00 – 14:00."""
        same_day = start.astimezone(zone).date() == end.astimezone(zone).date()
        return f"{self.moment(start, zone)} – {self.clock(end, zone) if same_day else self.moment(end, zone)}"


@lru_cache(maxsize=4096)
def _number(code: str, value: float, digits: int) -> str:
    """Cached: pages repeat many numbers, and Babel takes 0.1 ms for each."""
    return format_decimal(value, locale=language(code).locale, format="#,##0." + "#" * digits)


@lru_cache(maxsize=4096)
def _dated(code: str, pattern: str, local: datetime) -> str:
    """The same for days and times; `local` is that of the reader's zone, and naive."""
    return format_datetime(local, pattern, locale=language(code).locale)


def _isolated(values: dict[str, Any]) -> dict[str, Any]:
    return {name: isolated(value) if isinstance(value, str) else value for name, value in values.items()}


def which_of_two(when: datetime, zone: ZoneInfo) -> str:
    """The offset of a moment whose time of the day comes twice, after a space that never breaks; else ""."""
    local = when.astimezone(zone)
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"{NO_BREAK}UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


ENGLISH = language()
"""The default language: for the command line and the API."""

"""What a schedule is called where people read it. Pure."""

from __future__ import annotations

from datetime import time

from guardian.application.root import NamedSchedule
from guardian.core.cadence import Cron, Daily, Elapsed, Every, Monthly, Weekly
from guardian.core.language import Language


def schedule_name(named: NamedSchedule, lang: Language) -> str:
    """The name that the settings give it; of one without, when it goes out: in English as the settings write it."""
    schedule, zone = named.schedule, named.schedule.zone.key
    if named.settings.name or lang.code == "en":
        return named.name
    match schedule.cadence:
        case Every(minutes) | Elapsed(minutes):
            said = lang("every %(time)s", time=lang.duration(minutes * 60))
        case Daily(at):
            said = lang("daily at %(time)s", time=_clock(at))
        case Weekly(day, at):
            said = lang("weekly on %(day)s at %(time)s", day=lang.locale.days["format"]["wide"][day], time=_clock(at))
        case Monthly(None, at):
            said = lang("monthly on the last day at %(time)s", time=_clock(at))
        case Monthly(day, at):
            said = lang("monthly on day %(day)s at %(time)s", day=day, time=_clock(at))
        case Cron(expression):
            said = f"cron {expression}"
        case _:
            return named.name
    again = named.name.removeprefix(str(schedule))  # " (2)" where two are alike
    return f"{said} ({zone}){again}"


def _clock(at: time) -> str:
    return f"{at:%H:%M}"

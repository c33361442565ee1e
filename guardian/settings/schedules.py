"""The tables of the settings on reports: when they go out, to whom, and with what; and who is told when one did not go
out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from guardian.core.schedule import parse_schedule
from guardian.core.sections import known_sections
from guardian.settings.section import Section
from guardian.settings.values import Addresses, LanguageCode, Names, PingUrl, ScheduleText, ZoneName, listed

SectionNames = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(known_sections)]


class ScheduleSettings(Section):
    """One report: when it goes out, to whom, with what: `[[schedules]]`. `recipients` empty means the admins.

    A text alone means its `when`; `every = "2h"` means `when = "every 2h"`. `timezone` None means the one for all,
    `sections` empty all of them, `features` empty the whole app, `language` None that of `[mail]`.
    """

    when: ScheduleText
    name: str | None = None
    timezone: ZoneName | None = None
    recipients: Addresses = ()
    skip_empty: bool = False
    sections: SectionNames = ()
    features: Names = ()
    format: Literal["html", "text"] = "html"
    language: LanguageCode | None = None
    ping_url: PingUrl | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"when": value}
        if isinstance(value, dict) and "every" in value and "when" not in value:
            rest = {key: part for key, part in value.items() if key != "every"}
            return {"when": f"every {value['every']}", **rest}
        return value

    @model_validator(mode="after")
    def _one_zone(self) -> ScheduleSettings:
        named = parse_schedule(self.when, "UTC").zone
        if self.timezone is not None and named == parse_schedule(self.when, "Etc/GMT+1").zone:
            raise ValueError(f"the time zone stands in when ({named.key}) and in timezone ({self.timezone}): keep one")
        return self


class WatchdogSettings(Section):
    """Who hears that a report has not gone out, and when: `[watchdog]`. `channels` None means all of them.

    `ping_url` is asked for when a report has gone out, unless its schedule has an address of its own.
    """

    overdue_minutes: int = Field(default=30, ge=1, le=10080)
    channels: Names | None = None
    ping_url: PingUrl | None = None

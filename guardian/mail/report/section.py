"""The definition of a section of the report mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Report


def _nothing(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Section:
    """One section: `words` gives the values that it shows of a report, in the reader's language, under the keys of
    `blank`, which has the values for a section left out. Sections that do not come from the report (incidents,
    companions) have no `words`. `name` is the one of the settings (`guardian.core.sections`), and of the templates
    `templates/mail/report/NAME.html` and `.txt`; the frame of the mail prints a section that has no `templates`.
    `nothing` is what the common line says about it if it is blank.
    """

    name: str
    blank: Mapping[str, Any]
    words: Callable[[Report, Language, ZoneInfo], dict[str, Any]] = _nothing
    templates: bool = True
    nothing: str = ""

"""What a section of the report mail is."""

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
    """One section: `words` gives what it shows of a report, in the reader's language, as plain values under the keys of
    `blank`, which holds what stands there where the section is left out.

    What does not come from the report (incidents, companions) has no `words` of its own. `name` is the one of the
    settings (`guardian.core.sections`), and of the templates `templates/mail/report/NAME.html` and `.txt`; the frame of
    the mail prints a section that has no `templates`. `nothing` is said of one that is blank, in one line with others.
    """

    name: str
    blank: Mapping[str, Any]
    words: Callable[[Report, Language, ZoneInfo], dict[str, Any]] = _nothing
    templates: bool = True
    nothing: str = ""

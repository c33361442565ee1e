"""Says whom an incident hit and how they fared since, in sentences with the figures."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from guardian.alerting.whom import Hit, Whom
from guardian.core.language import Language
from guardian.core.time import moment


def whom_lines(found: Whom, lang: Language, zone: ZoneInfo) -> list[str]:
    """How many were hit and how they fared, and who is not named; nothing where nobody was. It names no person."""
    lines = []
    if found.number:
        hit = lang.plural("%(n)s person was hit", "%(n)s people were hit", found.number)
        fared = _fared(found, lang)
        lines.append(lang("%(hit)s: %(fared)s.", hit=hit, fared=fared) if fared else lang("%(hit)s.", hit=hit))
    if found.erased:
        lines.append(
            lang.plural(
                "%(n)s of them was erased, and is not named.",
                "%(n)s of them were erased, and are not named.",
                found.erased,
            )
        )
    if found.anonymous:
        lines.append(
            lang.plural(
                "%(n)s failed request came from somebody who was not signed in.",
                "%(n)s failed requests came from people who were not signed in.",
                found.anonymous,
            )
        )
    return lines


def _fared(found: Whom, lang: Language) -> str:
    back, again, away = (len(found.fared(fate)) for fate in ("back", "again", "away"))
    features = {hit.feature for hit in found.people}
    said = []
    if back and len(features) == 1:
        [feature] = features
        said.append(
            lang.plural("%(n)s has used %(feature)s since", "%(n)s have used %(feature)s since", back, feature=feature)
        )
    elif back:
        said.append(lang.plural("%(n)s has succeeded since", "%(n)s have succeeded since", back))
    if again:
        said.append(lang.plural("%(n)s has tried again and failed", "%(n)s have tried again and failed", again))
    if away:
        said.append(lang.plural("%(n)s has not come back", "%(n)s have not come back", away))
    return ", ".join(said)


def to_write_to(found: Whom) -> tuple[Hit, ...]:
    """Those who are to be told: who has not come back, and who failed again."""
    return found.fared("away", "again")


def letter(found: Whom, lang: Language, zone: ZoneInfo, *, over: datetime | None) -> tuple[str, str]:
    """Subject and body of a draft for those who are to be told, of whom there must be one, once it was over: of what
    failed for them."""
    hits = to_write_to(found)
    failed = sorted({hit.feature for hit in hits})
    features = ", ".join(failed)
    first = lang.moment(moment(min(hit.first_us for hit in hits)), zone)
    last = lang.moment(over or moment(max(hit.last_us for hit in hits)), zone)
    body = [
        lang("Hello,"),
        # The same in English; other languages have another verb for several.
        lang.plural(
            "between %(start)s and %(end)s, %(features)s did not work for you. We are sorry.",
            "between %(start)s and %(end)s, %(features)s did not work for you. We are sorry.",
            len(failed), start=first, end=last, features=features,
        ),
        lang("It works again: please try once more, and answer this mail if it does not."),
    ]  # fmt: skip
    return lang("It works again: %(features)s", features=features), "\n\n".join(body)

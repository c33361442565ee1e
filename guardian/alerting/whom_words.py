"""Sentences about whom an incident hit and how they fared since, with figures."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from guardian.alerting.whom import Hit, Whom
from guardian.core.language import Language
from guardian.core.time import moment
from tracker.event import UNMATCHED

_NO_FEATURES = (UNMATCHED, "(other)")
"""The prefixes of feature names that mean nothing to users."""
FEATURES = 5
"""A draft names up to this many features; beyond that it says that the app did not work."""


def whom_lines(found: Whom, lang: Language, zone: ZoneInfo) -> list[str]:
    """How many people were hit, how they fared, and how many cannot be named; empty where nobody was hit. Names
    nobody."""
    lines = []
    if found.number:
        hit = lang.plural("%(n)s person was hit", "%(n)s people were hit", found.number)
        fared = _fared(found, lang)
        lines.append(lang("%(hit)s: %(fared)s.", hit=hit, fared=fared) if fared else lang("%(hit)s.", hit=hit))
    if found.erased and not found.people:
        lines.append(
            lang.plural(
                "%(n)s person was erased, and is not named.",
                "%(n)s people were erased, and are not named.",
                found.erased,
            )
        )
    elif found.erased:
        lines.append(
            lang.plural(
                "%(n)s of them was erased, and is not named.",
                "%(n)s of them were erased, and are not named.",
                found.erased,
            )
        )
    if found.anonymous and found.slow:
        lines.append(
            lang.plural(
                "%(n)s slow request came from somebody who was not signed in.",
                "%(n)s slow requests came from people who were not signed in.",
                found.anonymous,
            )
        )
    elif found.anonymous:
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
    if back and len(features) == 1 and not any(each.startswith(_NO_FEATURES) for each in features):
        [feature] = features
        said.append(
            lang.plural("%(n)s has used %(feature)s since", "%(n)s have used %(feature)s since", back, feature=feature)
        )
    elif back:
        said.append(lang.plural("%(n)s has succeeded since", "%(n)s have succeeded since", back))
    if again and found.slow:
        said.append(
            lang.plural("%(n)s has tried again, and it was slow", "%(n)s have tried again, and it was slow", again)
        )
    elif again:
        said.append(lang.plural("%(n)s has tried again and failed", "%(n)s have tried again and failed", again))
    if away:
        said.append(lang.plural("%(n)s has not come back", "%(n)s have not come back", away))
    return ", ".join(said)


def to_write_to(found: Whom) -> tuple[Hit, ...]:
    """The people to write to: those who have not come back, and those who failed again."""
    return found.fared("away", "again")


def letter(found: Whom, lang: Language, zone: ZoneInfo, *, over: datetime | None) -> tuple[str, str]:
    """Subject and body of a draft to the people to write to (at least one), about what failed for them, once the
    incident is over."""
    hits = to_write_to(found)
    failed = sorted({hit.feature for hit in hits if not hit.feature.startswith(_NO_FEATURES)})
    if not 0 < len(failed) <= FEATURES:
        failed = [lang("our service")]
    features = ", ".join(failed)
    first = lang.moment(moment(min(hit.first_us for hit in hits)), zone)
    last = lang.moment(over or moment(max(hit.last_us for hit in hits)), zone)
    span = {"start": first, "end": last, "features": features}
    if found.slow:
        subject = lang("It is fast again: %(features)s", features=features)
        what = lang.plural(
            "between %(start)s and %(end)s, %(features)s was slow for you. We are sorry.",
            "between %(start)s and %(end)s, %(features)s were slow for you. We are sorry.",
            len(failed), **span,
        )  # fmt: skip
        now = lang("It is fast again: please try once more, and answer this mail if it is not.")
    else:
        subject = lang("It works again: %(features)s", features=features)
        what = lang.plural(
            # The two texts are equal in English; other languages have a plural verb.
            "between %(start)s and %(end)s, %(features)s did not work for you. We are sorry.",
            "between %(start)s and %(end)s, %(features)s did not work for you. We are sorry.",
            len(failed), **span,
        )  # fmt: skip
        now = lang("It works again: please try once more, and answer this mail if it does not.")
    return subject, "\n\n".join((lang("Hello,"), what, now))

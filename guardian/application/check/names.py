"""`guardian check` for feature names: which ones in the settings match none of the app's features."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language
from guardian.core.summary import fits
from guardian.settings.schema import Settings


def matching_nothing(
    settings: Settings, names: Collection[str], why: str, *, critical: bool = True, lang: Language = ENGLISH
) -> Iterator[Finding]:
    """A warning for each pattern in the settings that fits none of the features; `why` goes on after "which".

    Without `critical` the critical features are left out.
    """
    places = []
    if critical:
        unset = "critical_features" not in settings.model_fields_set
        places.append(("critical_features" + " (by default)" * unset, settings.critical_features))
    for name, rule in settings.rules.items():
        feature = getattr(rule, "feature", None)
        places.append((f"rules.{name}.features", getattr(rule, "features", ())))
        places.append((f"rules.{name}.feature", (feature,) if feature else ()))
    places += [(f"schedules[{number}].features", each.features) for number, each in enumerate(settings.schedules)]
    some = ", ".join(sorted(names)[:3])
    for place, patterns in places:
        for pattern in patterns:
            if any(fits(name, (pattern,)) for name in names):
                continue
            cure = lang("name a feature of the list, such as %(some)s", some=some)
            if near := difflib.get_close_matches(pattern.strip("*_"), names, n=1, cutoff=0.6):
                cure = lang("did you mean %(name)s?", name=repr(near[0]))
            text = lang("%(place)s has %(name)s, which %(why)s", place=place, name=repr(pattern), why=why)
            yield Finding("features", "warning", lang("%(what)s: %(cure)s", what=text, cure=cure))

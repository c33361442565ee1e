"""Rules in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.alerting.columns import Counts
from guardian.alerting.kinds import kind_of
from guardian.core.language import Language

if TYPE_CHECKING:
    from guardian.alerting.incidents import Incident
    from guardian.settings.rules import Rule


def rule_in_words(rule: Rule, lang: Language) -> str:
    """The rule in sentences that say exactly when it fires."""
    words = " ".join([kind_of(rule).words(rule, lang), *_minimums(rule, lang)])
    if rule.for_:
        words += " " + lang("It must hold for %(time)s.", time=lang.duration(rule.for_))
    return words


def rule_line(rule: Rule, incident: Incident, counts: Counts | None, lang: Language) -> str:
    """The rule's name, its threshold and the value, in one line: "Rule chat-errors: error rate above 10 % in the last
    hour; now 18.2 %". With `counts` None the incident does not fire in this minute, and the value is its peak."""
    kind = kind_of(rule)
    said, value = kind.gist(rule, incident, lang), kind.reading(rule, incident, counts, lang)
    if not value:
        return lang("Rule %(rule)s: %(words)s", rule=rule.name, words=said)
    return lang("Rule %(rule)s: %(words)s; %(value)s", rule=rule.name, words=said, value=value)


def _minimums(rule: Rule, lang: Language) -> list[str]:
    """A sentence each for `min_requests` and `min_users`, if they demand anything."""
    kind, found = kind_of(rule), []
    if rule.min_requests > kind.fewest:
        found.append(kind.least_requests(rule.min_requests, lang))
    if rule.min_users:
        found.append(kind.least_users(rule.min_users, lang))
    return found

"""A rule in sentences that say exactly when it fires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardian.alerting.kinds import kind_of
from guardian.core.language import Language

if TYPE_CHECKING:
    from guardian.settings.rules import Rule


def rule_in_words(rule: Rule, lang: Language) -> str:
    """The rule in sentences that say exactly when it fires."""
    words = " ".join([kind_of(rule).words(rule, lang), *_minimums(rule, lang)])
    if rule.for_:
        words += " " + lang("It must hold for %(time)s.", time=lang.duration(rule.for_))
    return words


def _minimums(rule: Rule, lang: Language) -> list[str]:
    """What `min_requests` and `min_users` ask for, a sentence each; nothing for those that ask for nothing."""
    kind, found = kind_of(rule), []
    if rule.min_requests > kind.fewest:
        found.append(kind.least_requests(rule.min_requests, lang))
    if rule.min_users:
        found.append(kind.least_users(rule.min_users, lang))
    return found

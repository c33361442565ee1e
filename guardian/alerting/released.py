"""A new release marks open incidents as fixed, for the rules whose settings say so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from guardian.alerting.actions import fixed_at
from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import GOING_ON, Incident
from guardian.alerting.sample import Released

if TYPE_CHECKING:
    from guardian.settings.rules import Rule


def waiting(state: AlertState, rules: Iterable[Rule]) -> list[Incident]:
    """The open incidents that the next release will mark as fixed."""
    asked = {rule.name for rule in rules if rule.enabled and rule.fixed_by_release}
    if not asked:
        return []
    return [each for each in state.incidents() if each.rule in asked and each.status in GOING_ON]


def begun_before(incidents: Iterable[Incident], newest: Released) -> list[Incident]:
    """The incidents that this release marks as fixed: they started before it, and were not marked as fixed since."""
    return [i for i in incidents if i.first_us < newest.at_us and (i.fixed_us or 0) < newest.at_us]


def fixed(state: AlertState, rules: Iterable[Rule], released: Sequence[Released], now_us: int) -> AlertState:
    """The state in which open incidents are judged only by what came after the newest of these releases (ascending)
    that had answered a request before `now_us`."""
    known = [each for each in released if each.at_us < now_us]
    if not known or not (open_ := waiting(state, rules)):
        return state
    for incident in begun_before(open_, known[-1]):
        state = fixed_at(known[-1].at_us)(state, incident)
    return state

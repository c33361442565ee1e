"""What people do with an incident: acknowledge, silence, mark as fixed, resolve. Pure changes of the alert state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident
from guardian.core.time import micros

Action = Literal["acknowledge", "silence-1h", "silence-8h", "silence-morning", "fixed", "resolve"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What can be done from a mail, the API and the command line."""
MORNING = 8
"""The local hour at which "until morning" ends."""

Edit = Callable[[AlertState, Incident], AlertState]


def edit_for(action: Action, *, by: str, now: datetime, zone: ZoneInfo) -> Edit:
    """The edit for an action that `by` takes at `now`, to pass to `AlertStore.change`.

    Acknowledge: reminders stop, the end is still announced. Silence: nothing is announced until the silence ends.
    Fixed: the rule counts only what comes after `now`. Resolve: the incident is over whatever the rule says, and opens
    again when the rule fires on newer requests.
    """
    at_us = micros(now)

    def acknowledge(state: AlertState, incident: Incident) -> AlertState:
        status = "acknowledged" if incident.status == "open" else incident.status
        return state.changed(replace(incident, status=status, acknowledged_by=by, acted=True))

    def silence(state: AlertState, incident: Incident) -> AlertState:
        until = micros(silent_until(action, now, zone))
        return state.changed(replace(incident, silenced_until_us=until, acknowledged_by=by, acted=True))

    def fixed(state: AlertState, incident: Incident) -> AlertState:
        return fixed_at(at_us)(state, replace(incident, acknowledged_by=by, acted=True))

    def resolve(state: AlertState, incident: Incident) -> AlertState:
        state = fixed(state, incident)
        if incident.status == "pending":
            return state
        ended = replace(
            incident,
            status="resolved", resolved_us=at_us, well_since_us=at_us, fixed_us=at_us,
            acknowledged_by=by, acted=True, closing=True, end="closed",
        )  # fmt: skip
        return state.changed(ended)

    edits: Mapping[str, Edit] = {"acknowledge": acknowledge, "fixed": fixed, "resolve": resolve}
    return edits.get(action, silence)


def fixed_at(at_us: int) -> Edit:
    """The edit after which an incident is judged only by what came after that moment, as after a fix."""

    def fixed(state: AlertState, incident: Incident) -> AlertState:
        state = state.changed(replace(incident, fixed_us=at_us))
        memory = state.memories[incident.rule]
        memory = replace(memory, fixed_us={**memory.fixed_us, incident.subject: at_us})
        if incident.status == "pending":  # What a pending incident started from lies before the fix.
            memory = replace(memory, latest={s: i for s, i in memory.latest.items() if s != incident.subject})
        return replace(state, memories={**state.memories, incident.rule: memory})

    return fixed


def silent_until(action: Action, now: datetime, zone: ZoneInfo) -> datetime:
    """When a silence ends: in an hour, in eight, or at the next 8 o'clock in the morning, local time."""
    if action != "silence-morning":
        return now + timedelta(hours=1 if action == "silence-1h" else 8)
    local = now.astimezone(zone)
    morning = local.replace(hour=MORNING, minute=0, second=0, microsecond=0, fold=0)
    if morning <= local:
        day = local.date() + timedelta(days=1)
        morning = morning.replace(year=day.year, month=day.month, day=day.day)
    return morning


def parse_action(text: str) -> Action:
    """The action of this name. Raises ValueError with one sentence."""
    for action in ACTIONS:
        if text == action:
            return action
    raise ValueError(f"action = {text!r} is not known: it is one of {', '.join(ACTIONS)}")

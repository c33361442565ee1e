"""The alert state and incidents as JSON text, for the database."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident
from guardian.settings.rules import AnyRule


def _adapter(Rule: Any) -> TypeAdapter[AlertState]:
    """The engine loads no pydantic and knows a rule by its name alone. Pydantic looks the name up where an adapter is
    made, so it finds this argument ("Resolving annotations" in its documentation)."""
    return TypeAdapter(AlertState)


STATE_JSON = _adapter(AnyRule)
"""Turns a state into JSON and back."""
INCIDENT_JSON = TypeAdapter(Incident)
"""Turns an incident into JSON and back."""


def read_state(text: str) -> AlertState:
    """The stored state; reads what older versions wrote."""
    text = _renamed(text)
    if '"heard"' not in text and '"told_us"' in text:
        text = json.dumps(_with_audiences(json.loads(text)))
    return STATE_JSON.validate_json(text)


def _with_audiences(state: dict[str, Any]) -> dict[str, Any]:
    """Upgrades a state from before incidents recorded who was told of them: assume the recipients of their rule as last
    stored."""
    rules = state.get("rules", {})
    of_rules = {name: {key: rule[key] for key in ("channels", "recipients")} for name, rule in rules.items()}
    for memory in state.get("memories", {}).values():
        for incident in memory["latest"].values():
            if incident["told_us"] is not None and incident["status"] != "resolved":
                incident["heard"] = of_rules.get(incident["rule"], {"channels": ["mail"], "recipients": []})
    for held in state.get("held", ()):
        incident = held["transition"]["incident"]
        if incident["told_us"] is not None:
            incident["heard"] = held["audience"]
            kept = state["memories"].get(incident["rule"], {}).get("latest", {}).get(incident["subject"])
            if kept is not None and kept["id"] == incident["id"]:
                kept["heard"] = held["audience"]
    return state


def read_incident(text: str) -> Incident:
    """The stored incident; reads what older versions wrote."""
    return INCIDENT_JSON.validate_json(_renamed(text))


def _renamed(text: str) -> str:
    """The JSON with today's key names. Inside strings a quotation mark is escaped, so the replacements only hit
    keys."""
    return text.replace('"began_us":', '"onset_us":')

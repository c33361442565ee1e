"""How the state of alerting is kept as text."""

from __future__ import annotations

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
    """The state that was stored, by an older version too."""
    return STATE_JSON.validate_json(_renamed(text))


def read_incident(text: str) -> Incident:
    """The incident that was stored, by an older version too."""
    return INCIDENT_JSON.validate_json(_renamed(text))


def _renamed(text: str) -> str:
    """The JSON with the names of today. Inside a text a quotation mark has a backslash, so only keys are met."""
    return text.replace('"began_us":', '"onset_us":')

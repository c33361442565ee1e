"""How the state of alerting is kept as text."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from guardian.alerting.engine import AlertState
from guardian.settings.rules import AnyRule


def _adapter(Rule: Any) -> TypeAdapter[AlertState]:
    """The engine loads no pydantic and knows a rule by its name alone. Pydantic looks the name up where an adapter is
    made, so it finds this argument ("Resolving annotations" in its documentation)."""
    return TypeAdapter(AlertState)


STATE_JSON = _adapter(AnyRule)
"""Turns a state into JSON and back."""

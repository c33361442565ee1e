"""Rules with other values than the settings give them, as `guardian backtest --set` tries them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from guardian.settings.rules import rule_models


def overridden(tables: Mapping[str, Mapping[str, Any]], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The `[rules]` tables with `rule.key=value` settings applied: `error_rate.threshold=5%`, lists as
    `feature_down.features=chat_*,login`, and keys of tables as `feature_down.probe.failures=2`.

    A rule that is not there yet is added. Raises ValueError with one sentence for a text of another form.
    """
    changed = copy.deepcopy({name: dict(table) for name, table in tables.items()})
    for text in settings:
        path, equals, value = text.partition("=")
        name, *keys = path.strip().split(".")
        if not (equals and name and keys and all(keys) and value.strip()):
            raise ValueError(f"--set {text!r} is not of the form rule.key=value, such as error_rate.threshold=5%")
        table = changed.setdefault(name, {})
        for key in keys[:-1]:
            inner = table.get(key)
            table[key] = table = dict(inner) if isinstance(inner, dict) else {}
        listed = keys[-1] in _lists()
        table[keys[-1]] = [part.strip() for part in value.split(",")] if listed else _value(value.strip())
    return changed


def _lists() -> set[str]:
    """The keys of rules that hold a list."""
    models = rule_models().values()
    return {k for model in models for k, field in model.model_fields.items() if field.annotation == tuple[str, ...]}


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)

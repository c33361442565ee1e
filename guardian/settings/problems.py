"""What is wrong with settings, in sentences: where it stands, the key, the value and the cure. No secret is in them."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections import Counter
from typing import Any

from guardian.settings.channels import ChannelSettings
from guardian.settings.rules import rule_models
from guardian.settings.schema import setting_fields
from guardian.settings.secrecy import is_secret
from guardian.settings.section import Section

PREFIX = "GUARDIAN_"
"""What the name of every variable of a setting begins with."""
_OF_RULES: dict[str, tuple[str, ...]] = {"unknown_channels": ("channels",), "forgetful_rules": ()}
"""The errors that concern several rules at once, and which of their keys each is about."""
_EXAMPLES = {"bool": "true or false", "int": "a whole number", "float": "a number", "string": "a text in quotes"}


def table_names() -> set[str]:
    """Every table, and every list of tables, by its dotted name: `mail`, `mail.smtp`."""
    return {".".join(key.split(".")[:depth]) for key in setting_fields() for depth in range(1, key.count(".") + 1)}


def sentences(error: Any, text: str, file: str) -> list[str]:
    """What one of pydantic's errors says, a sentence for each thing that is wrong.

    `text` is the file's and `file` its name, for the line; both empty where there is no file. One error can hold
    several: all unknown channels that rules name are a single one, for example.
    """
    if error["type"] not in _OF_RULES:
        return [_sentence(error, text, file)]
    key = _OF_RULES[error["type"]]
    return [_place(("rules", rule, *key), text, file) + said for rule, said in error["ctx"]["found"]]


def _sentence(error: Any, text: str, file: str) -> str:
    """Key, value and cure of one of pydantic's errors (see "Validation Errors" in its documentation)."""
    loc, kind = tuple(error["loc"]), error["type"]
    model: type[Section] | None = ChannelSettings if loc[0] == "channels" else None
    if loc[0] == "rules" and len(loc) > 2:
        model, loc = rule_models().get(str(loc[2])), loc[:2] + loc[3:]  # pydantic puts the rule's kind into the path
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    plain = ".".join(part for part in loc if isinstance(part, str))
    if kind == "union_tag_invalid":
        place = _place((*loc, "kind"), text, file)
        known = ", ".join(rule_models())
        return f"{place}{key}.kind = {error['ctx']['tag']} is not a kind of rule: it is one of {known}"
    place = _place(loc, text, file)
    if kind == "extra_forbidden":
        return f"{place}{key} is not a setting{_suggestion_in(model, loc) if model else _suggestion(plain)}"
    if kind == "missing":
        return f"{place}{key} is missing: add {loc[-1]} = …"
    if kind == "value_error":
        said = _redacted(str(error["ctx"]["error"]))
        return place + (said if said.startswith(f"{key} ") else f"{key}: {said}")
    shown = key if is_secret(plain) or isinstance(error["input"], dict) else f"{key} = {_shown(error['input'])}"
    limits = {
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be more than {gt}",
        "less_than_equal": "must be at most {le}",
        "less_than": "must be less than {lt}",
        "string_too_short": "must not be empty",
        "literal_error": "is not one of {expected}",
    }
    if kind in limits:
        return f"{place}{shown} " + limits[kind].format(**error.get("ctx", {}))
    if kind in ("tuple_type", "list_type"):
        return f'{place}{shown} is not a list: write it in brackets, as ["…"]'
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        if place.startswith(PREFIX):
            inner = next((each for each in setting_fields() if each.startswith(f"{plain}.")), f"{plain}.url")
            example = PREFIX + inner.replace(".", "__").upper()
            return f"{place}{key} is a table: set its keys one by one, as {example}"
        return f"{place}{key} is not a table: write its keys under [{plain}]"
    if kind.split("_")[0] in ("path", "secret"):
        kind = "string_type"
    wanted = _EXAMPLES.get(kind.split("_")[0])
    return f"{place}{shown} is not {wanted}" if wanted else f"{place}{shown}: {error['msg']}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _redacted(text if len(text) <= 80 else text[:77] + "…")


def _redacted(text: str) -> str:
    """The text without what may be a password in an URL; our own example stays."""
    return re.sub(r"://(?!user:password@)[^\s/]*@", "://…@", text)


def _suggestion(key: str) -> str:
    known = list(setting_fields())
    tables = table_names()
    folder, _, last = key.rpartition(".")
    beside = [name for name in {*known, *tables} if name.rpartition(".")[0] == folder]
    found = difflib.get_close_matches(key, beside, n=1, cutoff=0.7)
    found = found or [name for name in (*known, *tables) if name.rpartition(".")[2] == last]
    found = found or difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if found:
        return f": did you mean {found[0]}?"
    return ": the settings here are " + ", ".join(sorted({name.rpartition(".")[2] for name in beside or known}))


def _suggestion_in(model: type[Section], loc: tuple[str | int, ...]) -> str:
    known = [field.alias or name for name, field in model.model_fields.items() if name != "name"]
    found = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
    what = "a channel" if loc[0] == "channels" else "a rule of this kind"
    return f": did you mean {found[0]}?" if found else f": {what} has {', '.join(known)}"


def _place(loc: tuple[str | int, ...], text: str, file: str) -> str:
    """Where the value comes from: "GUARDIAN_API__PORT: " or "guardian.toml line 7: "."""
    variable = PREFIX + "__".join(part.upper() for part in loc if isinstance(part, str))
    if any(name.upper() == variable for name in os.environ):
        return f"{variable}: "
    line = line_of(loc, text)
    return f"{file} line {line}: " if line else f"{file}: " if file else ""


def line_of(loc: tuple[str | int, ...], text: str) -> int | None:
    """The line that holds the key, or else the table or list that holds it; None for one that is nowhere."""
    best, depth = None, 0
    table: tuple[str | int, ...] = ()
    seen: Counter[tuple[str | int, ...]] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        if head := re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]", line):
            table = _key_path(head[2])
            if head[1] == "[[":
                seen[table] += 1
                table = (*table, seen[table] - 1)
            path = table
        elif key := re.match(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=", line):
            path = table + _key_path(key[1])
        else:
            continue
        if loc[: len(path)] == path and len(path) > depth:
            best, depth = number, len(path)
    return best


def _key_path(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip(" \t\"'") for part in dotted.split("."))

"""Reports of other tools that lie beside ours: each gets a section in the mail, a malformed one is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guardian.core.language import marked
from guardian.core.off_loop import json_value
from guardian.mail.message import one_line

MAX_BYTES = 1_000_000
MAX_ITEMS = 20
"""How many recommendations, errors, patterns or log lines of one companion a mail shows."""
MAX_TEXT = 500
STATUSES = {
    "OK": "OK",
    "DEGRADED": "WARNING",
    "WARNING": "WARNING",
    "CRITICAL": "CRITICAL",
    "FAILED": "CRITICAL",
    "UNKNOWN": "UNKNOWN",
}
"""The statuses that a companion may have, in any case, and how grave each is."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What a companion proposes; each text may be empty."""

    priority: str
    action: str
    details: str


@dataclass(frozen=True, slots=True)
class Companion:
    """One companion report. `name` is its file's; `grave` is OK, WARNING, CRITICAL or UNKNOWN.

    `summary` holds (name, value) pairs as texts; `errors`, `patterns` and `logs` are lines; `more` says how many items
    were left out in all.
    """

    name: str
    title: str
    status: str
    grave: str
    timestamp: str
    summary: tuple[tuple[str, str], ...]
    recommendations: tuple[Recommendation, ...]
    errors: tuple[str, ...]
    patterns: tuple[str, ...]
    logs: tuple[str, ...]
    more: int = 0

    def shortened(self, most: int) -> Companion:
        """The same with at most so many items of each kind."""
        kinds = ("recommendations", "errors", "patterns", "logs")
        cut = {kind: getattr(self, kind)[:most] for kind in kinds}
        left_out = sum(len(getattr(self, kind)) - len(cut[kind]) for kind in kinds)
        return replace(self, **cut, summary=self.summary[:most], more=self.more + left_out)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A companion report that cannot be shown, and why, in one sentence."""

    name: str
    reason: str


def load_companions(reports_dir: Path) -> dict[str, Companion | Malformed]:
    """Every *.json of the folder but our own usage_report.json, by file name, in the order of names."""
    found: dict[str, Companion | Malformed] = {}
    for path in sorted(Path(reports_dir).glob("*.json")):
        if path.name != "usage_report.json" and not path.name.startswith("."):
            found[path.name] = _load(path)
    return found


def _load(path: Path) -> Companion | Malformed:
    try:
        if not path.is_file():  # Opening a pipe would wait for whoever writes into it.
            return Malformed(path.name, marked("it is not a file") if path.exists() else marked("it leads nowhere"))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return Malformed(path.name, f"it is larger than {MAX_BYTES:,} bytes")
        return read_companion(path.name, json_value(content.decode("utf-8-sig")))
    except OSError as error:
        return Malformed(path.name, f"it cannot be read ({error.strerror})")
    except (ValueError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        return Malformed(path.name, f"it is not JSON{line}" if line else marked("it is not JSON"))


def read_companion(name: str, data: Any) -> Companion | Malformed:
    """A companion from parsed JSON. Unknown keys are passed over; a value of an odd type is shown as text."""
    if not isinstance(data, Mapping):
        return Malformed(name, marked("it is not a JSON object"))
    try:
        return _read(name, data)
    except RecursionError:
        return Malformed(name, marked("it is nested too deeply"))


def _read(name: str, data: Mapping[str, Any]) -> Companion | Malformed:
    status = str(data.get("status", "UNKNOWN")).strip().upper()
    if status not in STATUSES:
        return Malformed(name, f"its status {status[:40]!r} is none of {', '.join(STATUSES)}")
    recommendations = tuple(map(_recommendation, _items(data.get("recommendations"))))
    errors, patterns, logs = (tuple(map(_line, _items(data.get(key)))) for key in _LISTS)
    summary = data.get("summary")
    pairs = summary.items() if isinstance(summary, Mapping) else [("summary", summary)] if summary else []
    shown = (recommendations, errors, patterns, logs)
    return Companion(
        name=name,
        title=one_line(name.removesuffix(".json").replace("_", " ")).capitalize(),
        status=status,
        grave=STATUSES[status],
        timestamp=_text(data.get("timestamp", "")),
        summary=tuple((_text(key).replace("_", " "), _text(value)) for key, value in list(pairs)[:MAX_ITEMS]),
        recommendations=recommendations[:MAX_ITEMS],
        errors=errors[:MAX_ITEMS],
        patterns=patterns[:MAX_ITEMS],
        logs=logs[:MAX_ITEMS],
        more=sum(max(0, len(items) - MAX_ITEMS) for items in shown),
    )


_LISTS = ("errors_detailed", "error_patterns", "log_samples")


def _items(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return [f"{key}: {_text(item)}" for key, item in value.items()]
    return value if isinstance(value, list) else (value,)


def _recommendation(value: Any) -> Recommendation:
    if isinstance(value, Mapping):
        return Recommendation(*(_text(value.get(key, "")) for key in ("priority", "action", "details")))
    return Recommendation("", _text(value), "")


def _line(value: Any) -> str:
    if isinstance(value, Mapping):
        return _clip(" · ".join(f"{key}: {_text(item)}" for key, item in value.items()))
    return _text(value)


def _text(value: Any) -> str:
    """One value as a short text: numbers with separators, lists joined."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else str(value)[:40]
    if isinstance(value, float):
        return f"{value:,.10g}"
    if value is None:
        return "–"
    if isinstance(value, list):
        return _clip(", ".join(map(_text, value[:MAX_ITEMS])))
    if isinstance(value, Mapping):
        return _clip(", ".join(f"{key}: {_text(item)}" for key, item in list(value.items())[:MAX_ITEMS]))
    return _clip(str(value))


def _clip(text: str) -> str:
    text = one_line(text[: 4 * MAX_TEXT])
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"

"""Reports of other tools in the same folder: each gets a section in the mail; malformed ones are named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guardian.core.bidi import one_line
from guardian.core.grade import COMPANION_STATUSES, Grade, grade
from guardian.core.language import marked
from guardian.core.off_loop import json_value

MAX_BYTES = 1_000_000
MAX_FILES, MAX_BYTES_IN_ALL = 50, 5_000_000
"""The most bytes read for one mail: a megabyte takes 50 ms."""
MAX_ITEMS = 20
"""How many recommendations, errors, patterns or log lines of one companion a mail shows."""
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A companion's recommendation; each text may be empty."""

    priority: str
    action: str
    details: str


@dataclass(frozen=True, slots=True)
class Companion:
    """One companion report. `name` is that of its file; `grave` is OK, WARNING, CRITICAL or UNKNOWN.

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
    """Every *.json of the folder but our own usage_report.json, by file name, in the order of names.

    Files beyond `MAX_FILES` or `MAX_BYTES_IN_ALL` become Malformed with that reason, so that they cannot delay the
    mail.
    """
    found: dict[str, Companion | Malformed] = {}
    try:
        paths = sorted(Path(reports_dir).glob("*.json"))
    except OSError as error:
        name = Path(reports_dir).name
        return {name: Malformed(name, f"it cannot be read ({error.strerror})")}
    left = MAX_BYTES_IN_ALL
    for path in paths:
        if path.name != "usage_report.json" and not path.name.startswith("."):
            found[path.name], size = _load(path, left if len(found) < MAX_FILES else -1)
            left -= size
    return found


def _load(path: Path, most: int) -> tuple[Companion | Malformed, int]:
    """The companion, and how many bytes were read for it, at most `most`; with a negative `most` the file is not
    read."""
    too_much = Malformed(path.name, marked("only the first 50 files, or 5 MB of them, are read"))
    if most < 0:
        return too_much, 0
    try:
        if not path.is_file():  # Opening a pipe would wait for whoever writes into it.
            return Malformed(
                path.name, marked("it is not a file") if path.exists() else marked("it is a link to nothing")
            ), 0
        size = path.stat().st_size
        if size > MAX_BYTES:
            return Malformed(path.name, f"it is larger than {MAX_BYTES:,} bytes"), 0
        if size > most:
            return too_much, 0
        with path.open("rb") as file:
            content = file.read(min(MAX_BYTES, most) + 1)
        if len(content) > min(MAX_BYTES, most):  # it grew meanwhile
            return too_much, most
    except OSError as error:
        return Malformed(path.name, f"it cannot be read ({error.strerror})"), 0
    return _parsed(path, content), len(content)


def _parsed(path: Path, content: bytes) -> Companion | Malformed:
    try:
        return read_companion(path.name, json_value(content.decode("utf-8-sig")))
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
    if status not in COMPANION_STATUSES:
        return Malformed(name, f"its status {status[:40]!r} is not one of {', '.join(COMPANION_STATUSES)}")
    recommendations = tuple(map(_recommendation, _items(data.get("recommendations"))))
    errors, patterns, logs = (tuple(map(_line, _items(data.get(key)))) for key in _LISTS)
    summary = data.get("summary")
    pairs = summary.items() if isinstance(summary, Mapping) else [("summary", summary)] if summary else []
    shown = (recommendations, errors, patterns, logs)
    return Companion(
        name=name,
        title=one_line(name.removesuffix(".json").replace("_", " ")).capitalize(),
        status=status,
        grave="UNKNOWN" if grade(status) == Grade.UNKNOWN else grade(status).status,
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

"""The report as JSON values: the one place that writes them; `reading` is the way back. Pure.

The keys are those of docs/architecture.md, in the order in which they have always been written: files of reports are
compared byte for byte.
"""

from __future__ import annotations

from typing import Any

from guardian.core.report.additions import additions_json
from guardian.core.report.model import (
    Comparison,
    NoteRow,
    Previous,
    Report,
    Step,
)
from guardian.core.report.rows import failed_json, users_json
from guardian.core.time import iso


def to_json(report: Report) -> dict[str, Any]:
    """The report as `json.dumps` takes it: times in UTC as ISO 8601. `only_features` and `users_left_out` are there
    only with some, `comparison`, `incidents` and what `additions` has only in reports that know them."""
    written: dict[str, Any] = {
        "period_start": iso(report.period_start),
        "period_end": iso(report.period_end),
        **_totals(report),
        "users": users_json(report.users),
        "top_features": [_fields(each) for each in report.top_features],
        "error_breakdown": dict(report.error_breakdown),
        "status": report.status,
        "status_reason": report.status_reason,
        "notes": [_note(note) for note in report.notes],
        "previous": None if report.previous is None else _previous(report.previous),
        "anonymous": _fields(report.anonymous),
        "latency_ms": _fields(report.latency_ms),
        "features": [
            {**_fields(each), "statuses": dict(each.statuses), "latency_ms": _fields(each.latency_ms)}
            for each in report.features
        ],
        "help": [{"email": each.email, "steps": [_step(step) for step in each.steps]} for each in report.help],
        "gone_quiet": [
            {**_fields(each), "last_seen": iso(each.last_seen), "error": failed_json(each.error)}
            for each in report.gone_quiet
        ],
        "timeline": [{**_fields(bar), "start": iso(bar.start)} for bar in report.timeline],
        "privacy": {
            **_fields(report.privacy),
            "stored": list(report.privacy.stored),
            "oldest": iso(report.privacy.oldest),
            "totals_since": iso(report.privacy.totals_since),
            "last_heartbeat": iso(report.privacy.last_heartbeat),
        },
        "recorders": [{**_fields(each), "seen_at": iso(each.seen_at)} for each in report.recorders],
        "generated_at": iso(report.generated_at),
    }
    if report.comparison is not None:
        written["comparison"] = _comparison(report.comparison)
    if report.fired is not None:
        written["incidents"] = [_fields(each) for each in report.fired]
    if report.only_features:
        written["only_features"] = list(report.only_features)
    if report.users_left_out:
        written["users_left_out"] = report.users_left_out
    return {**written, **additions_json(report)}


def _comparison(made: Comparison) -> dict[str, Any]:
    return {
        "with": made.kind,
        "period": None if made.period is None else _previous(made.period),
        "recorded_since": iso(made.recorded_since),
        "usual_server_error_rate": made.usual_server_rate,
    }


def _fields(part: Any) -> dict[str, Any]:
    """The fields of a dataclass, as they are."""
    return {name: getattr(part, name) for name in part.__slots__}


def _totals(part: Report | Previous) -> dict[str, Any]:
    return {name: getattr(part, name) for name in ("active_users", "total_requests", "total_errors")}


def _previous(before: Previous) -> dict[str, Any]:
    return {
        "period_start": iso(before.period_start),
        "period_end": iso(before.period_end),
        **_totals(before),
        "error_breakdown": dict(before.error_breakdown),
        "top_features": [_fields(each) for each in before.top_features],
        "features": [_fields(each) for each in before.features],
    }


def _note(note: NoteRow) -> dict[str, Any]:
    return {name: value for name, value in _fields(note).items() if value is not None}


def _step(step: Step) -> dict[str, Any]:
    code = {"code": step.code, "failed": True} if step.failed else {"code": step.code}
    return {"feature": step.feature, **code, "timestamp": iso(step.timestamp)}

"""Reading a report's JSON, as this version or an older one wrote it (see `guardian.core.report.json`). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from guardian.core.report.additions import read_additions
from guardian.core.report.model import (
    Anonymous,
    Comparison,
    FailedRequest,
    Feature,
    FeatureBefore,
    FeatureCount,
    Fired,
    GoneQuiet,
    Helped,
    NoteRow,
    Previous,
    Quantiles,
    Receipt,
    RecorderRow,
    Report,
    Step,
    UserRow,
)
from guardian.core.summary import TimelineBar


def from_json(data: Mapping[str, Any]) -> Report:
    """The report that this JSON holds, written by this version or an older one: what is missing gets the model's
    default.

    Only the fixed keys must be there. Raises KeyError where one is missing, ValueError for an invalid time.
    """
    before = data.get("previous")
    return Report(
        period_start=datetime.fromisoformat(data["period_start"]),
        period_end=datetime.fromisoformat(data["period_end"]),
        active_users=data["active_users"],
        total_requests=data["total_requests"],
        total_errors=data["total_errors"],
        users=tuple(
            UserRow(
                user["email"],
                user["total_time_minutes"],
                tuple(user["features_used"]),
                user["requests_count"],
                user["errors_count"],
                tuple(map(_read_failed, user["errors"])),
            )
            for user in data["users"]
        ),
        top_features=_read_counts(data["top_features"]),
        error_breakdown=dict(data["error_breakdown"]),
        status=data.get("status") or "",
        status_reason=data.get("status_reason") or "",
        notes=tuple(
            NoteRow(note["kind"], note["count"], note.get("detail"), note["text"], note["cure"])
            for note in data.get("notes") or ()
        ),
        previous=_read_previous(before) if before else None,
        anonymous=Anonymous(*_numbers(data.get("anonymous"), "requests_count", "errors_count")),
        latency_ms=_read_latency(data.get("latency_ms")),
        features=tuple(map(_read_feature, data.get("features") or ())),
        help=tuple(Helped(each["email"], tuple(map(_read_step, each["steps"]))) for each in data.get("help") or ()),
        gone_quiet=tuple(
            GoneQuiet(
                each["email"],
                datetime.fromisoformat(each["last_seen"]),
                each["requests_count"],
                _read_failed(each["error"]),
            )
            for each in data.get("gone_quiet") or ()
        ),
        timeline=tuple(
            TimelineBar(datetime.fromisoformat(bar["start"]), bar["requests"], bar["errors"], bar["active_users"])
            for bar in data.get("timeline") or ()
        ),
        privacy=_read_receipt(data.get("privacy") or {}),
        recorders=tuple(
            RecorderRow(
                each["id"],
                datetime.fromisoformat(each["seen_at"]),
                *_numbers(each, "accepted", "stored", "dropped", "queued"),
            )
            for each in data.get("recorders") or ()
        ),
        generated_at=_time(data.get("generated_at")),
        only_features=tuple(data["only_features"]) if "only_features" in data else (),
        comparison=_read_comparison(data["comparison"]) if "comparison" in data else None,
        fired=tuple(Fired(each["rule"], each["severity"]) for each in data["incidents"])
        if "incidents" in data
        else None,
        users_left_out=data["users_left_out"] if "users_left_out" in data else 0,  # noqa: SIM401 -- in tests, get() refuses a missing key
        **read_additions(data),
    )


def _read_comparison(made: Mapping[str, Any]) -> Comparison:
    return Comparison(
        made["with"],
        _read_previous(made["period"]) if made.get("period") else None,
        _time(made.get("recorded_since")),
        made.get("usual_server_error_rate"),
    )


def _read_previous(before: Mapping[str, Any]) -> Previous:
    return Previous(
        active_users=before.get("active_users"),
        total_requests=before.get("total_requests") or 0,
        total_errors=before.get("total_errors") or 0,
        period_start=_time(before.get("period_start")),
        period_end=_time(before.get("period_end")),
        error_breakdown=dict(before.get("error_breakdown") or {}),
        top_features=_read_counts(before.get("top_features") or ()),
        features=tuple(
            FeatureBefore(each["name"], *_numbers(each, "requests", "errors")) for each in before.get("features") or ()
        ),
    )


def _read_feature(each: Mapping[str, Any]) -> Feature:
    return Feature(
        name=each["name"],
        requests=each["requests"],
        errors=each["errors"],
        server_errors=each.get("server_errors") or 0,
        error_rate=each.get("error_rate") or 0.0,
        statuses=dict(each.get("statuses") or {}),
        failed_users=each.get("failed_users"),
        latency_ms=_read_latency(each.get("latency_ms")),
    )


def _read_receipt(receipt: Mapping[str, Any]) -> Receipt:
    return Receipt(
        stored=tuple(receipt.get("stored") or ()),
        events=receipt.get("events"),
        users=receipt.get("users"),
        oldest=_time(receipt.get("oldest")),
        size_bytes=receipt.get("size_bytes"),
        purged_events=receipt.get("purged_events"),
        totals_since=_time(receipt.get("totals_since")),
        dropped_events=receipt.get("dropped_events") or 0,
        last_heartbeat=_time(receipt.get("last_heartbeat")),
    )


def _read_counts(rows: Iterable[Mapping[str, Any]]) -> tuple[FeatureCount, ...]:
    return tuple(FeatureCount(each["name"], each["count"]) for each in rows)


def _read_failed(each: Mapping[str, Any]) -> FailedRequest:
    at = datetime.fromisoformat(each["timestamp"])
    return FailedRequest(each["endpoint"], each["error"], at, each["code"], "failed" in each)


def _read_step(step: Mapping[str, Any]) -> Step:
    return Step(step["feature"], step["code"], "failed" in step, _time(step.get("timestamp")))


def _read_latency(quantiles: Mapping[str, Any] | None) -> Quantiles:
    return Quantiles(*((quantiles or {}).get(name) for name in ("p50", "p95", "p99")))


def _numbers(part: Mapping[str, Any] | None, *names: str) -> Iterable[int]:
    """What the part has under these names; 0 for what it has not."""
    return ((part or {}).get(name) or 0 for name in names)


def _time(iso: str | None) -> datetime | None:
    return datetime.fromisoformat(iso) if iso else None

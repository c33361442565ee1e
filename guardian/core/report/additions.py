"""What a report says beyond its totals, as JSON values and back: who came and went, releases, and causes. Pure.

A person stands under the key "email", here as everywhere in a report: erasing finds them by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from guardian.core.cause import PERIOD_BEFORE, Cause, Found, MovedCause, Way
from guardian.core.releases import Release, Since
from guardian.core.time import iso
from guardian.core.turnover import Cohort, Group, Turnover, Usage

if TYPE_CHECKING:
    from guardian.core.report.model import Report


def additions_json(report: Report) -> dict[str, Any]:
    """The keys `turnover`, `releases` and `causes`, each only where the report knows of it."""
    written: dict[str, Any] = {}
    if report.turnover is not None:
        written["turnover"] = _turnover(report.turnover)
    if report.releases is not None:
        written["releases"] = [_release(each) for each in report.releases]
    if report.causes:
        written["causes"] = [_cause(each) for each in report.causes]
    return written


def read_additions(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the model that those keys are of."""
    found: dict[str, Any] = {}
    if "turnover" in data:
        found["turnover"] = _read_turnover(data["turnover"])
    if "releases" in data:
        found["releases"] = tuple(map(_read_release, data["releases"]))
    if "causes" in data:
        found["causes"] = tuple(map(_read_cause, data["causes"]))
    return found


def _turnover(told: Turnover) -> dict[str, Any]:
    back = None if told.came_new is None else {"of": told.came_new, "back": told.came_back}
    return {
        "active": told.active,
        "active_before": told.active_before,
        "new": _group(told.new),
        "returned": _group(told.returned),
        "quiet": None
        if told.quiet is None
        else [{"feature": each.feature or None, **_group(each)} for each in told.quiet],
        "came_back": back,
        "cohorts": [{"start": iso(each.start), "new": each.new, "back": list(each.back)} for each in told.cohorts],
        "adopted": [each._asdict() for each in told.adopted],
        "abandoned": [each._asdict() for each in told.abandoned],
        "ordinary": told.ordinary,
    }


def _group(group: Group) -> dict[str, Any]:
    return {"count": group.number, "people": [{"email": name} for name in group.people]}


def _read_turnover(told: Mapping[str, Any]) -> Turnover:
    back, quiet = told["came_back"], told["quiet"]
    return Turnover(
        active=told["active"],
        active_before=told["active_before"],
        new=_read_group(told["new"]),
        returned=_read_group(told["returned"]),
        quiet=None if quiet is None else tuple(map(_read_group, quiet)),
        came_new=None if back is None else back["of"],
        came_back=None if back is None else back["back"],
        cohorts=tuple(
            Cohort(datetime.fromisoformat(each["start"]), each["new"], tuple(each["back"])) for each in told["cohorts"]
        ),
        adopted=_read_usage(told["adopted"]),
        abandoned=_read_usage(told["abandoned"]),
        ordinary=told["ordinary"],
    )


def _read_group(group: Mapping[str, Any]) -> Group:
    return Group(group["count"], tuple(each["email"] for each in group["people"]), group.get("feature") or "")


def _read_usage(rows: Iterable[Mapping[str, Any]]) -> tuple[Usage, ...]:
    return tuple(Usage(each["feature"], each["people"], each["before"]) for each in rows)


def _release(each: Release) -> dict[str, Any]:
    since = _since(each.since)
    return {
        "release": each.release,
        "first_seen": since.pop("start"),
        "until": since.pop("end"),
        **since,
        "before": None if each.before is None else _since(each.before),
        "compared": list(each.compared),
        "moved": list(each.moved),
    }


def _since(each: Since) -> dict[str, Any]:
    return {
        "start": iso(each.start),
        "end": iso(each.end),
        "requests": each.requests,
        "errors": each.errors,
        "p95_ms": each.p95_ms,
    }


def _read_release(each: Mapping[str, Any]) -> Release:
    since = _read_since({**each, "start": each["first_seen"], "end": each["until"]})
    before = None if each["before"] is None else _read_since(each["before"])
    return Release(each["release"], since, before, tuple(each["compared"]), tuple(each["moved"]))


def _read_since(each: Mapping[str, Any]) -> Since:
    start, end = (datetime.fromisoformat(each[edge]) for edge in ("start", "end"))
    return Since(start, end, each["requests"], each["errors"], each["p95_ms"])


def way_values(way: Way | None) -> dict[str, Any] | None:
    """The kind of failure that explains most, as JSON values; None where it is not known, or no error."""
    if way is None or not isinstance(way.value, tuple):
        return None
    kind, place = way.value
    return {
        "kind": kind,
        "place": place,
        "failed": way.bad,
        "of": way.of,
        "before": way.before,
        "requests_before": way.before_requests,
    }


def _cause(each: MovedCause) -> dict[str, Any]:
    return {
        "feature": each.feature,
        "status": each.status,
        "of": each.of,
        "days_before": each.days if each.days > 0 else None,
        "error": way_values(each.way),
        "found": [_found(found) for found in each.cause.found],
    }


def _found(found: Found) -> dict[str, Any]:
    return {
        "dimension": found.dimension,
        "email" if found.dimension == "person" else "value": str(found.value),
        "bad": found.bad,
        "of": found.of,
        "requests": found.requests,
        "other_requests": found.other_requests,
        "share": round(found.share, 4),
    }


def _read_cause(each: Mapping[str, Any]) -> MovedCause:
    error = each["error"]
    way = error and Way(
        (error["kind"], error["place"]), error["failed"], error["of"], error["before"], error["requests_before"]
    )
    found = tuple(
        Found(one["dimension"], one["email"] if one["dimension"] == "person" else one["value"],
              one["bad"], one["of"], one["requests"], one["other_requests"], one["share"])
        for one in each["found"]
    )  # fmt: skip
    return MovedCause(
        each["feature"], each["status"], each["of"], each["days_before"] or PERIOD_BEFORE, Cause(found), way
    )

"""What they used: the features with most requests, how many failed, and how fast they were. Pure."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Report
from guardian.mail.report.section import Section
from guardian.mail.report.wording import short

MOST = 8


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`features`, each with `name`, whole as `raw`, `count`, its `share` of the most used; `failed` and `speed` ""
    where unknown."""
    known = {feature.name: feature for feature in report.features}
    most = max((feature.count for feature in report.top_features), default=1)
    rows = []
    for feature in report.top_features[:MOST]:
        more = known.get(feature.name)
        bad, p95 = (more.errors, more.latency_ms.p95) if more else (0, None)
        rows.append(
            {
                "name": short(feature.name),
                "raw": feature.name,
                "count": lang.number(feature.count),
                "share": feature.count / most,
                "failed": lang.plural("%(n)s failed", "%(n)s failed", bad) if bad else "",
                "speed": "" if p95 is None else lang("95 %% within %(time)s", time=lang.milliseconds(p95)),
            }
        )
    return {"features": rows}


SECTION = Section("features", {"features": ()}, words)

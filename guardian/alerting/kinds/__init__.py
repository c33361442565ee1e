"""The kinds of rules: one file each, with how it is judged, what is said of it, how far it looks back, and whom it
concerns. Adding one is that file and a line of the table. Nothing outside asks which kind a rule is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.burn_rate import BURN_RATE
from guardian.alerting.kinds.error_rate import ERROR_RATE
from guardian.alerting.kinds.feature_down import FEATURE_DOWN
from guardian.alerting.kinds.kind import Kind
from guardian.alerting.kinds.latency import LATENCY
from guardian.alerting.kinds.new_error import NEW_ERROR
from guardian.alerting.kinds.tracker_silent import TRACKER_SILENT
from guardian.alerting.kinds.traffic_drop import TRAFFIC_DROP
from guardian.alerting.kinds.traffic_spike import TRAFFIC_SPIKE
from guardian.alerting.kinds.user_burst import USER_BURST
from guardian.alerting.verdicts import Since, Verdict

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

KINDS: Mapping[str, Kind] = {
    "error_rate": ERROR_RATE,
    "feature_down": FEATURE_DOWN,
    "user_burst": USER_BURST,
    "latency": LATENCY,
    "traffic_drop": TRAFFIC_DROP,
    "traffic_spike": TRAFFIC_SPIKE,
    "new_error": NEW_ERROR,
    "tracker_silent": TRACKER_SILENT,
    "burn_rate": BURN_RATE,
}
"""Each kind by its name in the settings."""


def kind_of(rule: Rule) -> Kind:
    """The kind that the rule is of."""
    return KINDS[rule.kind]


def judge(rule: Rule, snapshot: Snapshot, since: Since | None = None) -> list[Verdict]:
    """The verdicts of one rule. A subject that is not among them is ok if there is any traffic, else without data."""
    return kind_of(rule).judge(rule, snapshot, {} if since is None else since)

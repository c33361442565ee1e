"""The kinds of rules. Each is one file with its settings, its judge, its wording, how far it looks back and whom it
concerns; adding one takes that file and a line in the table. No code outside this package asks which kind a rule is."""

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
    from guardian.alerting.incidents import Incident
    from guardian.settings.rules import Rule

_ALL = (
    ERROR_RATE,
    FEATURE_DOWN,
    USER_BURST,
    LATENCY,
    TRAFFIC_DROP,
    TRAFFIC_SPIKE,
    NEW_ERROR,
    TRACKER_SILENT,
    BURN_RATE,
)
NO_INCIDENTS: Mapping[str, Incident] = {}
KINDS: Mapping[str, Kind] = {kind.settings.kind: kind for kind in _ALL}
"""Each kind by its name in the settings."""
SETTINGS = {name: kind.settings for name, kind in KINDS.items()}
"""The keys of each kind, for reading the settings."""


def kind_of(rule: Rule) -> Kind:
    """The kind that the rule is of."""
    return KINDS[rule.kind]


def judge(
    rule: Rule, snapshot: Snapshot, since: Since | None = None, latest: Mapping[str, Incident] = NO_INCIDENTS
) -> list[Verdict]:
    """The verdicts of one rule, whose subjects had these incidents until now. A subject without a verdict is ok if
    there is any traffic, otherwise without data."""
    kind, since = kind_of(rule), {} if since is None else since
    if kind.chooses:
        return kind.judge(rule, snapshot, since, [s for s, each in latest.items() if each.status != "resolved"])
    return kind.judge(rule, snapshot, since)

"""Why an incident is: its requests are read from the store when somebody asks, and nothing of it is kept."""

from __future__ import annotations

import logging

from guardian.alerting.explaining import UNEXPLAINED, Explanation, explain
from guardian.alerting.incidents import Incident
from guardian.core.storage import StorageError
from guardian.settings.rules import Rule
from guardian.stores.history import HistoryStore

log = logging.getLogger("guardian.alerting")


def why_of(history: HistoryStore, rule: Rule, incident: Incident, now_us: int) -> Explanation:
    """What the requests that are still there tell of the cause; nothing where they cannot be read, for a mail must not
    wait for that. It blocks for up to a tenth of a second: call it in a thread."""
    try:
        return explain(rule, incident, now_us, history.sample)
    except StorageError as error:
        log.warning("The cause of an incident cannot be looked for, since %s", error)
    except Exception:  # a fault of ours costs the cause, not the alert
        log.exception("The cause of incident %s could not be found", incident.id)
    return UNEXPLAINED

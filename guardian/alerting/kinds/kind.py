"""What a kind of rule consists of. The functions here are the defaults that most kinds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from guardian.alerting.columns import Counts, lowest_bad
from guardian.alerting.history import Snapshot
from guardian.alerting.minutes import Calm, Minutes
from guardian.alerting.sample import Flags, Sample
from guardian.alerting.turning import Onset, requests_between
from guardian.alerting.verdicts import Verdict
from guardian.alerting.wanted import Compared, fits
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings

if TYPE_CHECKING:
    from guardian.alerting.incidents import Incident
    from guardian.settings.rules import Probe


def window_of(rule: Any) -> int:
    """The rule's window in seconds; an hour for a kind that has none of its own."""
    return getattr(rule, "window", 3600)


def counted(rule: Any) -> str:
    """Which errors the rule counts: "all" or "server"."""
    return getattr(rule, "count", "all")


def its_subject(incident: Incident) -> str | None:
    """The feature that is the incident's subject, None where that is everything or a probe."""
    return None if incident.subject in ("", "probe") else incident.subject


def no_feature(incident: Incident) -> str | None:
    """None: the subject is no feature."""
    return None


def who_met_errors(rule: Any, incident: Incident, snapshot: Snapshot, seconds: int) -> Set[str]:
    """The verified users who hit an error that the rule counts."""
    which: dict[str, Any] = {"since_us": incident.judged_from_us, "failed": True, "count": counted(rule)}
    return snapshot.users(seconds, its_subject(incident), **which)


def all_its_users(rule: Any, incident: Incident, snapshot: Snapshot, seconds: int) -> Set[str]:
    """All verified users of the feature, or of everything."""
    return snapshot.users(seconds, its_subject(incident), since_us=incident.judged_from_us)


def its_features(rule: Any, incident: Incident, snapshot: Snapshot, seconds: int) -> Mapping[str, Counts]:
    """The totals of the feature, or of each one."""
    feature = its_subject(incident)
    names = [feature] if feature else snapshot.history.counts.features
    return {name: snapshot.counts(seconds, name, since_us=incident.judged_from_us) for name in names}


def nowhere(rule: Any, incident: Incident, snapshot: Snapshot, seconds: int) -> Mapping[str, Counts]:
    """Nothing: it is not about failures."""
    return {}


def which_failed(rule: Any, incident: Incident, sample: Sample) -> Flags:
    """1 for each request of a sample that the rule counts as failed, else 0. A rule about one error counts only that
    error."""
    return sample.failed(lowest_bad(counted(rule)), incident.facts)


def onset_by_share(
    rule: Any, incident: Incident, snapshot: Snapshot, start_us: int, share: float | None = None
) -> Onset | None:
    """The first bad request of the stretch since `start_us` in which the bad ones exceeded `share` (None: the
    threshold); see `Series.onset`."""
    found = requests_between(snapshot, start_us, its_subject(incident), counted(rule))
    return found.onset(rule.threshold if share is None else share)


def recovery_by_share(
    rule: Any, incident: Incident, snapshot: Snapshot, start_us: int, share: float | None = None
) -> int | None:
    """The first good request after that stretch, which began at `start_us`."""
    found = requests_between(snapshot, start_us, its_subject(incident), counted(rule))
    return found.recovery(rule.threshold if share is None else share)


def in_its_window(rule: Any, incident: Incident, snapshot: Snapshot, seconds: int) -> Counts:
    """The totals of the feature, or of everything, in the rule's window, leaving out what came before a fix or
    maintenance."""
    return snapshot.counts(window_of(rule), its_subject(incident), since_us=incident.judged_from_us)


def counted_s(incident: Incident, window: int) -> int:
    """How many seconds of a window count: less than the window in the time after a fix or maintenance. Whole
    minutes."""
    return min(window, max(60, (incident.fired_us - incident.judged_from_us) // 60_000_000 * 60))


def since_the_window(rule: Any, incident: Incident) -> int | None:
    """The rule's window: the sentence speaks of it."""
    return window_of(rule)


def since_it_began(rule: Any, incident: Incident) -> None:
    """None: the sentence speaks of everything since the incident started."""


def now(value: str, lang: Language) -> str:
    """The value in this minute, as it ends the line about the rule."""
    return lang("now %(value)s", value=value)


def worst(value: str, lang: Language) -> str:
    """The worst value, as it ends the line about the rule."""
    return lang("at worst %(value)s", value=value)


def no_reading(rule: Any, incident: Incident, counts: Counts | None, lang: Language) -> str:
    """ "": there is no value to show."""
    return ""


def least_requests(n: int, lang: Language) -> str:
    """The sentence for `min_requests`."""
    return lang.plural("With at least %(n)s request.", "With at least %(n)s requests.", n)


def least_users(n: int, lang: Language) -> str:
    """The sentence for `min_users`."""
    return lang.plural("With at least %(n)s user affected.", "With at least %(n)s users affected.", n)


def its_own(rule: Any, subject: str) -> bool:
    """Whether the rule still watches this subject: everything for a rule without a feature, otherwise a feature that it
    names."""
    feature = getattr(rule, "feature", None)
    return not subject if feature is None else named((feature,), subject)


def named(patterns: Iterable[str], feature: str) -> bool:
    """Whether one of the patterns (`chat_*`) equals or matches this feature, just as in `Snapshot.features`."""
    return fits(feature, patterns)


def whichever(rule: Any, subject: str) -> bool:
    """True: it watches every subject."""
    return True


def new_requests(rule: Any, snapshot: Snapshot, subject: str) -> bool:
    """Whether the last minute has a request to the feature, or any request where the subject is no feature."""
    return snapshot.counts(60, subject or None).requests > 0


def any_requests(rule: Any, snapshot: Snapshot, subject: str) -> bool:
    """Whether the last minute has any request."""
    return snapshot.counts(60).requests > 0


def always(rule: Any, snapshot: Snapshot, subject: str) -> bool:
    """True: it does not need requests to fire."""
    return True


def nothing(rule: Any, *more: Any) -> None:
    """None."""


def not_further(rule: Any) -> int:
    """0."""
    return 0


class Threshold(NamedTuple):
    """The threshold for which a better value can be proposed: its key, the unit in which round values are tried, and
    how a value is written."""

    key: str
    unit: float
    said: Callable[[float, Language], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rule: everything that alerting and its mails need from it. Every kind has its own first six fields
    and `gist`. `settings` describes its keys. `judge` is pure. `calm` finds, for many minutes at once, those in which
    it cannot fire; None: each minute has to be judged. `words` say when it fires, without the minimums. `title` (of a
    rule and a subject) stays the same for the whole thread. `sentence` states the value in the minute in which it
    fires, `at_worst` the peak. `gist` is the rule with its threshold in a few words, `reading` the value next to it:
    from the counts of the minute in which it fires, or the peak if they are None; "" where there is no value. `fewest`
    is the value of `min_requests` that demands nothing. `counts_back` and `singles_back` say how many seconds back
    judging reads counts and single events, where that is more than twice the window; 0: it is not. `compares` says
    which earlier weeks it reads as well. `looks_back` is how many seconds before the first firing verdict the onset may
    lie. `feature` is the feature that an incident is about. `users`, `features` and `measured` cover the last
    `seconds`: the users concerned, the totals of each feature concerned, and the counts for the sentence; `span` is how
    many seconds these counts cover (None: since the incident started). `onset` finds the start in the requests since a
    moment (µs), in a minute in which the rule fires; `recovery` finds when all was well again, searching from the start
    (µs), in a minute that is well. Both are None where requests do not show it. `watches` says whether the rule, as it
    is now, still covers a subject; `fresh` whether a verdict on the subject rests on anything from the last minute.
    `worse` picks the worse of two values. `keeps_good` says whether to remember a subject's last good moment (not for
    every user who ever came without an error). `of_one_user`: the subject is a user. `chooses`: `judge` is also given
    the subjects of incidents that go on, since it picks some of very many. `says_users`: mails say how many users are
    affected. `probe` is what to ask every minute (None: nothing), `unseen` why the rule cannot be judged from stored
    events alone (None: it can). `bad` flags the requests of a sample as bad (1), good (0) or irrelevant (-1); None: the
    rule is not about bad requests. `slow` gives the µs above which a request is slow; None: it is not about slowness.
    `traffic` is 1 for a rule about too many requests, -1 for too few, else 0.
    """

    settings: type[KindSettings]
    judge: Callable[..., list[Verdict]]
    words: Callable[[Any, Language], str]
    title: Callable[[Any, str, Language], str]
    sentence: Callable[[Any, Incident, Counts, Language], str]
    at_worst: Callable[[Any, Incident, float, Language], str]
    gist: Callable[[Any, Incident, Language], str] = field(kw_only=True)
    reading: Callable[[Any, Incident, Counts | None, Language], str] = no_reading
    least_requests: Callable[[int, Language], str] = least_requests
    least_users: Callable[[int, Language], str] = least_users
    fewest: int = 0
    calm: Callable[[Any, Minutes], Calm | None] = nothing
    counts_back: Callable[[Any], int] = not_further
    singles_back: Callable[[Any], int] = not_further
    compares: Callable[[Any], Compared | None] = nothing
    looks_back: Callable[[Any], int] = window_of
    feature: Callable[[Incident], str | None] = its_subject
    users: Callable[[Any, Incident, Snapshot, int], Set[str]] = who_met_errors
    features: Callable[[Any, Incident, Snapshot, int], Mapping[str, Counts]] = its_features
    measured: Callable[[Any, Incident, Snapshot, int], Counts] = in_its_window
    span: Callable[[Any, Incident], int | None] = since_the_window
    onset: Callable[[Any, Incident, Snapshot, int], Onset | None] = onset_by_share
    recovery: Callable[[Any, Incident, Snapshot, int], int | None] = recovery_by_share
    watches: Callable[[Any, str], bool] = its_own
    fresh: Callable[[Any, Snapshot, str], bool] = new_requests
    worse: Callable[[float, float], float] = max
    keeps_good: bool = True
    of_one_user: bool = False
    chooses: bool = False
    says_users: bool = True
    probe: Callable[[Any], Probe | None] = nothing
    bad: Callable[[Any, Incident, Sample], Flags] | None = which_failed
    slow: Callable[[Any], float] | None = None
    traffic: int = 0
    unseen: Callable[[Any], str | None] = nothing
    threshold: Threshold | None = None

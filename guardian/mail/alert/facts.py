"""The facts that an alert lists below its sentence, as labels and values: since when, whom, what failed."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from guardian.alerting.affected import NAMES
from guardian.alerting.briefing import Briefing
from guardian.alerting.cause_words import cause_line, release_name, unnamed, way_note
from guardian.alerting.evidence import Cause
from guardian.alerting.kinds import kind_of
from guardian.core.bidi import isolated
from guardian.core.language import NO_BREAK, Language
from guardian.core.time import moment
from guardian.mail.report.wording import short
from tracker.bookkeeping import NOTED_KIND
from tracker.error_text import reason_phrase

RELEASES = 3
"""How many of the latest releases are listed."""


def facts(b: Briefing, lang: Language, zone: ZoneInfo, names: bool = True) -> list[tuple[str, str]]:
    """Labels and values. With `names` False, as for a channel, users are only counted."""
    found = [(lang("Since"), lang.zoned(b.since, zone))]
    if b.again:
        found.append((lang("Again since"), lang.moment(b.again, zone)))
    if b.ended:
        found.append((lang("Until"), lang.moment(b.ended, zone)))
    elif b.last_good and b.last_good != b.since:
        found.append((lang("Last good"), lang.moment(b.last_good, zone)))
    if kind_of(b.rule).says_users:
        found.append((lang("Affected"), affected(b, lang, names)))
    if b.incident.told_us is not None and b.ended is None and kind_of(b.rule).says_users and b.users:
        found.append((lang("New to it"), _newcomers(b, lang, names)))
    before = lang.plural("once before", "%(n)s times before", b.earlier)
    found.append((lang("Happened"), before if b.earlier else lang("for the first time")))
    if b.evidence.causes:
        found.append((lang("What failed"), _causes(b, lang)))
    why = cause_line(b.why, lang) if names else unnamed(b.why, lang)
    if why:
        found.append((lang("Cause"), why))
    if b.why.released:
        found.append((lang("Released"), _released(b, lang, zone)))
    if b.features:
        where = [
            lang("%(feature)s (%(bad)s of %(all)s)", feature=name, bad=lang.number(bad), all=lang.number(number))
            for name, bad, number in b.features
        ]
        found.append((lang("Where"), f"{', '.join(where)} {_when(b, lang, zone)}"))
    if b.silenced_until:
        until = lang.moment(b.silenced_until, zone)
        found.append(
            (lang("Silenced"), lang("until %(time)s by %(who)s", time=until, who=b.incident.acknowledged_by or "–"))
        )
    elif b.incident.acknowledged_by and b.change != "closed":
        found.append((lang("Acknowledged"), lang("by %(who)s", who=b.incident.acknowledged_by)))
    if names:
        found.append((lang("Fires when"), b.rule_in_words))
    return found


def _released(b: Briefing, lang: Language, zone: ZoneInfo) -> str:
    """What was released shortly before it or meanwhile, the latest few."""
    return ", ".join(
        lang("%(release)s at %(time)s", release=release_name(each.release), time=lang.moment(moment(each.at_us), zone))
        for each in b.why.released[-RELEASES:]
    )


def _when(b: Briefing, lang: Language, zone: ZoneInfo) -> str:
    """The period that the numbers cover."""
    if b.lately is not None:
        return lang("in %(span)s", span=lang.lately(b.lately))
    if b.ended is None:
        return lang("since %(time)s", time=lang.moment(b.start, zone))
    same_day = b.start.astimezone(zone).date() == b.ended.astimezone(zone).date()
    end = lang.clock(b.ended, zone) if same_day else lang.moment(b.ended, zone)
    return lang("between %(start)s and %(end)s", start=lang.moment(b.start, zone), end=end)


def _causes(b: Briefing, lang: Language) -> str:
    """The most frequent failures, each with its share of all failed requests, and how many requests failed
    otherwise."""
    failed, said = b.evidence.failed, list[str]()
    for cause in b.evidence.causes:
        count = lang.number(cause.failed)
        if not b.evidence.whole:
            count = lang("at least %(n)s", n=count)
        elif not said:
            count = lang("%(bad)s of %(all)s", bad=count, all=lang.number(failed))
        if note := way_note(b.why, cause.kind, cause.place, lang):
            count = f"{count} {note}"
        said.append(lang("%(label)s: %(value)s", label=_cause(cause, lang), value=count))
    rest = failed - sum(cause.failed for cause in b.evidence.causes)
    return "; ".join([*said, lang("others: %(n)s", n=lang.number(rest))] if rest else said)


def _cause(cause: Cause, lang: Language) -> str:
    if cause.place:
        line = short(cause.place.rpartition(" ")[0])
        return lang("%(error)s at %(place)s", error=f"{cause.status} {short(cause.kind)}", place=line)
    what = short(cause.kind)
    if cause.kind == NOTED_KIND:
        what = lang("noted as failed")
    elif what.startswith("HTTP "):
        what = reason_phrase(cause.status)
    return f"{cause.status} {what}"


def affected(b: Briefing, lang: Language, names: bool = True) -> str:
    """How many verified users it concerns; with `names` also those hit most, and how often."""
    if not b.users:
        return lang("no longer known") if b.more_users else lang("nobody signed in")
    many, hits = lang.plural("%(n)s user", "%(n)s users", b.users), dict(b.evidence.hits[:NAMES])
    if b.more_users:
        many = lang.plural("at least %(n)s user", "at least %(n)s users", b.users)
    most = max(hits.values(), default=0)
    if not names:
        if most < 2:
            return many
        return lang("%(users)s, one of whom hit %(n)s errors", users=many, n=lang.number(most))
    said = [isolated(name) for name in dict.fromkeys([*hits, *b.names])][:NAMES]
    if most > 1:
        errors = lang.plural("%(n)s error", "%(n)s errors", most).replace(" ", NO_BREAK)
        counts = [errors, *map(lang.number, list(hits.values())[1:])]
        said = [f"{who}{NO_BREAK}({count})" for who, count in zip(said, counts, strict=False)] + said[len(counts) :]
    few = ", ".join(said) + (", …" if b.users > len(said) else "")
    return lang("%(label)s: %(value)s", label=many, value=few)


def _newcomers(b: Briefing, lang: Language, names: bool) -> str:
    """How many users were newly hit since the last message, and the first few of them."""
    number, few = b.evidence.newcomers, b.evidence.new_names
    if not number:
        return lang("nobody since the last message")
    many = lang.plural("%(n)s user since the last message", "%(n)s users since the last message", number)
    if not names:
        return many
    said = ", ".join(map(isolated, few)) + (", …" if number > len(few) else "")
    return lang("%(label)s: %(value)s", label=many, value=said)

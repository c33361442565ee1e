"""Finds the people named in incidents and the alert state, field by field, and removes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Audience, Incident, Memory
from guardian.core.mentions import ERASED, Span, remarked, unmarked, without

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

V = TypeVar("V")


def people_named(incident: Incident, name: Callable[[str], str], *, of_user: bool) -> Incident:
    """The incident with every person's name passed through `name`."""
    return replace(
        incident,
        subject=name(incident.subject) if of_user else incident.subject,
        names=tuple(map(name, incident.names)),
        acknowledged_by=None if incident.acknowledged_by is None else name(incident.acknowledged_by),
    )


def is_about(incident: Incident, people: Collection[str], rules: Collection[str]) -> bool:
    """Whether the incident is about one of these people; `rules` are those whose subjects are people."""
    if incident.subject not in people:
        return False
    if incident.of_user is None:  # an older version's
        return incident.rule in rules or incident.names == (incident.subject,)
    return incident.of_user


def incident_without(
    incident: Incident, people: Collection[str], rules: Collection[str], leaving: Collection[str] = ()
) -> Incident | None:
    """The incident without these people; None if it is about one of them, unchanged if it names none. `leaving` are the
    addresses, in lower case, that get no more mail: they are also removed from the incident's recipients.
    """
    if is_about(incident, people, rules):
        return None
    by, readers = incident.acknowledged_by, incident.readers
    heard = incident.heard and _audience_without(incident.heard, leaving)
    return replace(
        incident,
        names=tuple(name for name in incident.names if name not in people),
        acknowledged_by=ERASED if by in people else by,
        thread_subject=incident.thread_subject and _text_without(incident.thread_subject, people),
        thread_subjects={code: _text_without(text, people) for code, text in incident.thread_subjects.items()},
        heard=heard if heard and heard.channels else None,
        readers=readers and _staying(readers, leaving),
    )


def _staying(recipients: tuple[str, ...], leaving: Collection[str]) -> tuple[str, ...]:
    """The recipients without those who leave. A channel stays, even if it has a person's name."""
    return tuple(each for each in recipients if "@" not in each or each.lower() not in leaving)


def _audience_without(audience: Audience, leaving: Collection[str]) -> Audience:
    """The audience without these recipients. If none is left, mail goes from the channels too: mail without recipients
    would mean the admins."""
    recipients = _staying(audience.recipients, leaving)
    if recipients or not audience.recipients:
        return replace(audience, recipients=recipients)
    return Audience(tuple(each for each in audience.channels if each != "mail"), ())


def _text_without(text: str, people: Collection[str]) -> str:
    whole, spans = unmarked(text)
    if not any(span.name in people for span in spans):
        return text
    said, others = without(whole, spans, people)
    return remarked(said, [Span(start, end, name) for name, start, end in others])


def state_without(
    state: AlertState, people: Collection[str], rules: Collection[str], leaving: Collection[str] = ()
) -> AlertState:
    """The alert state without these people; `rules` are those whose subjects are people, `leaving` as above."""
    known = set(rules) | {i.rule for i in state.incidents() if i.of_user}
    memories = {
        name: _memory_without(memory, people, known, leaving, about=name in known)
        for name, memory in state.memories.items()
    }
    held = []
    for each in state.held:
        incident = incident_without(each.transition.incident, people, known, leaving)
        if incident is not None:
            audience = _audience_without(each.audience, leaving)
            held.append(replace(each, transition=replace(each.transition, incident=incident), audience=audience))
    return replace(
        state,
        memories=memories,
        held=tuple(held),
        rules=_rules_without(state.rules, leaving),
        former=_rules_without(state.former, leaving),
    )


def _rules_without(rules: Mapping[str, Rule], leaving: Collection[str]) -> dict[str, Rule]:
    """Remembered rules without these recipients; one that has none left mails the admins, as any rule without
    recipients does."""
    found = {}
    for name, rule in rules.items():
        recipients = _staying(rule.recipients, leaving)
        found[name] = rule if recipients == rule.recipients else rule.model_copy(update={"recipients": recipients})
    return found


def _memory_without(
    memory: Memory, people: Collection[str], rules: Collection[str], leaving: Collection[str], *, about: bool
) -> Memory:
    left = {subject: incident_without(each, people, rules, leaving) for subject, each in memory.latest.items()}
    latest = {subject: each for subject, each in left.items() if each is not None}
    gone = people if about else memory.latest.keys() - latest.keys()

    def rest(noted: Mapping[str, V]) -> dict[str, V]:
        return {subject: each for subject, each in noted.items() if subject not in gone}

    return Memory(latest, rest(memory.number), rest(memory.last_good_us), rest(memory.fixed_us), rest(memory.ahead_us))

"""The people whom incidents and the alert state name, field by field, and how one of them is taken out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.core.mentions import ERASED, Span, remarked, unmarked, without

V = TypeVar("V")


def people_named(incident: Incident, name: Callable[[str], str], *, of_user: bool) -> Incident:
    """The incident with the people whom it names written as `name` writes them."""
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


def incident_without(incident: Incident, people: Collection[str], rules: Collection[str]) -> Incident | None:
    """The incident without these people; None for one that is about one of them, the same where it names none."""
    if is_about(incident, people, rules):
        return None
    by = incident.acknowledged_by
    return replace(
        incident,
        names=tuple(name for name in incident.names if name not in people),
        acknowledged_by=ERASED if by in people else by,
        thread_subject=incident.thread_subject and _text_without(incident.thread_subject, people),
        thread_subjects={code: _text_without(text, people) for code, text in incident.thread_subjects.items()},
    )


def _text_without(text: str, people: Collection[str]) -> str:
    whole, spans = unmarked(text)
    if not any(span.name in people for span in spans):
        return text
    said, others = without(whole, spans, people)
    return remarked(said, [Span(start, end, name) for name, start, end in others])


def state_without(state: AlertState, people: Collection[str], rules: Collection[str]) -> AlertState:
    """The alert state without these people; `rules` are those whose subjects are people."""
    known = set(rules) | {i.rule for i in state.incidents() if i.of_user}
    memories = {
        name: _memory_without(memory, people, known, about=name in known) for name, memory in state.memories.items()
    }
    held = []
    for each in state.held:
        incident = incident_without(each.transition.incident, people, known)
        if incident is not None:
            held.append(replace(each, transition=replace(each.transition, incident=incident)))
    return replace(state, memories=memories, held=tuple(held))


def _memory_without(memory: Memory, people: Collection[str], rules: Collection[str], *, about: bool) -> Memory:
    left = {subject: incident_without(each, people, rules) for subject, each in memory.latest.items()}
    latest = {subject: each for subject, each in left.items() if each is not None}
    gone = people if about else memory.latest.keys() - latest.keys()

    def rest(noted: Mapping[str, V]) -> dict[str, V]:
        return {subject: each for subject, each in noted.items() if subject not in gone}

    return Memory(latest, rest(memory.number), rest(memory.last_good_us), rest(memory.fixed_us))

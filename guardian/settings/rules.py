"""The rules as they stand in the file: what all kinds have in common, and how a rule is read, each key checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from types import new_class
from typing import TYPE_CHECKING, Annotated, Any, Self, Union, get_type_hints

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from guardian.settings import quantities, values
from guardian.settings.kinds import KindSettings, Severity, known_kinds
from guardian.settings.quantities import ClockRange, Duration, between
from guardian.settings.section import Section
from guardian.settings.values import Addresses, AskedUrl

DAY = 86400
"""Seconds."""
Lasting = Annotated[Duration, between("0", "31d")]
GroupInterval = Annotated[Duration, between("0", "1d")]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    lower = [name.lower() for name in names]
    for place, name in enumerate(names):
        if lower.index(name.lower()) < place:
            raise ValueError(f"{json.dumps(name)} is there twice: write it once")
    return names


class RuleBase(Section):
    """What every rule has. `for` is how long it must hold before anybody hears of it; `resolve_after` how long it must
    be well again; `repeat` how often an open, unacknowledged incident is repeated (0: never). What opens within
    `group_interval` of the rule's last opening that was told waits until that has passed, and comes in one message.
    With `fixed_by_release` a new release marks what is open as fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    if TYPE_CHECKING:
        kind: str
        """Which kind it is of, a Literal in each model; so it stands behind the common keys."""

    name: str = ""
    enabled: bool = True
    for_: Lasting = Field(default=0, alias="for")
    resolve_after: Lasting = 300
    repeat: Lasting = 4 * 3600
    group_interval: GroupInterval = 0
    severity: Severity = "warning"
    min_requests: int = Field(default=20, ge=0)
    min_users: int = Field(default=0, ge=0)
    quiet_hours: ClockRange | None = None
    fixed_by_release: bool = False
    channels: Annotated[tuple[str, ...], AfterValidator(_each_once)] = ("mail",)
    recipients: Annotated[Addresses, AfterValidator(_each_once)] = ()

    @field_validator("channels")
    @classmethod
    def _heard(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if not channels:
            raise ValueError("the list is empty and nobody would hear: name mail or another channel, "
                             "or set enabled = false")  # fmt: skip
        return channels

    @model_validator(mode="after")
    def _recipients_hear(self) -> Self:
        if self.recipients and "mail" not in self.channels:
            raise ValueError("recipients get mail, which channels leaves out: add mail to channels, "
                             "or remove recipients")  # fmt: skip
        return self

    def unfit(self) -> str | None:
        """Why keys that are valid alone contradict each other, in a sentence with the cure; None if they do not."""
        return None

    def needs_back(self) -> tuple[int, str]:
        """How many seconds of single events the rule needs for a correct verdict, and the key that asks for them."""
        return getattr(self, "window", 0), "window"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if said := self.unfit():
            raise ValueError(said)
        return self


class Probe(Section):
    """An active check: GET `url` every minute must answer `status` in `timeout`; `failures` in a row are an outage."""

    url: AskedUrl
    status: int = Field(default=200, ge=100, le=599)
    timeout: Annotated[Duration, between("1s", "1m")] = 10
    failures: int = Field(default=3, ge=1, le=100)


Rule = RuleBase
"""A rule of whichever kind."""


def model_of(settings: type[KindSettings]) -> type[RuleBase]:
    """The model that reads rules of a kind: the class that describes its keys, made anew on top of `RuleBase`.

    The types of the keys are looked up now: in the module of the class, here, and among the values, quantities
    and pydantic's `Field` and validators, which that module names for type checkers alone.
    """
    body: dict[str, Any] = {"__module__": settings.__module__, "__doc__": settings.__doc__}
    for part in reversed(settings.__mro__):
        body |= {name: value for name, value in vars(part).items() if not name.startswith("__")}
    offered = {**vars(values), **vars(quantities), **globals()}
    body["__annotations__"] = get_type_hints(settings, localns=offered, include_extras=True)
    return new_class(settings.__name__, (RuleBase,), exec_body=lambda namespace: namespace.update(body))


@cache
def _model(kind: str) -> type[RuleBase]:
    return model_of(known_kinds()[kind])


def rule_models() -> Mapping[str, type[RuleBase]]:
    """Each kind of rule and its model."""
    return {kind: _model(kind) for kind in known_kinds()}


@cache
def _reader() -> TypeAdapter[Rule]:
    whichever: Any = Union[tuple(rule_models().values())]  # noqa: UP007
    return TypeAdapter(Annotated[whichever, Field(discriminator="kind")])


def _of_its_kind(value: Any) -> Rule:
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in known_kinds():
        # Most files use a few kinds, and the models of the others take a while to make.
        with suppress(ValidationError):
            return _model(kind).model_validate(value)
    return _reader().validate_python(value)  # says what is wrong, with the kinds that there are


AnyRule = Annotated[SerializeAsAny[RuleBase], PlainValidator(_of_its_kind)]
"""A rule of whichever kind, for a model that holds rules."""

DEFAULT_RULES: dict[str, dict[str, Any]] = {"error_rate": {}, "feature_down": {}, "user_burst": {}}
"""What is judged when the file has no `[rules]`."""


def forgetful(rules: Mapping[str, Any], events_days: int) -> Iterable[tuple[str, str]]:
    """For each rule that needs older events than retention keeps: its name, and a sentence with the cure."""
    for name, rule in rules.items():
        seconds, key = rule.needs_back()
        if rule.enabled and seconds > events_days * DAY:
            days = -(-seconds // DAY)
            yield (
                name,
                (
                    f"rules.{name}.{key} looks back further than retention.events_days = {events_days} keeps requests: "
                    f"set retention.events_days to {days} or more, or change the rule"
                ),
            )


def named_tables(tables: Any) -> Any:
    """The `[rules.NAME]` tables with `name` and `kind` filled in; the kind may be left out where the name is one."""
    if not isinstance(tables, dict):
        return tables
    return {
        name: {"kind": name, **table, "name": name} if isinstance(table, dict) else table
        for name, table in tables.items()
    }


def parse_rule(name: str, table: dict[str, Any], *, critical_features: tuple[str, ...] = ()) -> Rule:
    """One rule from its table; `critical_features` is what a `feature_down` that names no features watches.

    Raises pydantic.ValidationError, a ValueError.
    """
    return watching(_of_its_kind(named_tables({name: table})[name]), critical_features)


def watching(rule: Rule, critical_features: tuple[str, ...]) -> Rule:
    """The rule, with the critical features where it watches features and names none."""
    if getattr(rule, "features", None) == ():
        return rule.model_copy(update={"features": critical_features})
    return rule

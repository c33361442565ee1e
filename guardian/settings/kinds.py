"""How settings know the kinds of rules. These are defined above this package, in `guardian.alerting.kinds`; so the
package `guardian` hands their table over. Nothing here loads pydantic, so that rules can be judged without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from guardian.core.grade import Severity as Severity

if TYPE_CHECKING:
    from guardian.settings.rules import RuleBase

    KindSettings = RuleBase
else:

    class KindSettings:
        """The base of a class that says which keys a kind of rule has, with their types and defaults.

        Such a class is a plain description: `guardian.settings.rules.model_of` makes the model of it that reads and
        checks a rule, on top of `RuleBase`, where settings are read. A type checker takes the class for that model.
        """


_tables: list[Callable[[], Mapping[str, type[KindSettings]]]] = []


def take_kinds_from(table: Callable[[], Mapping[str, type[KindSettings]]]) -> None:
    """Let `table` say which kinds of rules there are; it is called when the first rule is read."""
    _tables[:] = [table]


def known_kinds() -> Mapping[str, type[KindSettings]]:
    """Each kind of rule by its name, with the class that describes its keys."""
    (table,) = _tables
    return table()

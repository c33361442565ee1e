"""How settings check a channel's address. The code that sends to channels knows how, but it lies above this package, in
`guardian.mail`; so the package `guardian` hands its check over.
"""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[str, bool], None]

_checks: list[Check] = []


def check_addresses_with(check: Check) -> None:
    """From now on `check` is called with each channel's address, and with whether it may be on a private host."""
    _checks[:] = [check]


def check_address(address: str, allow_private: bool) -> None:
    """Raises ValueError, with the cure, for an address that no sender accepts, and for a private host that is not
    allowed."""
    (check,) = _checks
    check(address, allow_private)

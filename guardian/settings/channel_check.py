"""How the settings have a channel's address checked by what sends to it, which lies above them, in `guardian.mail`.

The package `guardian` hands the check over.
"""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[str, bool], None]

_checks: list[Check] = []


def check_addresses_with(check: Check) -> None:
    """Let `check` look at each channel's address, and at whether a private host is meant."""
    _checks[:] = [check]


def check_address(address: str, allow_private: bool) -> None:
    """Raises ValueError, with the cure, for an address that no sender takes, and for a private host not meant."""
    (check,) = _checks
    check(address, allow_private)

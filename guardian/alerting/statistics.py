"""The two statistical functions that verdicts rest on."""

from __future__ import annotations

from typing import Any

import numpy as np


def wilson_lower(bad: int, total: int, z: float = 1.96) -> float:
    """The lower end of Wilson's score interval for a share (95 % for z = 1.96); 0 without data.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    return max(0.0, float(wilson_lowers(bad, total, z))) if total else 0.0


def wilson_lowers(bad: Any, total: Any, z: float = 1.96) -> Any:
    """The same for numbers or arrays, with totals above 0. Rounding may turn 0 into a tiny negative number."""
    share = bad / total
    centre = share + z * z / (2 * total)
    spread = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - spread) / (1 + z * z / total)


def quantile(values: np.ndarray, q: float) -> float:
    """The quantile of ascending values (at least one), interpolated linearly as numpy does by default, but many times
    faster."""
    place = (len(values) - 1) * q
    low = int(place)
    below, above = values[low], values[min(low + 1, len(values) - 1)]
    return float(below + (above - below) * (place - low))

"""partial-range (RFC 9394): which of a result are wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mox_imap.scanner import Scanner

_PARTIAL = re.compile(rb"(-?)([1-9]\d{0,9}):(-?)([1-9]\d{0,9})")


def partial(scan: Scanner) -> tuple[int, int]:
    """partial-range (RFC 9394 4), the smaller number first; negative numbers count from the end."""
    first_sign, first, last_sign, last = scan.match(_PARTIAL, "a range of numbers").groups()
    if first_sign != last_sign:
        raise scan.fail("both ends of the range count from the same side")
    low, high = sorted((int(first), int(last)))
    return (-high, -low) if first_sign else (low, high)


def cut(indexes: Sequence[int], span: tuple[int, int]) -> Sequence[int]:
    """Those of a result that a partial-range means."""
    low, high = span
    if low > 0:
        return indexes[low - 1 : high]
    end = len(indexes) + high + 1
    return indexes[max(0, len(indexes) + low) : end] if end > 0 else indexes[:0]

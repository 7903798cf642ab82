"""Does a value fulfil a Protocol?  Python's isinstance takes some 20 us each time, and a login asks ten times."""

from __future__ import annotations

from typing import TypeVar

from typing_extensions import TypeIs

T = TypeVar("T")

_KNOWN: dict[tuple[type, type], bool] = {}
# Applications have a handful of classes; whoever makes them at run time is not to fill our memory.
MOST = 1000


def fulfils(value: object, protocol: type[T]) -> TypeIs[T]:
    """isinstance, asked once for a class: what its first value fulfils, all of them do."""
    key = (type(value), protocol)
    known = _KNOWN.get(key)
    if known is None:
        if len(_KNOWN) >= MOST:
            _KNOWN.clear()
        known = _KNOWN[key] = isinstance(value, protocol)
    return known

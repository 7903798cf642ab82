"""A text that must not end in a log."""

from __future__ import annotations

import hmac


class Secret:
    """Shows `***` wherever it is printed; `reveal()` is the one way to the value, so that its uses can be searched."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Takes the same time wherever two secrets of one length differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")

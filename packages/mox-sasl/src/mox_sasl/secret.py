"""Secrets that do not show themselves in logs, tracebacks or reprs."""

from __future__ import annotations

import hmac


class Secret:
    """A password or key; prints as ***."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("secret", self._value))

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

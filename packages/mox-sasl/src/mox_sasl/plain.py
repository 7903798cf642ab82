"""PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login) and EXTERNAL (RFC 4422 A)."""

from __future__ import annotations

from mox_sasl.outcome import Challenge, CheckPassword, Failure, Outcome, Success
from mox_sasl.secret import Secret

MAX_MESSAGE = 4096


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8") if len(data) <= MAX_MESSAGE else None
    except UnicodeDecodeError:
        return None


class Plain:
    """authzid NUL authcid NUL password, in one message."""

    def start(self, initial: bytes | None) -> Outcome:
        """With the initial response, or None when there was none."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, data: bytes) -> Outcome:
        """The client's message."""
        text = _text(data)
        parts = text.split("\0") if text is not None else []
        if len(parts) != 3 or not parts[1] or not parts[2]:
            return Failure("", "not authzid NUL authcid NUL password")
        authzid, name, password = parts
        if authzid not in ("", name):
            return Failure(name, f"wants to act as {authzid!r}")
        return CheckPassword(name, Secret(password))


class Login:
    """Asks for the name, then for the password."""

    def __init__(self) -> None:
        self._name: str | None = None

    def start(self, initial: bytes | None) -> Outcome:
        """Some clients send the name at once."""
        return Challenge(b"Username:") if initial is None else self.step(initial)

    def step(self, data: bytes) -> Outcome:
        """The name, then the password."""
        text = _text(data)
        if not text or "\0" in text:
            return Failure(self._name or "", "not a text")
        if self._name is None:
            self._name = text
            return Challenge(b"Password:")
        return CheckPassword(self._name, Secret(text))


class External:
    """The lower layer has proven who the client is; it may only say the same."""

    def __init__(self, name: str) -> None:
        self._name = name

    def start(self, initial: bytes | None) -> Outcome:
        """The client's authzid, possibly empty."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, data: bytes) -> Outcome:
        """The client's authzid."""
        text = _text(data)
        if text is None or text not in ("", self._name):
            return Failure(self._name, "wants to act as another")
        return Success(self._name)

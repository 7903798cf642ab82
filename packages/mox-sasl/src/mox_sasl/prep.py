"""Preparing names and passwords for comparison: PRECIS (RFC 8265)."""

from __future__ import annotations

import precis_i18n

# Nobody types longer ones; hashing them would only be work.
MAX_LENGTH = 1024

_opaque = precis_i18n.get_profile("OpaqueString")


class PreparationError(ValueError):
    """A name or password that cannot be one (RFC 8265 4.2): empty, too long, or with forbidden characters."""


def prepare_password(password: str) -> str:
    """OpaqueString of RFC 8265 4.2.  Raises PreparationError."""
    if not password or len(password) > MAX_LENGTH:
        raise PreparationError(f"a password has 1 to {MAX_LENGTH} characters")
    if password.isascii() and password.isprintable():
        return password
    try:
        return str(_opaque.enforce(password))
    except UnicodeError as error:
        raise PreparationError(str(error)) from None

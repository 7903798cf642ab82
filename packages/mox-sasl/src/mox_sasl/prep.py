"""Names and passwords before they are hashed or compared (PRECIS, RFC 8265, which took SASLprep's place): once, the
same everywhere."""

from __future__ import annotations

# In octets; hashing costs grow with it, and no human types more.
MAX_PASSWORD = 1024


class PreparationError(ValueError):
    """A text is no password in PRECIS's sense: `.why`."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def prepare_password(password: str, *, fallback: bool = False) -> str:
    """The form that is hashed: non-ASCII spaces become a space, NFC (RFC 8265 4.2).  Raises PreparationError.

    `fallback`: a text that PRECIS refuses (a control character, a code point younger than its tables) is taken as it
    is instead.  For checking what was set elsewhere; what is set here should be refused."""
    if not password:
        raise PreparationError("an empty password")
    if len(password) > MAX_PASSWORD or len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        raise PreparationError(f"a password has at most {MAX_PASSWORD} octets")
    if password.isascii() and password.isprintable():
        return password
    try:
        return _opaque(password)
    except PreparationError:
        if fallback and "\0" not in password and not any(0xD800 <= ord(c) < 0xE000 for c in password):
            return password
        raise


def prepare_name(name: str) -> str:
    """The form in which login names are compared: full width made narrow, NFC; letters keep their case (RFC 8265 3.4).
    A name that PRECIS refuses is given back as it is: it is nobody's, and the lookup says so."""
    if name.isascii():
        return name
    try:
        return _enforced("UsernameCasePreserved", name[:MAX_PASSWORD])
    except PreparationError:
        return name


def _opaque(password: str) -> str:
    return _enforced("OpaqueString", password)


def _enforced(profile: str, text: str) -> str:
    # Imported when first needed: its tables cost 20 ms, and most passwords are ASCII.
    from precis_i18n import get_profile

    try:
        return str(get_profile(profile).enforce(text))
    except UnicodeEncodeError as error:
        raise PreparationError(f"a character that it may not have: {error.reason}") from None

"""Texts of header fields from hostile octets: only declared errors, and what was understood can be written and read.

python fuzz/message_texts.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_message import (
    Address,
    AddressSyntaxError,
    AuthenticationResults,
    AuthResultsSyntaxError,
    Path,
    addresses,
    base_subject,
    date,
    date_text,
    decode,
    decoded_parameters,
    encode,
    html_to_text,
    message_ids,
    parameter,
    parameters,
)


def lists(text: str) -> None:
    """Addresses and message-ids."""
    found = addresses(text)
    if not found.defects:
        again = addresses(str(found))
        assert [one.address for one in again.mailboxes] == [one.address for one in found.mailboxes]
    ids = message_ids(text)
    assert message_ids(" ".join(f"<{one}>" for one in ids)) == ids


def check_place(error: AddressSyntaxError | AuthResultsSyntaxError) -> None:
    """An error points into its text."""
    assert 0 <= error.at <= len(error.text)


def strict(text: str) -> None:
    """Grammars that refuse."""
    try:
        address = Address.parse(text)
        assert Address.parse(str(address)) == address
    except AddressSyntaxError as error:
        check_place(error)
    try:
        Path.parse(text, null=True, postmaster=True, strict=False)
    except AddressSyntaxError as error:
        check_place(error)
    try:
        results = AuthenticationResults.parse(text)
    except AuthResultsSyntaxError as error:
        check_place(error)
        return
    written = results.field().decode().partition(":")[2].replace("\r\n", "")
    assert len(AuthenticationResults.parse(written).results) == len(results.results)


def words(text: str) -> None:
    """Words, parameters, subjects, dates, HTML."""
    plain = text.encode("utf-8", "replace").decode()
    assert decode(encode(plain, always=True)) == plain
    assert decoded_parameters(parameters("a/b; " + "; ".join(parameter("x", plain)))) == {"x": plain}
    decode(text)
    decoded_parameters(parameters(text))
    base_subject(text)
    html_to_text(text)
    moment = date(text)
    if moment is not None and moment.year > 1:
        assert date(date_text(moment.timestamp())) == moment


def fuzz(data: bytes) -> None:
    """One input."""
    text = data.decode("utf-8", "surrogateescape")
    lists(text)
    strict(text)
    words(text)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()

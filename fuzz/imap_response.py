"""Fuzz target: what a client makes of whatever a server says, at once and in pieces.

Run `python fuzz/imap_response.py` where atheris is installed."""

from __future__ import annotations

import sys

from mox_imap.client import ImapClient
from mox_imap.responses import Fetched, Response, ResponseSyntaxError


def read(pieces: list[bytes]) -> list[Response | None]:
    """What is read; None at the end: it broke the grammar."""
    client = ImapClient(most=1000)
    client.command(b"LOGIN", b"a", b"b")
    found: list[Response | None] = []
    for piece in pieces:
        client.receive(piece)
        try:
            while (one := client.next_response()) is not None:
                found.append(one)
        except ResponseSyntaxError:
            return [*found, None]
    return found


def fuzz(data: bytes) -> None:
    """Cut in two, it is the same; and only the declared error is raised."""
    if not data:
        return
    cut = data[0]
    whole, pieces = read([data[1:]]), read([data[1 : 1 + cut], data[1 + cut :]])
    assert whole == pieces, (whole, pieces)
    for one in whole:
        if one is not None and one.name in ("FETCH", "UIDFETCH"):
            try:
                Fetched.of(one)
            except ResponseSyntaxError:
                continue


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()

"""ssl contexts for listeners."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path


class CertificateError(Exception):
    """A certificate or key cannot be used; the message says which file and why."""


def server_context(certificate: Path, key: Path, *, tickets: bool = True, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A context for taking connections: TLS 1.2 and newer, the chain and key of these PEM files.

    `tickets=False` for port 25: a large sender fails on resumed sessions.  `alpn`: protocols a client may choose from.
    Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tickets:
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    if alpn:
        context.set_alpn_protocols(list(alpn))
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        what = f"{certificate} with key {key} cannot be used: {error.reason or error}"
        raise CertificateError(f"{what}; both must be PEM files that belong together") from None
    except OSError as error:
        raise CertificateError(f"{certificate} or {key} cannot be read: {error.strerror}") from None
    return context

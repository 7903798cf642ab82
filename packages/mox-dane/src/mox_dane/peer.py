"""The chain as the peer sent it, from the standard library's TLS on every Python.

Public since Python 3.13 (`get_unverified_chain`); before that the same call is on the object below, and gives
certificates that write themselves as PEM.  OpenSSL's order is the peer's, leaf first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl


def peer_chain(connection: ssl.SSLSocket | ssl.SSLObject) -> tuple[bytes, ...]:
    """The peer's certificates as DER, leaf first; () before the handshake, or where it has sent none.

    With asyncio: `transport.get_extra_info("ssl_object")`.  The context needs no verification: CERT_NONE will do."""
    below: Any = getattr(connection, "_sslobj", connection)
    if below is None:  # a socket before its handshake, of which the public call of 3.13 makes an AttributeError
        return ()
    if hasattr(connection, "get_unverified_chain"):
        return tuple(connection.get_unverified_chain() or ())
    from ssl import PEM_cert_to_DER_cert

    return tuple(PEM_cert_to_DER_cert(one.public_bytes()) for one in below.get_unverified_chain() or ())

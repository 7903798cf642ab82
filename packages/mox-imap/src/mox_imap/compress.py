"""COMPRESS=DEFLATE (RFC 4978): both directions of a session, with bounds on what a few octets may grow to."""

from __future__ import annotations

import zlib

# What one step of inflating may yield; the rest waits until that is used.
AT_ONCE = 64 * 1024
# Smaller windows than the most there is: 64 KB for what is said instead of 256.  Readers take any.
WINDOW, MEMORY, LEVEL = 13, 6, 6


class CompressionError(ValueError):
    """What the client sent is no DEFLATE stream."""


class Deflate:
    """receive() what came, inflated() until it gives nothing; deflated() what is to be said."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(-15)
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW, MEMORY)
        self._held = b""

    def receive(self, data: bytes) -> None:
        """Octets from the client."""
        self._held += data

    def inflated(self) -> bytes:
        """Some of what they mean; b"": nothing more for now.  Raises CompressionError."""
        if not self._held:
            return b""
        try:
            found = self._inflate.decompress(self._held, AT_ONCE)
        except zlib.error as error:
            raise CompressionError(str(error)) from None
        self._held = self._inflate.unconsumed_tail
        if self._inflate.eof:
            raise CompressionError("the stream has ended")
        return found

    def deflated(self, data: bytes) -> bytes:
        """What goes out for `data`, all of it."""
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

"""A connection over TLS that looks like the core of a session, so that what plays against one plays against a server."""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import Any

# A server that is busy with other tests may think for so long.
PATIENCE = 20.0
# Something was said, and the tag that was expected is not there: a script that miscounts its literals.
PAUSE = 3.0
# What comes without a tag (a continuation, the news of IDLE) is over when nothing came for so long.
QUIET = 0.3
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n\Z")


class Wire:
    """kit.play_imap.Session"""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, name: str) -> None:
        plain = socket.create_connection((host, port), timeout=PATIENCE)
        self._sock = context.wrap_socket(plain, server_hostname=name)
        self.ended = False
        self.waiting: Any = None
        self.busy = False
        self._wanted = rb"\* "  # the greeting
        self._tag = b""
        self._owed = 0  # octets of a literal that are still to be sent
        self._within = False  # a command goes on

    def receive(self, data: bytes, now: float) -> None:
        """Sends it."""
        self._sock.sendall(data)
        self._follow(data)
        self._wanted = re.escape(self._tag) + rb" (OK|NO|BAD)\b"

    def _follow(self, data: bytes) -> None:
        """The first word of the last command that has begun; commands go on after their literals."""
        at = min(self._owed, len(data))
        self._owed -= at
        while (end := data.find(b"\r\n", at)) >= 0:
            line = data[at : end + 2]
            if not self._within and line.strip():
                self._tag = line.split(b" ")[0].strip()
            literal = _LITERAL.search(line)
            self._within = literal is not None
            at = end + 2
            if literal is not None:
                self._owed = max(0, int(literal[1]) - (len(data) - at))
                at += int(literal[1])

    def run(self) -> None:
        """The server does."""

    def resume(self) -> None:
        """It never waits."""

    def outgoing(self) -> bytes:
        """What the server says: to the answer of the last command, if there is one to come."""
        if not self._wanted or self.ended:
            return b""
        wanted, self._wanted = re.compile(rb"(?:\A|\r\n)" + self._wanted), b""
        said, end = b"", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            going_on = said.startswith(b"+ ") or b"\r\n+ " in said
            self._sock.settimeout(QUIET if going_on else PAUSE if said else PATIENCE)
            try:
                piece = self._sock.recv(65536)
            except TimeoutError:
                break
            except OSError:
                piece = b""
            if not piece:
                self.ended = True
                break
            said += piece
            if said.endswith(b"\r\n") and wanted.search(said):
                break
        return said

    def close(self) -> None:
        """Hangs up."""
        self._sock.close()

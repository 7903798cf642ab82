"""The fetch of a policy without I/O: octets of a TCP connection in, octets out, and at last a Fetched.  RFC 8461 3.3.

TLS (a verified chain for mta-sts.<domain>) by the standard library over memory, HTTP/1.1 by h11.  So one piece of code
serves every way to wait, and a connection that breaks off is told apart from one that was closed."""

from __future__ import annotations

import ssl
from typing import Any

import h11

from mox_mtasts.fetched import LIMITS, Failure, Fetched, Limits
from mox_mtasts.policy import PATH

USER_AGENT = "mox-mtasts"
_READ = 16384
_MAX_INFORMATIONAL = 5


def default_context(roots: str | None = None) -> ssl.SSLContext:
    """A context that trusts the system's roots, or those of the PEM file `roots`, and looks at subjectAltName only.

    Raises OSError where the file cannot be read."""
    context = ssl.create_default_context(cafile=roots)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 8461 3.3: a DNS-ID
    context.set_alpn_protocols(["http/1.1"])
    return context


class _RefusedError(Exception):
    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure, self.reason = failure, reason


class Exchange:
    """One request for the policy of `host` ("mta-sts.<domain>").

    Write `outgoing()` to the connection, give `receive()` what comes (b"" for its end), until `result` is there."""

    def __init__(self, host: str, context: ssl.SSLContext, limits: Limits = LIMITS) -> None:
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("this TLS context verifies nothing; use default_context()")
        self.result: Fetched | None = None
        self._host, self._limits = host, limits
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.header)
        self._shaken = False
        self._octets = self._informational = 0
        self._body: list[bytes] = []
        self._advance()

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        return self._outgoing.read()

    def receive(self, data: bytes) -> None:
        """What the connection brought; b"" where it has ended.  Raises nothing."""
        if self.result is not None:
            return
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        self._advance()

    def give_up(self, failure: Failure, reason: str) -> Fetched:
        """The result where waiting was in vain."""
        if self.result is None:
            self._end(failure, reason)
        assert self.result is not None
        return self.result

    def _advance(self) -> None:
        try:
            self._converse()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            self._end(Failure.CERTIFICATE, f"the certificate of {self._host} is not verified: {error.verify_message}")
        except (ssl.SSLEOFError, ssl.SSLSyscallError):
            # A body without length, cut off, would be a policy with fewer hosts.
            where = "within the response" if self._shaken else "within the handshake"
            self._end(Failure.HTTP if self._shaken else Failure.TLS, f"the connection broke off {where}")
        except (ssl.SSLError, ValueError) as error:
            why = getattr(error, "reason", None) or str(error)
            self._end(Failure.TLS, f"TLS with {self._host} failed: {why}")
        except h11.RemoteProtocolError as error:
            self._end(Failure.HTTP, f"not HTTP as it should be: {error}")
        except _RefusedError as refused:
            self._end(refused.failure, refused.reason)

    def _converse(self) -> None:
        if not self._shaken:
            self._tls.do_handshake()
            self._shaken = True
            self._tls.write(self._request())
        while self.result is None:
            try:
                data = self._tls.read(_READ)
            except ssl.SSLZeroReturnError:
                data = b""
            self._octets += len(data)
            if self._octets > self._limits.octets:
                raise _RefusedError(Failure.SIZE, f"more than {self._limits.octets} octets of response")
            if not self._octets:
                raise _RefusedError(Failure.HTTP, "the connection was closed without a response")
            self._http.receive_data(data)
            self._events(ended=not data)

    def _request(self) -> bytes:
        headers = [
            ("Host", self._host),
            ("User-Agent", USER_AGENT),
            ("Accept", "text/plain"),
            ("Accept-Encoding", "identity"),
            # RFC 8461 3.3: HTTP caching must not be used.
            ("Cache-Control", "no-cache"),
            ("Connection", "close"),
        ]
        sent = self._http.send(h11.Request(method="GET", target=PATH, headers=headers))
        return (sent or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    def _events(self, *, ended: bool) -> None:
        while self.result is None:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if ended:
                    raise _RefusedError(Failure.HTTP, "the connection ended within the response")
                return
            if isinstance(event, h11.InformationalResponse):
                self._informational += 1
                if self._informational > _MAX_INFORMATIONAL:
                    raise _RefusedError(Failure.HTTP, "one informational response after the other")
            elif isinstance(event, h11.Response):
                self._look_at(event)
            elif isinstance(event, h11.Data):
                self._take(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.result = Fetched(b"".join(self._body), tls=self._spoken())
            else:
                raise _RefusedError(Failure.HTTP, "the connection ended within the response")

    def _look_at(self, response: h11.Response) -> None:
        status, headers = response.status_code, dict(response.headers)
        if 300 <= status < 400:
            # RFC 8461 3.3: redirects are not followed.
            raise _RefusedError(Failure.REDIRECT, f"HTTP status {status}, and redirects are not followed")
        if status != 200:
            raise _RefusedError(Failure.STATUS, f"HTTP status {status}")
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type != b"text/plain":
            # RFC 8461 3.2: else whoever may put a file on the host could make a policy.
            shown = media_type[:60].decode("latin-1") or "nothing"
            raise _RefusedError(Failure.TYPE, f"the content type is {shown}, not text/plain")
        coding = headers.get(b"content-encoding", b"identity").strip().lower()
        if coding not in (b"identity", b""):
            raise _RefusedError(Failure.HTTP, "the response is encoded, though nobody asked for it")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._limits.body:
            raise _RefusedError(Failure.SIZE, f"the policy is longer than {self._limits.body} octets")

    def _take(self, data: bytes) -> None:
        self._body.append(data)
        if len(self._body) > 64:
            self._body = [b"".join(self._body)]
        if sum(map(len, self._body)) > self._limits.body:
            raise _RefusedError(Failure.SIZE, f"the policy is longer than {self._limits.body} octets")

    def _spoken(self) -> str:
        cipher: Any = self._tls.cipher()
        return f"{self._tls.version() or ''} {cipher[0] if cipher else ''}".strip()

    def _end(self, failure: Failure, reason: str) -> None:
        tls = self._spoken() if self._shaken else ""
        printable = "".join(char if " " <= char <= "~" else "?" for char in reason[:300])
        self.result = Fetched(None, failure, printable, tls=tls)

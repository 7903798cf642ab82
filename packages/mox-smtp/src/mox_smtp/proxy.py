"""Who really connects, when a proxy stands in front?  The PROXY protocol, versions 1 and 2, of HAProxy.

    reader = ProxyReader()
    header = reader.feed(read(reader.wanted))       # until it is not None

`wanted` never reaches beyond the header, so that what follows it, which may be a TLS handshake, stays in the socket.
The header must be believed only from networks that are trusted, and there it must be demanded."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_V1 = 107  # octets with the line end
MAX_V2 = 4096  # of addresses and extensions; the format allows 65535, and nobody writes so much

_V1 = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n\Z")
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n\Z")
ALPN, AUTHORITY, CRC32C, UNIQUE_ID, SSL, SSL_VERSION = 0x01, 0x02, 0x03, 0x05, 0x20, 0x21

Address = IPv4Address | IPv6Address


class ProxySyntaxError(ValueError):
    """What came is no PROXY header: `.data` (its beginning), `.why`."""

    def __init__(self, data: bytes, why: str) -> None:
        self.data, self.why = data[:64], why
        super().__init__(f"{why}: {data[:64]!r}")


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """The connection that the proxy took.  `source` None: the proxy speaks for itself (LOCAL, a health check) or does
    not know (UNKNOWN), so the connection's own addresses count.

    `extensions`: type and value of each TLV of version 2 (ALPN 1, authority 2, unique id 5, TLS 0x20)."""

    source: Address | None = None
    source_port: int = 0
    destination: Address | None = None
    destination_port: int = 0
    extensions: tuple[tuple[int, bytes], ...] = ()

    def to_bytes(self, version: int = 2) -> bytes:
        """The header as a proxy writes it."""
        return _write_v1(self) if version == 1 else _write_v2(self)

    @property
    def authority(self) -> str:
        """The host name that the client asked the proxy for, or ""."""
        return next((value.decode("utf-8", "replace") for kind, value in self.extensions if kind == AUTHORITY), "")


class ProxyReader:
    """Reads one header from a stream."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def wanted(self) -> int:
        """How many octets to read at most next."""
        have = len(self._data)
        if have < len(SIGNATURE):
            return len(SIGNATURE) - have
        if not self._data.startswith(SIGNATURE):
            return 1  # version 1 has no length: the shortest header is longer than the signature, its end must be found
        return 16 - have if have < 16 else 16 + _length(self._data) - have

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The header, or None: more is needed.  Raises ProxySyntaxError as soon as it cannot be one any more."""
        self._data = data = self._data + data
        if data.startswith(SIGNATURE):
            if len(data) < 16:
                return None
            length = _length(data)
            if length > MAX_V2:
                raise ProxySyntaxError(data, f"more than {MAX_V2} octets")
            return None if len(data) < 16 + length else _read_v2(data[: 16 + length])
        if SIGNATURE.startswith(data) or b"PROXY ".startswith(data):
            return None
        if not data.startswith(b"PROXY "):
            raise ProxySyntaxError(data, "no PROXY header")
        end = data.find(b"\n") + 1
        if end:
            return _read_v1(data[:end])
        if len(data) >= MAX_V1:
            raise ProxySyntaxError(data, f"no line end within {MAX_V1} octets")
        return None


def _length(data: bytes) -> int:
    return int.from_bytes(data[14:16], "big")


def _read_v1(line: bytes) -> ProxyHeader:
    if len(line) > MAX_V1:
        raise ProxySyntaxError(line, f"over {MAX_V1} octets")
    match = _V1.match(line)
    if match is None:
        if _V1_UNKNOWN.match(line):
            return ProxyHeader()
        raise ProxySyntaxError(line, "PROXY TCP4 source destination port port is the form")
    try:
        source, destination = ip_address(match[2].decode()), ip_address(match[3].decode())
    except ValueError:
        raise ProxySyntaxError(line, "not an address") from None
    ports = int(match[4]), int(match[5])
    version = 4 if match[1] == b"TCP4" else 6
    if source.version != version or destination.version != version or max(ports) > 65535:
        raise ProxySyntaxError(line, "an address or a port is not what it is said to be")
    return ProxyHeader(source, ports[0], destination, ports[1])


def _read_v2(data: bytes) -> ProxyHeader:
    version, family, body = data[12], data[13], data[16:]
    if version not in (0x20, 0x21):
        raise ProxySyntaxError(data, "version or command that is not known")
    size = {0x11: 12, 0x21: 36}.get(family, 0)
    if len(body) < size:
        raise ProxySyntaxError(data, "the addresses are cut off")
    extensions = _extensions(data, body[size:]) if size else ()
    _check_sum(data, extensions)
    if version == 0x20 or not size:
        return ProxyHeader(extensions=extensions)  # LOCAL, UNSPEC, UDP or a Unix socket: the connection's own count
    source: Address
    destination: Address
    if family == 0x11:
        source, destination = IPv4Address(body[:4]), IPv4Address(body[4:8])
    else:
        source, destination = IPv6Address(body[:16]), IPv6Address(body[16:32])
    source_port, destination_port = struct.unpack("!HH", body[size - 4 : size])
    return ProxyHeader(source, source_port, destination, destination_port, extensions)


def _extensions(data: bytes, rest: bytes) -> tuple[tuple[int, bytes], ...]:
    found = []
    while rest:
        size = 3 + int.from_bytes(rest[1:3], "big")
        if len(rest) < size or len(rest) < 3:
            raise ProxySyntaxError(data, "an extension is cut off")
        found.append((rest[0], rest[3:size]))
        rest = rest[size:]
    return tuple(found)


def _check_sum(data: bytes, extensions: tuple[tuple[int, bytes], ...]) -> None:
    for kind, value in extensions:
        if kind == CRC32C:
            # The sum is made with its own four octets at zero; they stand once only where they stand right.
            at = data.find(bytes([CRC32C, 0, 4]) + value)
            if len(value) != 4 or crc32c(data[: at + 3] + b"\0\0\0\0" + data[at + 7 :]) != int.from_bytes(value, "big"):
                raise ProxySyntaxError(data, "the checksum is wrong")


def _table() -> tuple[int, ...]:
    found = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        found.append(number)
    return tuple(found)


_CRC32C = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum (RFC 4960 appendix B)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _write_v1(header: ProxyHeader) -> bytes:
    if header.source is None or header.destination is None:
        return b"PROXY UNKNOWN\r\n"
    family = f"TCP{header.source.version}"
    line = f"PROXY {family} {header.source} {header.destination} {header.source_port} {header.destination_port}\r\n"
    return line.encode("ascii")


def _write_v2(header: ProxyHeader) -> bytes:
    if header.source is None or header.destination is None:
        return SIGNATURE + b"\x20\x00\x00\x00"
    family = 0x11 if header.source.version == 4 else 0x21
    body = header.source.packed + header.destination.packed
    body += struct.pack("!HH", header.source_port, header.destination_port)
    for kind, value in header.extensions:
        body += struct.pack("!BH", kind, len(value)) + value
    return SIGNATURE + bytes([0x21, family]) + struct.pack("!H", len(body)) + body

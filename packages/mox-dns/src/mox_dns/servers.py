"""Which name servers to ask: an address and a port, and what resolv.conf says.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

PORT = 53
# resolv.conf(5): more than three are not used.
MAX_SERVERS = 3


@dataclass(frozen=True, slots=True)
class Server:
    """Where a name server listens: an address, with a zone if it is link-local, and a port."""

    host: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> Server:
        """Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`.  Raises ValueError."""
        host, port = text, ""
        if text.startswith("["):
            host, _, rest = text[1:].partition("]")
            if rest and not rest.startswith(":"):
                raise ValueError(f"{text!r}: after the bracket comes only a colon and a port")
            port = rest[1:]
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        ip_address(host)  # raises ValueError
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r}: {port!r} is no port")
        return cls(host, int(port) if port else PORT)

    @property
    def local(self) -> bool:
        """On this machine, so that nobody between can forge its answers."""
        return ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SystemServers:
    """What a resolv.conf says; None where it is silent."""

    servers: tuple[Server, ...]
    trust_ad: bool
    timeout: float | None = None
    attempts: int | None = None

    @classmethod
    def parse(cls, text: str) -> SystemServers:
        """Reads the text of a resolv.conf(5).  Never raises; lines that make no sense are passed over, as others do.

        AD is trusted where `options trust-ad` says so, and where every server is on this machine."""
        servers: list[Server] = []
        options: dict[str, str] = {}
        for line in text.splitlines():
            match line.split():
                case ["nameserver", address, *_] if len(servers) < MAX_SERVERS:
                    try:
                        ip_address(address)
                    except ValueError:
                        continue
                    servers.append(Server(address))
                case ["options", *words]:
                    options.update((word.partition(":")[0], word.partition(":")[2]) for word in words)
        servers = servers or [Server("127.0.0.1")]
        timeout, attempts = _number(options, "timeout", 30), _number(options, "attempts", 5)
        trust_ad = "trust-ad" in options or all(server.local for server in servers)
        return cls(tuple(servers), trust_ad, None if timeout is None else float(timeout), attempts)


def _number(options: dict[str, str], name: str, most: int) -> int | None:
    value = options.get(name, "")
    if not (value.isascii() and value.isdigit()):
        return None
    return max(1, min(int(value[:6]), most))

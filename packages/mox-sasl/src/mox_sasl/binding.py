"""Channel binding: what ties a login to the TLS connection that it was made over (RFC 5056, 5929, 9266)."""

from __future__ import annotations

from dataclasses import dataclass, field

UNIQUE = "tls-unique"
EXPORTER = "tls-exporter"
# RFC 9266 4.2: what a caller asks its TLS library for.
EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
EXPORTER_SIZE = 32
_BEFORE_1_3 = frozenset({"TLSv1", "TLSv1.1", "TLSv1.2"})


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """`kind` and `data` of a connection over `tls` (as ssl's version() has it: "TLSv1.3").

    Raises ValueError for a kind that this version of TLS does not have: tls-unique ended with TLS 1.2 (RFC 9266 4)."""

    kind: str
    data: bytes = field(repr=False)
    tls: str

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("no data to bind to")
        if self.kind == UNIQUE:
            if self.tls not in _BEFORE_1_3:
                raise ValueError(f"tls-unique is not for {self.tls or 'no TLS'}")
        elif self.kind == EXPORTER:
            if not self.tls.startswith("TLS") or len(self.data) != EXPORTER_SIZE:
                raise ValueError(f"tls-exporter is TLS and {EXPORTER_SIZE} octets (RFC 9266 4.2)")
        else:
            raise ValueError(f"{self.kind!r} is neither tls-exporter nor tls-unique")


def offer(names: tuple[str, ...], binding: ChannelBinding | None) -> tuple[str, ...]:
    """Those of `names` that can be offered on a connection: without a binding no …-PLUS."""
    return tuple(name for name in names if binding is not None or not name.endswith("-PLUS"))

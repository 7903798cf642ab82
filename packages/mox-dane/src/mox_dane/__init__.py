"""Which certificate does DNS vouch for?  DANE for SMTP: RFC 7672 over RFC 7671 and 6698.

    tlsa.py      records: text, names, which of them count      as a grammar in testing/tlsa.lark
    make.py      certificate or key    -> TLSA record
    lookup.py    MX host               -> Found                 which name to ask; what DNSSEC says of each answer
    aio.py       lookup, lookup_sync: the same with a resolver
    verify.py    chain and records     -> Verdict
    path.py      from the server's certificate up to the one that DNS vouches for
    peer.py      a TLS connection      -> the chain as the peer sent it, on every Python

Not here: SMTP, and what to do where a host has no records (mox-mtasts, or opportunistic TLS)."""

from mox_dane.aio import lookup, lookup_sync
from mox_dane.lookup import Found, Status, Step, plan_lookup, reference_names
from mox_dane.make import UnusableSource, make
from mox_dane.peer import peer_chain
from mox_dane.tlsa import (
    Matching,
    Selector,
    TlsaSyntaxError,
    Usage,
    parse_tlsa,
    selected,
    tlsa_name,
    why_unusable,
    zone_line,
)
from mox_dane.verify import Outcome, Verdict, verify

__all__ = [
    "Found",
    "Matching",
    "Outcome",
    "Selector",
    "Status",
    "Step",
    "TlsaSyntaxError",
    "UnusableSource",
    "Usage",
    "Verdict",
    "lookup",
    "lookup_sync",
    "make",
    "parse_tlsa",
    "peer_chain",
    "plan_lookup",
    "reference_names",
    "selected",
    "tlsa_name",
    "verify",
    "why_unusable",
    "zone_line",
]

"""What dnspython says, as our Answer.  dnspython is imported only when this file is."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver

from mox_dns.lookup import Answer, Mx, Question, Status, Tlsa
from mox_dns.wire import BOGUS_CODES, MAX_NEGATIVE_TTL

# Questions that no server could be asked.
_UNTHINKABLE = (
    UnicodeError,
    dns.name.LabelTooLong,
    dns.name.NameTooLong,
    dns.name.EmptyLabel,
    dns.rdatatype.UnknownRdatatype,
    dns.resolver.NoMetaqueries,
)
ERRORS = (dns.exception.DNSException, OSError, UnicodeError)


def name(question: Question) -> dns.name.Name:
    """The name without reading escapes into it.  Raises one of ERRORS if there can be no such name."""
    labels = question.name.encode("ascii").removesuffix(b".").split(b".")
    if labels == [b""]:
        return dns.name.root
    if b"" in labels:
        raise dns.name.EmptyLabel
    return dns.name.Name([*labels, b""])


def answer(question: Question, found: Any, *, trust_ad: bool) -> Answer:
    """A `dns.resolver.Answer` as ours."""
    authentic = trust_ad and bool(found.response.flags & dns.flags.AD)
    canonical = _text(found.canonical_name)
    if found.rrset is None:
        return Answer(question, Status.NODATA, (), authentic, _negative_ttl(found.response), canonical)
    value = _VALUES.get(question.type, lambda rdata: rdata.to_text())
    records = tuple([value(rdata) for rdata in found.rrset])
    return Answer(question, Status.OK, records, authentic, found.rrset.ttl, canonical)


def failure(question: Question, error: BaseException) -> Answer:
    """One of ERRORS as an answer."""
    detail = str(error)[:200]
    if isinstance(error, dns.resolver.NXDOMAIN):
        return Answer(question, Status.NXDOMAIN, detail=detail)
    if isinstance(error, dns.resolver.NoAnswer):
        return Answer(question, Status.NODATA, detail=detail)
    if isinstance(error, dns.exception.Timeout):
        return Answer(question, Status.TIMEOUT, detail=detail)
    if isinstance(error, dns.resolver.NoNameservers) and _forged(error):
        return Answer(question, Status.BOGUS, detail=detail)
    if isinstance(error, _UNTHINKABLE):
        return Answer(question, Status.MALFORMED, detail=detail)
    return Answer(question, Status.SERVFAIL, detail=detail)


def _forged(error: dns.resolver.NoNameservers) -> bool:
    responses = [entry[4] for entry in error.kwargs.get("errors", ()) if len(entry) > 4]
    return any(
        getattr(option, "code", None) in BOGUS_CODES
        for response in responses
        if response is not None
        for option in response.options
        if option.otype == 15
    )


def _negative_ttl(response: Any) -> int:
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return min(int(rrset.ttl), int(rrset[0].minimum), MAX_NEGATIVE_TTL)
    return 0


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


_VALUES: dict[str, Callable[[Any], Any]] = {
    "A": lambda rdata: IPv4Address(rdata.address),
    "AAAA": lambda rdata: IPv6Address(rdata.address),
    "TXT": lambda rdata: b"".join(rdata.strings),
    "MX": lambda rdata: Mx(rdata.preference, _text(rdata.exchange)),
    "PTR": lambda rdata: _text(rdata.target),
    "CNAME": lambda rdata: _text(rdata.target),
    "NS": lambda rdata: _text(rdata.target),
    "TLSA": lambda rdata: Tlsa(rdata.usage, rdata.selector, rdata.mtype, rdata.cert),
}

"""What does DNS say?  Names, and questions asked without I/O, for mail software.

    domain.py        Domain (A- and U-form, UTS 46), IpLiteral
    lookup.py        Question, Answer, Lookup; run, run_blocking, run_together; txt, mx, addresses, ptr, tlsa
    resolver.py      the Resolver protocol; UdpResolver on asyncio, BlockingUdpResolver; dnspython's as they are
    zone.py          answers from a small table or a zone file (zonefile.py), for tests and for --zone FILE
    scanner.py       the cursor under record parsers, and errors that point at the place
    taglist.py       "k=v; k=v", as DKIM and others write their records
    iprev.py         does the name of an address lead back to it
    dnsbl.py         is an address on a block list
    publicsuffix.py  below which names do people register their own

Below them, for the resolvers only: wire.py (messages as bytes), flight.py (a question on its way), cache.py,
servers.py (resolv.conf), from_dnspython.py.

Not here: a recursive resolver and DNSSEC validation.  Run one (unbound) on this machine, and let it be trusted."""

from typing import TYPE_CHECKING, Any

from mox_dns.domain import Domain, DomainSyntaxError, IpAddress, IpLiteral, plain_address
from mox_dns.lookup import (
    Addresses,
    Answer,
    Lookup,
    Mx,
    Question,
    Status,
    Step,
    Tlsa,
    Traced,
    addresses,
    ask,
    ask_all,
    mx,
    ptr,
    run,
    run_blocking,
    run_together,
    tlsa,
    txt,
    value,
    value_blocking,
)
from mox_dns.scanner import RecordSyntaxError, Scanner

if TYPE_CHECKING:
    from mox_dns.iprev import IprevResult, IprevStatus
    from mox_dns.iprev import plan_check as plan_iprev
    from mox_dns.resolver import (
        AnyBlockingResolver,
        AnyResolver,
        BlockingDnspythonResolver,
        BlockingResolver,
        BlockingUdpResolver,
        DnspythonResolver,
        Resolver,
        UdpResolver,
    )
    from mox_dns.taglist import Tag, TagList, TagListSyntaxError
    from mox_dns.zone import Zone, ZoneSyntaxError

__all__ = [
    "Addresses",
    "Answer",
    "AnyBlockingResolver",
    "AnyResolver",
    "BlockingDnspythonResolver",
    "BlockingResolver",
    "BlockingUdpResolver",
    "DnspythonResolver",
    "Domain",
    "DomainSyntaxError",
    "IpAddress",
    "IpLiteral",
    "IprevResult",
    "IprevStatus",
    "Lookup",
    "Mx",
    "Question",
    "RecordSyntaxError",
    "Resolver",
    "Scanner",
    "Status",
    "Step",
    "Tag",
    "TagList",
    "TagListSyntaxError",
    "Tlsa",
    "Traced",
    "UdpResolver",
    "Zone",
    "ZoneSyntaxError",
    "addresses",
    "ask",
    "ask_all",
    "mx",
    "plain_address",
    "plan_iprev",
    "ptr",
    "run",
    "run_blocking",
    "run_together",
    "tlsa",
    "txt",
    "value",
    "value_blocking",
]

# Rooms that most do not need are opened when somebody asks for them.  The resolvers bring asyncio and sockets, which
# take longer to import than all the rest; cores need neither.
_LATER = {
    **dict.fromkeys(
        (
            "AnyBlockingResolver",
            "AnyResolver",
            "BlockingDnspythonResolver",
            "BlockingResolver",
            "BlockingUdpResolver",
            "DnspythonResolver",
            "Resolver",
            "UdpResolver",
        ),
        "resolver",
    ),
    **dict.fromkeys(("IprevResult", "IprevStatus", "plan_iprev"), "iprev"),
    **dict.fromkeys(("Tag", "TagList", "TagListSyntaxError"), "taglist"),
    **dict.fromkeys(("Zone", "ZoneSyntaxError"), "zone"),
}


_ROOMS = frozenset({"dnsbl", "iprev", "publicsuffix", "resolver", "taglist", "zone"})


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f"mox_dns.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = import_module(f"mox_dns.{_LATER[name]}")
    return globals().setdefault(name, getattr(room, "plan_check" if name == "plan_iprev" else name))


def __dir__() -> list[str]:
    return sorted(__all__)

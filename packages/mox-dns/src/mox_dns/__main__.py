"""The command line: `python -m mox_dns lookup a.example MX`, `… iprev 192.0.2.1`, and others.

Exit codes: 0 found, confirmed or not listed; 1 not; 2 the question makes no sense; 75 DNS failed, try later."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from mox_dns import dnsbl, iprev
from mox_dns.domain import Domain
from mox_dns.lookup import Answer, ask, run_blocking
from mox_dns.resolver import BlockingResolver, BlockingUdpResolver
from mox_dns.zone import Zone

GOOD, BAD, USAGE, LATER = 0, 1, 2, 75
_CODES = {
    "pass": GOOD,
    "good": GOOD,
    "bad": BAD,
    "clear": GOOD,
    "fail": BAD,
    "permerror": BAD,
    "listed": BAD,
    "temperror": LATER,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except BrokenPipeError:
        # Whoever read us has seen enough; the interpreter must not complain when it closes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except (ValueError, OSError) as error:
        print(f"python -m mox_dns: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_dns", description="What does DNS say?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("--json", action="store_true", help="write JSON")
    asking.add_argument("--explain", action="store_true", help="tell every question and what DNS said")
    asking.add_argument("--zone", metavar="FILE", help="answer from a file of records instead of DNS")
    asking.add_argument("--server", metavar="ADDRESS", action="append", help="ask this server; may be repeated")
    asking.add_argument("--trust-ad", action="store_true", help="believe the servers about DNSSEC")

    lookup = commands.add_parser("lookup", parents=[asking], help="ask for the records of a name")
    lookup.add_argument("name", help="a name in U- or A-form, or an address for its PTR records")
    lookup.add_argument("type", nargs="?", default="", help="A, AAAA, MX, TXT, PTR, TLSA, … (A; PTR for an address)")
    lookup.set_defaults(command=_lookup)

    reverse = commands.add_parser("iprev", parents=[asking], help="does the name of an address lead back to it")
    reverse.add_argument("ip")
    reverse.set_defaults(command=_iprev)

    listed = commands.add_parser("dnsbl", parents=[asking], help="is an address on a block list")
    listed.add_argument("ip", help="the address, or `health`: does the list work")
    listed.add_argument("list", help="the list's name, such as bl.example")
    listed.set_defaults(command=_dnsbl)

    names = commands.add_parser("domain", help="the forms of a name, its public suffix and organizational domain")
    names.add_argument("name")
    names.add_argument("--json", action="store_true", help="write JSON")
    names.set_defaults(command=_domain)
    return parser


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    if options.zone:
        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read())
    if options.server:
        return BlockingUdpResolver(options.server, trust_ad=options.trust_ad)
    return BlockingUdpResolver.from_system(trust_ad=options.trust_ad or None)


def _tell(options: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    # What DNS said is foreign; a terminal must not obey it.
    lines = ["".join(char if char.isprintable() else "?" for char in line) for line in text.split("\n")]
    print(json.dumps(facts, indent=1) if options.json else "\n".join(lines))


def _lookup(options: argparse.Namespace) -> int:
    try:
        name, type = ip_address(options.name).reverse_pointer, options.type or "PTR"
    except ValueError:
        name, type = Domain.parse(options.name).ascii, options.type or "A"
    answer = run_blocking(ask(name, type.upper()), _resolver(options)).value
    records = [_shown(record) for record in answer.records]
    facts = {
        "question": str(answer.question),
        "status": answer.status.value,
        "records": records,
        "authentic": answer.authentic,
        "ttl": answer.ttl,
        "canonical": answer.canonical,
        "detail": answer.detail,
    }
    short = "\n".join(records) if answer.found else f"{answer.status} {answer.detail}".strip()
    at = f"at {answer.canonical}, " if answer.canonical not in ("", answer.question.name) else ""
    vouched = "vouched for by DNSSEC" if answer.authentic else "not vouched for by DNSSEC"
    lines = [f"{answer.question}: {answer.status}, {at}good for {answer.ttl} seconds, {vouched}", *records]
    _tell(options, facts, "\n".join(lines) if options.explain else short)
    return _code(answer)


def _code(answer: Answer) -> int:
    if answer.found:
        return GOOD
    return BAD if answer.absent else LATER


def _shown(record: object) -> str:
    text = record.decode("utf-8", "backslashreplace") if isinstance(record, bytes) else str(record)
    # Foreign text on a terminal.
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _iprev(options: argparse.Namespace) -> int:
    result = iprev.check_sync(options.ip, _resolver(options))
    _tell(options, result.to_dict(), result.explain() if options.explain else f"iprev={result.status}: {result.reason}")
    return _CODES[result.status]


def _dnsbl(options: argparse.Namespace) -> int:
    if options.ip == "health":
        health = dnsbl.health_sync(options.list, _resolver(options))
        _tell(options, health.to_dict(), health.explain() if options.explain else f"{health.zone}: {health.reason}")
        return _CODES[health.status]
    result = dnsbl.check_sync(options.ip, options.list, _resolver(options))
    said = f"\n  the list says: {result.explanation}" if result.explanation else ""
    short = f"{result.zone}: {result.status}: {result.reason}"
    _tell(options, result.to_dict(), (result.explain() if options.explain else short) + said)
    return _CODES[result.status]


def _domain(options: argparse.Namespace) -> int:
    from mox_dns import publicsuffix

    domain = Domain.parse(options.name)
    organizational = publicsuffix.organizational(domain)
    facts = {
        "ascii": domain.ascii,
        "unicode": domain.unicode,
        "public suffix": publicsuffix.suffix(domain).ascii,
        "organizational domain": organizational.ascii if organizational else None,
    }
    _tell(options, facts, "\n".join(f"{what}: {value or 'none'}" for what, value in facts.items()))
    return GOOD


if __name__ == "__main__":
    sys.exit(main())

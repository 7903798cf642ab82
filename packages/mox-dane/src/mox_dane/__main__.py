"""The command line: `python -m mox_dane lookup mx.example.org`, and others.

    openssl s_client -starttls smtp -connect mx.example.org:25 -showcerts </dev/null |
        python -m mox_dane verify mx.example.org -

Exit codes: 0 verified, or rightly no records; 1 not verified, or records that do not count; 2 the question makes no
sense; 75 DNS failed, try later."""

from __future__ import annotations

import argparse
import json
import re
import sys
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox_dane.lookup import Found
    from mox_dns import BlockingResolver, Tlsa

GOOD, BAD, USAGE, LATER = 0, 1, 2, 75
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
_USAGES = ["2", "3", "dane-ta", "dane-ee"]
_SELECTORS = ["0", "1", "cert", "spki"]
_MATCHINGS = ["0", "1", "2", "full", "sha2-256", "sha2-512"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError) as error:
        print(f"python -m mox_dane: {_printable(str(error))}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_dane", description="Which certificate does DNS vouch for?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    telling = argparse.ArgumentParser(add_help=False)
    telling.add_argument("--json", action="store_true", help="write JSON")
    telling.add_argument("--port", type=int, default=25, help="of the service (25)")
    asking = argparse.ArgumentParser(add_help=False, parents=[telling])
    asking.add_argument("--zone", metavar="FILE", help="answer from a file of records, as if signed, instead of DNS")
    asking.add_argument("--unsigned", action="store_true", help="with --zone: as if not signed")
    asking.add_argument("--server", metavar="ADDRESS", action="append", help="ask this validating server, and trust it")
    asking.add_argument("--explain", action="store_true", help="tell every step and what DNS said")

    lookup = commands.add_parser("lookup", parents=[asking], help="the records of a host, and do they count")
    lookup.add_argument("host")
    lookup.set_defaults(command=_lookup)
    check = commands.add_parser("check", parents=[asking], help="every MX host of a domain")
    check.add_argument("domain")
    check.set_defaults(command=_check)
    verify = commands.add_parser("verify", parents=[asking], help="hold a chain of certificates against the records")
    verify.add_argument("host")
    verify.add_argument("chain", help="PEM, the server's certificate first; - for the standard input")
    verify.add_argument("--record", action="append", metavar="TLSA", help="instead of DNS: '3 1 1 …'; may be repeated")
    verify.add_argument("--name", action="append", default=[], help="a domain that the certificate may be for as well")
    verify.set_defaults(command=_verify)
    parse = commands.add_parser("parse", parents=[telling], help="read the text of a record")
    parse.add_argument("text", help="'3 1 1 …'")
    parse.set_defaults(command=_parse)
    make = commands.add_parser("make", parents=[telling], help="a record for a certificate or a key")
    make.add_argument("host")
    make.add_argument("source", help="certificate, public key or private key, PEM or DER; - for the standard input")
    make.add_argument("--usage", default="dane-ee", choices=_USAGES, help="dane-ee")
    make.add_argument("--selector", default="spki", choices=_SELECTORS, help="spki")
    make.add_argument("--matching", default="sha2-256", choices=_MATCHINGS, help="sha2-256")
    make.set_defaults(command=_make)
    return parser


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    from mox_dns import BlockingUdpResolver, Zone

    if options.zone:
        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read(), authentic=not options.unsigned)
    if options.server:
        return BlockingUdpResolver(options.server, trust_ad=True)
    return BlockingUdpResolver.from_system()


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in line)


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    # What DNS and certificates say is foreign; a terminal must not obey it.
    print(json.dumps(facts, indent=1) if as_json else "\n".join(map(_printable, text.split("\n"))))


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def _looked_up(options: argparse.Namespace) -> Found:
    from mox_dane import lookup_sync

    return lookup_sync(options.host, _resolver(options), port=options.port)


def _lookup(options: argparse.Namespace) -> int:
    from mox_dane import Status, zone_line

    found = _looked_up(options)
    lines = [f"dane={found.status} {found.host}: {found.reason}"]
    lines += [zone_line(record, found.base, options.port) for record in found.records]
    _tell(found.to_dict(), found.explain() if options.explain else "\n".join(lines), options.json)
    if found.status is Status.TEMPERROR:
        return LATER
    return BAD if found.status in (Status.UNUSABLE, Status.NOHOST) else GOOD


def _check(options: argparse.Namespace) -> int:
    from mox_dane import Status, lookup_sync
    from mox_dns import Domain, Mx, mx, run_blocking

    domain, resolver = Domain.parse(options.domain).ascii, _resolver(options)
    answer = run_blocking(mx(domain), resolver).value
    if answer.failed:
        why = f"no answer for {domain} MX: {answer.status}"
        _tell({"domain": domain, "mx": answer.status.value, "hosts": []}, why, options.json)
        return LATER
    records = sorted((one for one in answer.records if isinstance(one, Mx)), key=lambda one: one.preference)
    hosts = list(dict.fromkeys(one.host for one in records)) or [domain]
    found = [
        lookup_sync(host, resolver, port=options.port, mx_authentic=answer.authentic) for host in hosts if host != "."
    ]
    secure = "secure" if answer.authentic else "insecure"
    lines = [one.explain() if options.explain else f"dane={one.status} {one.host}: {one.reason}" for one in found]
    text = "\n".join([f"{domain} MX {secure}", *lines])
    facts = {"domain": domain, "mx": secure, "hosts": [one.to_dict() for one in found]}
    _tell(facts, text, options.json)
    if any(one.status is Status.TEMPERROR for one in found):
        return LATER
    return BAD if any(one.status in (Status.UNUSABLE, Status.NOHOST) for one in found) else GOOD


def _verify(options: argparse.Namespace) -> int:
    import time

    from mox_dane import Outcome, Status, parse_tlsa, verify

    chain = tuple(b64decode(text) for text in _PEM.findall(_read(options.chain)))
    if not chain:
        raise ValueError(f"no certificate in {options.chain}")
    told = ""
    base, records = options.host, tuple(parse_tlsa(text) for text in options.record or ())
    if not options.record:
        found = _looked_up(options)
        if found.status is Status.TEMPERROR:
            _tell(found.to_dict(), found.explain() if options.explain else found.reason, options.json)
            return LATER
        base, records, told = found.base or found.host, found.records, found.explain() + "\n"
    verdict = verify(chain, records, names=(base, *options.name), now=time.time())
    text = told + verdict.explain() if options.explain else f"dane={verdict.status}: {verdict.reason}"
    _tell(verdict.to_dict(), text, options.json)
    return GOOD if verdict.status is Outcome.PASS else BAD


def _record_facts(record: Tlsa) -> dict[str, Any]:
    from mox_dane import why_unusable

    return {
        "usage": record.usage,
        "selector": record.selector,
        "matching": record.matching,
        "data": record.data.hex(),
        "unusable": why_unusable(record),
    }


def _parse(options: argparse.Namespace) -> int:
    from mox_dane import TlsaSyntaxError, parse_tlsa, why_unusable

    try:
        record = parse_tlsa(options.text)
    except TlsaSyntaxError as error:
        _tell({"at": error.at, "why": error.why}, str(error), options.json)
        return BAD
    why = why_unusable(record)
    _tell(_record_facts(record), f"{record}{f': {why}' if why else ''}", options.json)
    return BAD if why else GOOD


def _make(options: argparse.Namespace) -> int:
    from mox_dane import Matching, Selector, Usage, make, zone_line
    from mox_dns import Domain

    record = make(
        _read(options.source),
        Usage(2 + _USAGES.index(options.usage) % 2),
        Selector(_SELECTORS.index(options.selector) % 2),
        Matching(_MATCHINGS.index(options.matching) % 3),
    )
    line = zone_line(record, Domain.parse(options.host).ascii, options.port)
    _tell({**_record_facts(record), "line": line}, line, options.json)
    return GOOD


if __name__ == "__main__":
    sys.exit(main())

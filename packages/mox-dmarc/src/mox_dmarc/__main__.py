"""The command line: python -m mox_dmarc check | parse | lookup | report."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from mox_dmarc import report_commands

if TYPE_CHECKING:
    from mox_dns.resolver import BlockingResolver

# What scripts can tell apart.
GOOD, BAD, USAGE, LATER = 0, 1, 2, 75


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code: 0 good, 1 not, 2 wrong usage, 75 try again later."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (OSError, ValueError) as error:
        print(f"mox_dmarc: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mox_dmarc", description="What does the From domain ask for?  DMARC, RFC 9989 and RFC 7489."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="the verdict for a message; 0 for pass and none, 1 for fail")
    check.add_argument("header_from", metavar="FROM", help="the From address or its domain")
    check.add_argument("--spf", action="append", default=[], metavar="DOMAIN", help="MAIL FROM domain that passed SPF")
    check.add_argument("--dkim", action="append", default=[], metavar="DOMAIN", help="d= of a signature that passed")
    check.add_argument("--temporary", action="store_true", help="SPF or DKIM could not be checked for now")
    check.add_argument("--explain", action="store_true", help="what was looked at, and why it ended so")
    check.set_defaults(run=_check)

    parse = commands.add_parser("parse", help="read a record; 0 if nothing is wrong with it")
    parse.add_argument("text", help="such as 'v=DMARC1; p=reject'")
    parse.set_defaults(run=_parse)

    lookup = commands.add_parser("lookup", help="find the record that governs a domain; 0 if there is one")
    lookup.add_argument("domain")
    lookup.set_defaults(run=_lookup)

    report_commands.add(commands, _resolver)

    for command in (check, lookup):
        command.add_argument("--old", action="store_true", help="by RFC 7489 with the public suffix list")
        command.add_argument("--zone", metavar="FILE", help="DNS answers from a file, lines of NAME TYPE VALUE")
    for command in (check, parse, lookup):
        command.add_argument("--json", action="store_true", help="for programs")
    return parser


def _check(options: argparse.Namespace) -> int:
    from mox_dmarc import Mode, Pass, Status, check_sync
    from mox_dns import Domain

    passes = [Pass("dkim", Domain.parse(name)) for name in options.dkim]
    passes += [Pass("spf", Domain.parse(name)) for name in options.spf]
    mode = Mode.RFC7489 if options.old else Mode.RFC9989
    verdict = check_sync(options.header_from, passes, _resolver(options), mode=mode, temporary=options.temporary)
    if options.json:
        print(json.dumps(verdict.to_dict(), indent=1))
    elif options.explain:
        print(verdict.explain())
    else:
        print(f"dmarc={verdict.status} disposition={verdict.disposition}: {verdict.reason}")
    if verdict.status is Status.TEMPERROR:
        return LATER
    return GOOD if verdict.status in (Status.PASS, Status.NONE) else BAD


def _parse(options: argparse.Namespace) -> int:
    from mox_dmarc import Record, RecordSyntaxError

    try:
        record = Record.parse(options.text)
    except RecordSyntaxError as error:
        print(json.dumps({"problem": str(error)}) if options.json else f"no DMARC record: {error}")
        return BAD
    if options.json:
        facts = {
            "p": str(record.effective_p),
            "sp": str(record.for_subdomain(exists=True)),
            "np": str(record.for_subdomain(exists=False)),
            "adkim": str(record.adkim),
            "aspf": str(record.aspf),
            "psd": str(record.psd),
            "testing": record.testing,
            "rua": [str(uri) for uri in record.rua],
            "ruf": [str(uri) for uri in record.ruf],
            "usable": record.usable,
            "problems": [{"at": one.at, "why": one.why} for one in record.problems],
        }
        print(json.dumps(facts, indent=1))
    else:
        print(record)
        for problem in record.problems:
            print(f"problem: {problem}\n  {record.text}\n  {' ' * problem.at}^")
    return GOOD if not record.problems else BAD


def _lookup(options: argparse.Namespace) -> int:
    from mox_dmarc import Mode, Presence, plan_discover
    from mox_dns import Domain, run_blocking

    plan = plan_discover(Domain.parse(options.domain), Mode.RFC7489 if options.old else Mode.RFC9989)
    found = run_blocking(plan, _resolver(options)).value
    print(json.dumps(found.to_dict(), indent=1) if options.json else found.explain())
    return {Presence.FOUND: GOOD, Presence.NONE: BAD, Presence.TEMPERROR: LATER}[found.status]


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    if options.zone:
        from mox_dns import Zone

        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read())
    from mox_dns.resolver import BlockingUdpResolver

    return BlockingUdpResolver.from_system()


if __name__ == "__main__":
    sys.exit(main())

"""The commands below `python -m mox_dmarc report`: show | failure | convert | destinations."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mox_dmarc import Destination
    from mox_dns.resolver import BlockingResolver

GOOD, BAD, LATER = 0, 1, 75


def add(commands: Any, resolver: Callable[[argparse.Namespace], BlockingResolver]) -> None:
    """Adds `report` to the subcommands of the command line."""
    report = commands.add_parser("report", help="aggregate and failure reports; may they be sent where a record says?")
    kinds = report.add_subparsers(required=True, metavar="WHAT")

    show = kinds.add_parser("show", help="read aggregate reports; 0 if all can be read")
    show.add_argument("file", nargs="+", help="XML, gzip, zip or a whole mail; - for standard input")
    show.add_argument("--explain", action="store_true", help="every row, and what in the XML was odd")
    show.set_defaults(run=_show)

    failure = kinds.add_parser("failure", help="read failure reports; 0 if all can be read")
    failure.add_argument("file", nargs="+", help="a whole mail; - for standard input")
    failure.set_defaults(run=_failure)

    convert = kinds.add_parser("convert", help="write an aggregate report anew, as the schema wants it")
    convert.add_argument("file", help="XML, gzip, zip or a whole mail; - for standard input")
    convert.add_argument("--format", choices=["rfc9990", "rfc7489"], help="instead of the one it has")
    convert.add_argument("--gzip", action="store_true", help="compressed, as it is sent")
    convert.set_defaults(run=_convert)

    where = kinds.add_parser("destinations", help="where reports about a domain may be sent; 0 if anywhere")
    where.add_argument("domain")
    where.add_argument("--failure", action="store_true", help="failure reports (ruf=) instead of aggregate ones (rua=)")
    where.add_argument("--old", action="store_true", help="by RFC 7489 with the public suffix list")
    where.add_argument("--zone", metavar="FILE", help="DNS answers from a file, lines of NAME TYPE VALUE")
    where.set_defaults(run=lambda options: _destinations(options, resolver(options)))

    for command in (show, failure, where):
        command.add_argument("--json", action="store_true", help="for programs")


def _show(options: argparse.Namespace) -> int:
    from mox_dmarc import read_aggregate

    return _each(options, read_aggregate, whole=options.explain)


def _failure(options: argparse.Namespace) -> int:
    from mox_dmarc import read_failure

    return _each(options, read_failure, whole=True)


def _each(options: argparse.Namespace, read: Callable[[bytes | Path], Any], *, whole: bool) -> int:
    """Reads every file, also after one that cannot be read."""
    from mox_dmarc import Unusable

    code, found = GOOD, []
    for name in options.file:
        try:
            report = read(_source(name))
        except Unusable as error:
            code = BAD
            found.append({"file": name, "problem": str(error)})
            if not options.json:
                print(f"{name}: {error}", file=sys.stderr)
            continue
        if options.json:
            found.append({"file": name, **report.to_dict()})
        else:
            text = report.explain()
            print(text if whole else text.partition("\n")[0])
    if options.json:
        print(json.dumps(found, indent=1))
    return code


def _convert(options: argparse.Namespace) -> int:
    from mox_dmarc import Format, Unusable, pack, read_aggregate, to_xml

    try:
        report = read_aggregate(_source(options.file))
        xml = to_xml(report, Format(options.format) if options.format else None)
    except Unusable as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return BAD
    sys.stdout.buffer.write(pack(xml) if options.gzip else xml)
    sys.stdout.buffer.flush()
    return GOOD


def _destinations(options: argparse.Namespace, resolver: BlockingResolver) -> int:
    from mox_dmarc import Mode, Presence, check_destinations_sync, plan_discover
    from mox_dns import Domain, run_blocking

    plan = plan_discover(Domain.parse(options.domain), Mode.RFC7489 if options.old else Mode.RFC9989)
    found = run_blocking(plan, resolver).value
    destinations: tuple[Destination, ...] = ()
    if found.status is Presence.FOUND:
        destinations = check_destinations_sync(found, resolver, "ruf" if options.failure else "rua")
    if options.json:
        facts = {"record": found.to_dict(), "destinations": [one.to_dict() for one in destinations]}
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(one.explain() for one in destinations) or f"{found.reason}; no address to report to")
    if any(one.send_to for one in destinations):
        return GOOD
    late = found.status is Presence.TEMPERROR or any(one.status == "temperror" for one in destinations)
    return LATER if late else BAD


def _source(name: str) -> bytes | Path:
    return sys.stdin.buffer.read() if name == "-" else Path(name)

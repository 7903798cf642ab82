"""The command line: `python -m mox_tlsrpt lookup example.org`, and others.

Exit codes: 0 good; 1 a record or report with mistakes, or none; 2 the question makes no sense; 75 DNS failed, try
later."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox_dns import BlockingResolver

GOOD, BAD, USAGE, LATER = 0, 1, 2, 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError) as error:
        print(f"python -m mox_tlsrpt: {_printable(str(error))}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_tlsrpt", description="How did TLS go, and who wants to know?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    telling = argparse.ArgumentParser(add_help=False)
    telling.add_argument("--json", action="store_true", help="write JSON")

    lookup = commands.add_parser("lookup", parents=[telling], help="where does a domain want its reports")
    lookup.add_argument("domain")
    lookup.add_argument("--zone", metavar="FILE", help="answer from a file of records instead of DNS")
    lookup.add_argument("--server", metavar="ADDRESS", action="append", help="ask this server; may be repeated")
    lookup.add_argument("--explain", action="store_true", help="tell every step and what DNS said")
    lookup.set_defaults(command=_lookup)
    parse = commands.add_parser("parse", parents=[telling], help="read the text of a record")
    parse.add_argument("text", help="the record, or - for the standard input")
    parse.set_defaults(command=_parse)
    report = commands.add_parser("report", parents=[telling], help="read a report: JSON, gzip or a message")
    report.add_argument("file", help="- for the standard input")
    report.set_defaults(command=_report)
    compose = commands.add_parser("compose", help="write the message that brings a report; sign it before it goes")
    compose.add_argument("file", help="the report: JSON or gzip; - for the standard input")
    compose.add_argument("--domain", required=True, help="whom it is about")
    compose.add_argument("--from", dest="sender", required=True, metavar="ADDRESS", help="of the submitter")
    compose.add_argument("--to", action="append", required=True, metavar="ADDRESS", help="may be repeated")
    compose.set_defaults(command=_compose)
    return parser


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    from mox_dns import BlockingUdpResolver, Zone

    if options.zone:
        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read())
    if options.server:
        return BlockingUdpResolver(options.server, trust_ad=False)
    return BlockingUdpResolver.from_system()


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in line)


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    # What DNS and reports say is foreign; a terminal must not obey it.
    print(json.dumps(facts, indent=1) if as_json else "\n".join(map(_printable, text.split("\n"))))


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def _lookup(options: argparse.Namespace) -> int:
    from mox_tlsrpt import Status, lookup_sync

    found = lookup_sync(options.domain, _resolver(options))
    lines = [f"tlsrpt={found.status} {found.domain}: {found.reason}", *map(str, found.destinations)]
    _tell(found.to_dict(), found.explain() if options.explain else "\n".join(lines), options.json)
    return {Status.FOUND: GOOD, Status.NONE: BAD, Status.TEMPERROR: LATER}[found.status]


def _parse(options: argparse.Namespace) -> int:
    from mox_tlsrpt import Record, RecordSyntaxError

    text = sys.stdin.read().removesuffix("\n") if options.text == "-" else options.text
    try:
        record = Record.parse(text)
    except RecordSyntaxError as error:
        _tell({"at": error.at, "why": error.why}, str(error), options.json)
        return BAD
    facts = {
        "rua": list(record.rua),
        "destinations": [str(one) for one in record.destinations],
        "extensions": [list(pair) for pair in record.extensions],
    }
    _tell(facts, str(record), options.json)
    return GOOD


def _report(options: argparse.Namespace) -> int:
    from mox_tlsrpt import ReportSyntaxError, read

    try:
        report = read(_read(options.file))
    except ReportSyntaxError as error:
        _tell({"why": error.why}, error.why, options.json)
        return BAD
    _tell({**report.to_dict(), "problems": list(report.problems)}, report.explain(), options.json)
    return GOOD


def _compose(options: argparse.Namespace) -> int:
    import time
    import uuid

    from mox_dns import Domain
    from mox_tlsrpt import compose, read

    submitter = Domain.parse(options.sender.rpartition("@")[2]).ascii
    unique = uuid.uuid4().hex
    made = compose(
        read(_read(options.file)),
        domain=Domain.parse(options.domain).ascii,
        submitter=submitter,
        sender=options.sender,
        recipients=options.to,
        message_id=f"{unique}@{submitter}",
        boundary=unique,
        now=time.time(),
    )
    sys.stdout.buffer.write(made)
    sys.stdout.buffer.flush()
    return GOOD


if __name__ == "__main__":
    sys.exit(main())

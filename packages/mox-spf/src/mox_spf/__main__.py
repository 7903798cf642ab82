"""The command line: `python -m mox_spf check --ip 192.0.2.1 --from a@example.org --helo mx.example.org`, and others.

Exit codes: 0 pass, neutral or none, or nothing wrong; 1 fail, softfail, permerror, or a record or field with mistakes;
2 the question makes no sense; 75 DNS failed, try later."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mox_spf.check import LIMITS, Limits

if TYPE_CHECKING:
    from mox_dns import BlockingResolver
    from mox_spf.record import Record

GOOD, BAD, USAGE, LATER = 0, 1, 2, 75


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
        print(f"python -m mox_spf: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_spf", description="May this host send mail for this domain?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("--json", action="store_true", help="write JSON")
    asking.add_argument("--zone", metavar="FILE", help="answer from a file of records instead of DNS")
    asking.add_argument("--server", metavar="ADDRESS", action="append", help="ask this server; may be repeated")

    check = commands.add_parser("check", parents=[asking], help="judge a sender")
    check.add_argument("--ip", required=True, help="the address of the client")
    check.add_argument(
        "--from", dest="mail_from", default="", metavar="ADDRESS", help="MAIL FROM; empty: the null path"
    )
    check.add_argument("--helo", default="", metavar="NAME", help="what the client said in EHLO or HELO")
    check.add_argument("--explain", action="store_true", help="tell every step and what DNS said")
    for name, most in asdict(LIMITS).items():
        kind = float if isinstance(most, float) else int
        check.add_argument(f"--max-{name}", dest=name, type=kind, default=most, metavar="N", help=f"limit; {most}")
    check.set_defaults(command=_check)

    lookup = commands.add_parser("lookup", parents=[asking], help="ask for a domain's record, and read it")
    lookup.add_argument("domain")
    lookup.set_defaults(command=_lookup)

    parse = commands.add_parser("parse", help="read the text of a record")
    parse.add_argument("text", help="the record, or - for the standard input")
    parse.add_argument("--json", action="store_true", help="write JSON")
    parse.set_defaults(command=_parse)

    audit = commands.add_parser(
        "audit", parents=[asking], help="read a domain's record and all it includes; count, warn"
    )
    audit.add_argument("domain")
    audit.add_argument("--explain", action="store_true", help="show the records, and the place of each mistake")
    audit.set_defaults(command=_audit)

    received = commands.add_parser("received", help="read a Received-SPF field")
    received.add_argument("text", help="the field or its value, or - for the standard input")
    received.add_argument("--json", action="store_true", help="write JSON")
    received.set_defaults(command=_received)
    return parser


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    from mox_dns import BlockingUdpResolver, Zone

    if options.zone:
        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read())
    if options.server:
        return BlockingUdpResolver(options.server, trust_ad=False)
    return BlockingUdpResolver.from_system()


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    # What DNS said is foreign; a terminal must not obey it.
    lines = ["".join(char if char.isprintable() else "?" for char in line) for line in text.split("\n")]
    print(json.dumps(facts, indent=1) if as_json else "\n".join(lines))


def _check(options: argparse.Namespace) -> int:
    from mox_spf import Status, check_sync

    if not options.mail_from and not options.helo:
        raise ValueError("say --from, or --helo for the null reverse-path")
    limits = Limits(**{name: getattr(options, name) for name in asdict(LIMITS)})
    result = check_sync(options.ip, options.mail_from, options.helo, _resolver(options), limits=limits)
    said = f"\n  {result.explanation.attributed}" if result.explanation else ""
    short = f"spf={result.status} {result.identity}={result.domain}: {result.reason}{said}"
    _tell(result.to_dict(), result.explain() if options.explain else short, options.json)
    if result.status is Status.TEMPERROR:
        return LATER
    return GOOD if result.status in (Status.PASS, Status.NEUTRAL, Status.NONE) else BAD


def _text(options: argparse.Namespace) -> str:
    return sys.stdin.read().removesuffix("\n") if options.text == "-" else str(options.text)


def _lookup(options: argparse.Namespace) -> int:
    from mox_dns import Domain, run_blocking, txt
    from mox_spf import examine
    from mox_spf.record import claims_spf

    domain = Domain.parse(options.domain).ascii
    answer = run_blocking(txt(domain), _resolver(options)).value
    texts = [text.decode("latin-1") for text in answer.records if claims_spf(text)]
    mistakes = [mistake for text in texts for mistake in examine(text)[1]]
    trouble = [str(mistake) for mistake in mistakes]
    if answer.failed:
        trouble.append(f"no answer for {answer.question}: {answer.status}")
    elif len(texts) != 1:
        trouble.append(f"{domain} has {len(texts) or 'no'} SPF record{'s' if len(texts) > 1 else ''} (RFC 7208 4.5)")
    facts = {"domain": domain, "records": texts, "authentic": answer.authentic, "trouble": trouble}
    _tell(facts, "\n".join([*texts, *trouble]), options.json)
    if answer.failed:
        return LATER
    return BAD if trouble else GOOD


def _parse(options: argparse.Namespace) -> int:
    from mox_spf import examine

    record, mistakes = examine(_text(options))
    facts = {**_record_facts(record), "mistakes": [{"at": one.at, "why": one.why} for one in mistakes]}
    shown = "\n".join([str(one) for one in mistakes] or str(record).split(" "))
    _tell(facts, shown, options.json)
    return BAD if mistakes else GOOD


def _received(options: argparse.Namespace) -> int:
    from mox_spf import ReceivedSpf, ReceivedSyntaxError

    text = _text(options)
    if text[:13].lower() == "received-spf:":
        text = text[13:]
    try:
        field = ReceivedSpf.parse(text)
    except ReceivedSyntaxError as error:
        _tell({"at": error.at, "why": error.why}, str(error), options.json)
        return BAD
    lines = [f"{field.status} {field.comment}".rstrip(), *[f"{key}: {value}" for key, value in field.pairs]]
    _tell(field.to_dict(), "\n".join([*lines, *[f"({defect})" for defect in field.defects]]), options.json)
    return GOOD


def _record_facts(record: Record) -> dict[str, Any]:
    return {
        "record": str(record),
        "directives": [
            {
                "qualifier": one.qualifier,
                "mechanism": one.mechanism,
                "domain": None if one.spec is None else str(one.spec),
                "network": None if one.network is None else str(one.network),
                "text": one.text,
                "at": one.at,
            }
            for one in record.directives
        ],
        "redirect": None if record.redirect is None else str(record.redirect),
        "exp": None if record.explanation is None else str(record.explanation),
        "others": [f"{name}={value}" for name, value in record.others],
    }


def _audit(options: argparse.Namespace) -> int:
    from mox_spf import audit_sync

    found = audit_sync(options.domain, _resolver(options))
    short = [f"{found.domain}: {found.status}, {found.lookups} lookups, {found.void} void", *map(str, found.findings)]
    _tell(found.to_dict(), found.explain() if options.explain else "\n".join(short), options.json)
    if not found.sound:
        return BAD
    return LATER if found.temporary else GOOD


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `python -m mox_mtasts check example.org`, and others.

Exit codes: 0 a policy, or rightly none; 1 a record, a policy or a host with mistakes; 2 the question makes no sense;
75 no answer, try later."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox_dns import BlockingResolver
    from mox_mtasts import SyncFetcher

GOOD, BAD, USAGE, LATER = 0, 1, 2, 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError) as error:
        print(f"python -m mox_mtasts: {_printable(str(error))}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mox_mtasts", description="Must mail to this domain use verified TLS?"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    telling = argparse.ArgumentParser(add_help=False)
    telling.add_argument("--json", action="store_true", help="write JSON")
    asking = argparse.ArgumentParser(add_help=False, parents=[telling])
    asking.add_argument("--zone", metavar="FILE", help="answer from a file of records instead of DNS")
    asking.add_argument("--server", metavar="ADDRESS", action="append", help="ask this server; may be repeated")
    asking.add_argument("--explain", action="store_true", help="tell every step and what DNS said")
    asking.add_argument("--roots", metavar="PEM", help="trust the certificates in this file instead of the system's")
    asking.add_argument("--port", type=int, default=443, help="of the policy host, for tests (443)")
    asking.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for the fetch (60)")

    check = commands.add_parser("check", parents=[asking], help="a domain's record, its policy, and do its MX fit")
    check.add_argument("domain")
    check.set_defaults(command=_check)
    fetch = commands.add_parser("fetch", parents=[asking], help="write the policy that a domain serves")
    fetch.add_argument("domain")
    fetch.set_defaults(command=_fetch)
    parse = commands.add_parser("parse", parents=[telling], help="read the text of a record")
    parse.add_argument("text", help="the record, or - for the standard input")
    parse.set_defaults(command=_parse)
    policy = commands.add_parser("policy", parents=[telling], help="read a policy; what does it mean for hosts")
    policy.add_argument("file", help="the policy, or - for the standard input")
    policy.add_argument("--host", action="append", default=[], help="judge this MX host; may be repeated")
    policy.set_defaults(command=_policy)
    make = commands.add_parser("make", parents=[telling], help="write a policy to serve, and the record for DNS")
    make.add_argument("--mode", default="enforce", choices=["enforce", "testing", "none"])
    make.add_argument("--mx", action="append", default=[], metavar="HOST", help="or *.domain; may be repeated")
    make.add_argument("--max-age", type=int, default=14 * 86400, metavar="SECONDS", help="two weeks")
    make.add_argument("--id", default="", help="for the record; the time without")
    make.set_defaults(command=_make)
    return parser


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    from mox_dns import BlockingUdpResolver, Zone

    if options.zone:
        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read())
    if options.server:
        return BlockingUdpResolver(options.server, trust_ad=False)
    return BlockingUdpResolver.from_system()


def _fetcher(options: argparse.Namespace) -> SyncFetcher:
    from mox_mtasts import default_context, fetch_sync

    context = default_context(options.roots)
    return lambda wanted, limits: fetch_sync(wanted, limits, context=context, port=options.port)


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in line)


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    # What DNS and hosts say is foreign; a terminal must not obey it.
    lines = [_printable(line) for line in text.split("\n")]
    print(json.dumps(facts, indent=1) if as_json else "\n".join(lines))


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def _check(options: argparse.Namespace) -> int:
    from mox_dns import Domain, Mx, mx, run_blocking
    from mox_mtasts import Limits, Status, agreement, check_sync

    resolver = _resolver(options)
    limits = Limits(timeout=options.timeout)
    result = check_sync(options.domain, resolver, limits=limits, fetcher=_fetcher(options))
    text = result.explain() if options.explain else f"mta-sts={result.status} {result.domain}: {result.reason}"
    facts = result.to_dict()
    if result.policy is None:
        _tell(facts, text, options.json)
        return {Status.NONE: GOOD, Status.TEMPERROR: LATER}.get(result.status, BAD)
    answer = run_blocking(mx(Domain.parse(options.domain).ascii), resolver).value
    hosts = [record.host for record in answer.records if isinstance(record, Mx)] or [result.domain]
    findings = () if answer.failed else agreement(result.policy, hosts)
    facts["findings"] = [{"severe": finding.severe, "text": finding.text} for finding in findings]
    _tell(facts, "\n".join([text, *(f"  {finding}" for finding in findings)]), options.json)
    return BAD if any(finding.severe for finding in findings) else GOOD


def _fetch(options: argparse.Namespace) -> int:
    from mox_dns import Domain, addresses, run_blocking
    from mox_mtasts import Fetch, Fetched, Limits, Policy, policy_host

    host = policy_host(Domain.parse(options.domain))
    found = run_blocking(addresses(host), _resolver(options)).value
    fetched = Fetched(reason=f"no address for {host}")
    if found.all:
        fetched = _fetcher(options)(Fetch(host, found.all), Limits(timeout=options.timeout))
    if fetched.body is None:
        _tell({"failure": fetched.failure, "reason": fetched.reason}, fetched.reason, options.json)
        return LATER if found.failed else BAD
    policy = Policy.parse(fetched.body)
    told = f"from {fetched.address} over {fetched.tls}\n" if options.explain else ""
    facts = {**policy.to_dict(), "address": fetched.address, "tls": fetched.tls}
    _tell(facts, told + str(policy).replace("\r\n", "\n").rstrip("\n"), options.json)
    return GOOD


def _parse(options: argparse.Namespace) -> int:
    from mox_mtasts import Record, RecordSyntaxError

    text = sys.stdin.read().removesuffix("\n") if options.text == "-" else options.text
    try:
        record = Record.parse(text)
    except RecordSyntaxError as error:
        _tell({"at": error.at, "why": error.why}, str(error), options.json)
        return BAD
    facts = {"id": record.id, "extensions": [list(pair) for pair in record.extensions]}
    _tell(facts, str(record), options.json)
    return GOOD


def _policy(options: argparse.Namespace) -> int:
    from mox_mtasts import Action, Policy, PolicySyntaxError, judge_host

    try:
        policy = Policy.parse(_read(options.file))
    except PolicySyntaxError as error:
        _tell({"at": error.at, "why": error.why}, str(error), options.json)
        return BAD
    rulings = [judge_host(policy, host) for host in options.host]
    facts = {**policy.to_dict(), "hosts": [ruling.to_dict() for ruling in rulings]}
    text = "".join(f"{ruling.action}: {ruling.reason}\n" for ruling in rulings) or str(policy).replace("\r\n", "\n")
    _tell(facts, text.rstrip("\n"), options.json)
    return BAD if any(ruling.action is Action.SKIP for ruling in rulings) else GOOD


def _make(options: argparse.Namespace) -> int:
    import time

    from mox_mtasts import CONTENT_TYPE, PATH, Mode, Record, of_patterns

    policy = of_patterns(Mode(options.mode), options.mx, options.max_age)
    record = Record(options.id) if options.id else Record.dated(time.time())
    facts = {"policy": str(policy), "record": str(record), "path": PATH, "content_type": CONTENT_TYPE}
    shown = str(policy).replace("\r\n", "\n")
    _tell(facts, f'{shown}\n_mta-sts TXT "{record}"', options.json)
    return GOOD


if __name__ == "__main__":
    sys.exit(main())

"""`python -m mox_junk judge …`: signals in, a judgement out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from mox_junk import Kind, Signals, judge

STATUS = {Kind.ACCEPT: 0, Kind.JUNK: 1, Kind.REFUSE: 2}
USAGE = 64
MAX_INPUT = 1024 * 1024


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m mox_junk", description="Is this message wanted?")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    one = commands.add_parser(
        "judge",
        help="judge a message by its signals",
        description="Judges by the signals given as options, or as a JSON object on standard input with --stdin. "
        "Exit status: 0 accept, 1 junk, 2 refuse, 64 wrong usage.",
    )
    one.add_argument("--spf", default="none", help="SPF result (default none)")
    one.add_argument("--dmarc", default="none", help="DMARC result (default none)")
    one.add_argument("--dmarc-disposition", default="none", help="none, quarantine or reject")
    one.add_argument("--iprev", default="permerror", help="does the address's name lead back (default permerror)")
    one.add_argument(
        "--dkim-domain", action="append", default=[], dest="dkim_domains", help="a domain whose signature passes"
    )
    one.add_argument("--tls", action="store_true", help="it came over TLS")
    one.add_argument("--mail-from", default="")
    one.add_argument("--from-domain", default="")
    one.add_argument("--stdin", action="store_true", help="read the signals as JSON")
    one.add_argument("--json", action="store_true", help="print JSON")
    one.add_argument("--explain", action="store_true", help="print every step")
    return top


def signals_of(given: object) -> Signals:
    """Signals from JSON-safe data.  Raises ValueError that says what is wrong."""
    if not isinstance(given, dict):
        raise ValueError("signals are a JSON object")
    names = {one.name: one.default for one in fields(Signals)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in names:
            raise ValueError(f"no signal is named {name!r}; there are {', '.join(names)}")
        if isinstance(names[name], tuple):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ValueError(f"{name} is a list of domains")
            value = tuple(value)
        elif type(value) is not type(names[name]):
            raise ValueError(f"{name} is a {type(names[name]).__name__}")
        values[name] = value
    return Signals(**values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.stdin:
            signals = signals_of(json.loads(sys.stdin.read(MAX_INPUT)))
        else:
            signals = signals_of({one.name: getattr(options, one.name) for one in fields(Signals)})
    except (ValueError, RecursionError) as error:
        print(f"mox_junk: {error}", file=sys.stderr)
        return USAGE
    judgement = judge(signals)
    if options.json:
        print(json.dumps(judgement.to_dict(), ensure_ascii=False))
    else:
        print(judgement.explain() if options.explain else f"{judgement.kind}: {judgement.reason}")
    return STATUS[judgement.kind]


if __name__ == "__main__":
    raise SystemExit(main())

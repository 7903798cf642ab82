"""The command line: `python -m mox_sasl derive`, and others.  Passwords come from the standard input.

Exit codes: 0 yes; 1 no (a wrong password, a text that is none); 2 the question makes no sense."""

from __future__ import annotations

import argparse
import base64
import binascii
import getpass
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from typing import Any

GOOD, BAD, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError) as error:
        print(f"python -m mox_sasl: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_sasl", description="Who is this, and how do they prove it?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="write JSON")

    listed = commands.add_parser("mechanisms", parents=[common], help="what is known here, best first")
    listed.set_defaults(command=_mechanisms)

    derive = commands.add_parser("derive", parents=[common], help="password -> the SCRAM verifier that a server keeps")
    derive.add_argument("--mechanism", default="SCRAM-SHA-256", choices=["SCRAM-SHA-256", "SCRAM-SHA-1"])
    derive.add_argument("--iterations", type=int, default=4096, help="4096 or more (default 4096)")
    derive.set_defaults(command=_derive)

    check = commands.add_parser("check", parents=[common], help="does a password fit a verifier?")
    check.add_argument("verifier", help="SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")
    check.set_defaults(command=_check)

    prepare = commands.add_parser("prepare", parents=[common], help="a password in the form that is hashed (PRECIS)")
    prepare.set_defaults(command=_prepare)

    read = commands.add_parser("read", parents=[common], help="tell what a client's message says, secrets hidden")
    read.add_argument("mechanism")
    read.add_argument("message", help="base64, as it stands in AUTH or AUTHENTICATE; - for the standard input")
    read.set_defaults(command=_read)
    return parser


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    # Names are foreign; a terminal must not obey them.
    shown = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    print(json.dumps(facts, indent=1) if as_json else shown)


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass()
    return sys.stdin.readline().removesuffix("\n")


def _mechanisms(options: argparse.Namespace) -> int:
    from mox_sasl import MECHANISMS

    _tell({"mechanisms": MECHANISMS}, "\n".join(MECHANISMS), options.json)
    return GOOD


def _derive(options: argparse.Namespace) -> int:
    from mox_sasl import derive, prepare_password
    from mox_sasl.scram import MAX_ITERATIONS, MIN_ITERATIONS, SALT_SIZE

    if not MIN_ITERATIONS <= options.iterations <= MAX_ITERATIONS:
        raise ValueError(f"--iterations is {MIN_ITERATIONS} to {MAX_ITERATIONS}")
    password = prepare_password(_password())
    text = derive(options.mechanism, password, secrets.token_bytes(SALT_SIZE), options.iterations).to_text()
    _tell({"verifier": text}, text, options.json)
    return GOOD


def _check(options: argparse.Namespace) -> int:
    from mox_sasl import ScramVerifier, derive, prepare_password

    stored = ScramVerifier.from_text(options.verifier)
    password = prepare_password(_password(), fallback=True)
    fits = derive(stored.mechanism, password, stored.salt, stored.iterations) == stored
    _tell({"fits": fits}, "the password fits" if fits else "the password does not fit", options.json)
    return GOOD if fits else BAD


def _prepare(options: argparse.Namespace) -> int:
    from mox_sasl import PreparationError, prepare_password

    try:
        text = prepare_password(_password())
    except PreparationError as error:
        _tell({"why": error.why}, error.why, options.json)
        return BAD
    _tell({"prepared": text}, text, options.json)
    return GOOD


class _Nobody:
    """A verifier that knows nobody: messages are only read."""

    def scram(self, name: str) -> None:
        return None

    def nonce(self) -> str:
        return "n" * 18

    def secret(self) -> bytes:
        return b"\0" * 32


def _read(options: argparse.Namespace) -> int:
    from mox_sasl import CheckPassword, CheckToken, Failure, Secret, Success, server
    from mox_sasl.scram import HASHES, ClientFirst, ScramSyntaxError

    text = sys.stdin.read() if options.message == "-" else options.message
    try:
        message = base64.b64decode(text.strip().removeprefix("="), validate=True)
    except binascii.Error:
        raise ValueError("the message is not base64") from None
    name = options.mechanism.upper()
    if name.removesuffix("-PLUS") in HASHES:
        try:
            first = ClientFirst.parse(message)
        except ScramSyntaxError as error:
            _tell({"why": error.why}, error.why, options.json)
            return BAD
        facts = {"name": first.name, "authzid": first.authzid, "binding": first.binding}
    else:
        try:
            mechanism = server(name, _Nobody(), external="?", for_others=True, passwords=lambda name: None)
        except KeyError:
            raise ValueError(f"{options.mechanism} is not known here") from None
        outcome = mechanism.step(message)
        if isinstance(outcome, Failure) and outcome.malformed:
            _tell({"why": outcome.because}, outcome.because, options.json)
            return BAD
        facts = {"name": getattr(outcome, "name", ""), "authzid": getattr(outcome, "authzid", "")}
        if isinstance(outcome, CheckPassword | CheckToken):
            facts["secret"] = str(Secret(""))
        if isinstance(outcome, CheckToken):
            facts |= {"host": outcome.host, "port": str(outcome.port)}
        if isinstance(outcome, Success):
            facts["name"] = ""
    _tell(facts, "\n".join(f"{key}: {value}" for key, value in facts.items() if value), options.json)
    return GOOD


if __name__ == "__main__":
    sys.exit(main())

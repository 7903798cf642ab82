"""The command line: python -m mox_dkim verify | arc | sign | seal | keygen | txt | parse | lookup."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox_dkim import KeyRecord, PrivateKey
    from mox_dns.resolver import BlockingResolver

# What scripts can tell apart.
GOOD, BAD, USAGE, LATER = 0, 1, 2, 75


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code: 0 good, 1 not, 2 wrong usage, 75 try again later."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (OSError, ValueError) as error:
        print(f"mox_dkim: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_dkim", description="Who signed this message?  DKIM, RFC 6376.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    verify = commands.add_parser("verify", help="verify the signatures of a message; 0 if one passes, 1 if none")
    verify.add_argument("message", nargs="?", default="-", help="a file, or - for standard input")
    verify.add_argument("--strict", action="store_true", help="no l= tag, and Subject must be signed")
    verify.set_defaults(run=_verify)

    arc = commands.add_parser("arc", help="check the ARC chain of a message; 0 if it holds or there is none, 1 if not")
    arc.add_argument("message", nargs="?", default="-", help="a file, or - for standard input")
    arc.set_defaults(run=_arc)

    sign = commands.add_parser("sign", help="write the DKIM-Signature field for a message")
    sign.add_argument("message", nargs="?", default="-", help="a file, or - for standard input")
    sign.add_argument("--identity", default="", help="the i= tag")
    sign.add_argument("--lifetime", type=int, metavar="SECONDS", help="write x=")
    sign.set_defaults(run=_sign)

    seal = commands.add_parser("seal", help="write an ARC set for a message that is passed on")
    seal.add_argument("message", nargs="?", default="-", help="a file, or - for standard input")
    seal.add_argument("--results", required=True, help="what was found: 'mx.example.org; spf=pass smtp.mailfrom=…'")
    seal.set_defaults(run=_seal)

    for command in (sign, seal):
        command.add_argument("--key", required=True, metavar="FILE", help="private key, PEM")
        command.add_argument("--domain", required=True)
        command.add_argument("--selector", required=True)
        command.add_argument("--whole", action="store_true", help="write the message behind the field")

    keygen = commands.add_parser("keygen", help="make a key; writes PEM")
    keygen.add_argument("--type", choices=["rsa", "ed25519"], default="rsa")
    keygen.add_argument("--bits", type=int, default=2048, help="for rsa")
    keygen.add_argument("--out", metavar="FILE", help="a new file that only its owner may read")
    keygen.set_defaults(run=_keygen)

    txt = commands.add_parser("txt", help="the DNS record for a key")
    txt.add_argument("key", help="private key, PEM")
    txt.add_argument("--domain", default="", help="write a line for a zone file, with --selector")
    txt.add_argument("--selector", default="")
    txt.add_argument("--testing", action="store_true", help="t=y: failures count as unsigned")
    txt.set_defaults(run=_txt)

    parse = commands.add_parser("parse", help="read a key record or the value of a DKIM-Signature; 0 if it is one")
    parse.add_argument("text", help="such as 'v=DKIM1; p=…'")
    parse.set_defaults(run=_parse)

    lookup = commands.add_parser("lookup", help="fetch and explain a key record")
    lookup.add_argument("selector")
    lookup.add_argument("domain")
    lookup.set_defaults(run=_lookup)

    for command in (verify, arc, sign, seal):
        command.add_argument("--exact", action="store_true", help="leave line ends as they are (else LF becomes CRLF)")
    for command in (verify, arc, seal, lookup):
        command.add_argument("--zone", metavar="FILE", help="DNS answers from a file, lines of NAME TYPE VALUE")
    for command in (verify, arc, parse, lookup):
        command.add_argument("--json", action="store_true", help="for programs")
    for command in (verify, arc):
        command.add_argument("--explain", action="store_true", help="what was looked at, and why it ended so")
    return parser


def _verify(options: argparse.Namespace) -> int:
    from mox_dkim import Policy, Status, verify_sync

    policy = Policy.strict() if options.strict else Policy()
    results = verify_sync(_message(options), _resolver(options), policy=policy)
    if options.json:
        print(json.dumps([result.to_dict() for result in results], indent=1))
    else:
        for result in results:
            line = f"dkim={result.status} {result.domain or '-'} {result.selector or '-'}: {result.reason}"
            print(result.explain() if options.explain else line)
        if not results:
            print("dkim=none: no signature")
    statuses = {result.status for result in results}
    if Status.PASS in statuses:
        return GOOD
    return LATER if Status.TEMPERROR in statuses else BAD


def _arc(options: argparse.Namespace) -> int:
    from mox_dkim import ChainStatus, verify_chain_sync

    chain = verify_chain_sync(_message(options), _resolver(options))
    if options.json:
        print(json.dumps(chain.to_dict(), indent=1))
    else:
        print(chain.explain() if options.explain else f"arc={chain.status}: {chain.reason}")
    return {ChainStatus.FAIL: BAD, ChainStatus.TEMPERROR: LATER}.get(chain.status, GOOD)


def _sign(options: argparse.Namespace) -> int:
    import time

    from mox_dkim import Signer
    from mox_message import Content, Fields

    message = _message(options)
    signer = Signer(
        options.domain, options.selector, _key(options.key), identity=options.identity, lifetime=options.lifetime
    )
    field = signer.sign(Fields.parse(message), Content.of(message), now=time.time())
    sys.stdout.buffer.write(field + message if options.whole else field)
    sys.stdout.buffer.flush()
    return GOOD


def _seal(options: argparse.Namespace) -> int:
    import time

    from mox_dkim import CannotSign, Sealer, verify_chain_sync
    from mox_message import AuthenticationResults, Content, Fields

    message = _message(options)
    found = AuthenticationResults.parse(options.results)
    chain = verify_chain_sync(message, _resolver(options))
    sealer = Sealer(options.domain, options.selector, _key(options.key))
    try:
        fields = sealer.seal(Fields.parse(message), Content.of(message), found, chain, now=time.time())
    except CannotSign as error:
        print(f"not sealed: {error}", file=sys.stderr)
        return LATER if chain.status == "temperror" else BAD
    sys.stdout.buffer.write(fields + message if options.whole else fields)
    sys.stdout.buffer.flush()
    return GOOD


def _parse(options: argparse.Namespace) -> int:
    from mox_dkim import KeyRecord, KeyRecordSyntaxError, Signature, SignatureSyntaxError

    facts: dict[str, object]
    try:
        if re.search(r"(?:^|;)\s*bh\s*=", options.text):
            facts = {"kind": "signature", **dict(Signature.parse(options.text).tags())}
        else:
            record = KeyRecord.parse(options.text)
            facts = {"kind": "key record", **_key_facts(record)}
    except (KeyRecordSyntaxError, SignatureSyntaxError) as error:
        problem: dict[str, object] = {"problem": error.why, "at": error.at}
        print(json.dumps(problem) if options.json else error)
        return BAD
    print(json.dumps(facts, indent=1) if options.json else "\n".join(f"{key}: {value}" for key, value in facts.items()))
    return BAD if "problem" in facts else GOOD


def _key_facts(record: KeyRecord) -> dict[str, object]:
    """What a key record says, and what is wrong with its key."""
    facts: dict[str, object] = {"type": record.type, "testing": record.testing, "revoked": record.revoked}
    if not record.revoked:
        try:
            facts["bits"] = record.public_key().bits
        except ValueError as error:
            facts["problem"] = str(error)
    return facts


def _keygen(options: argparse.Namespace) -> int:
    from mox_dkim import KeyType, generate

    pem = generate(KeyType(options.type), options.bits).pem()
    if options.out is None:
        sys.stdout.buffer.write(pem)
        sys.stdout.buffer.flush()
    else:
        # Never over an existing key, and never readable by others, not even for a moment.
        descriptor = os.open(options.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
    return GOOD


def _txt(options: argparse.Namespace) -> int:
    from mox_dkim import KeyRecord

    if bool(options.domain) != bool(options.selector):
        raise ValueError("--domain and --selector belong together")
    text = str(KeyRecord.of(_key(options.key), flags=("y",) if options.testing else ()))
    if options.domain:
        from mox_dns import Domain

        # RFC 1035 3.3: a string of a TXT record has at most 255 octets.
        strings = " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))
        text = f"{Domain.parse(options.selector)}._domainkey.{Domain.parse(options.domain)}. IN TXT ( {strings} )"
    print(text)
    return GOOD


def _lookup(options: argparse.Namespace) -> int:
    from mox_dkim import KeyRecord, KeyRecordSyntaxError
    from mox_dns import Domain, run_blocking, txt

    name = f"{Domain.parse(options.selector)}._domainkey.{Domain.parse(options.domain)}"
    answer = run_blocking(txt(name), _resolver(options)).value
    found: list[dict[str, object]] = []
    for data in answer.records:
        text = data.decode("utf-8", "replace")
        try:
            found.append({"text": text, **_key_facts(KeyRecord.parse(text))})
        except KeyRecordSyntaxError as error:
            found.append({"text": text, "problem": error.why})
    if options.json:
        print(json.dumps({"name": name, "status": str(answer.status), "records": found}, indent=1))
    else:
        print(f"{name}: {answer.status}")
        for one in found:
            print("  " + ", ".join(f"{key}={value}" for key, value in one.items()))
    if answer.failed:
        return LATER
    return GOOD if any("problem" not in one and not one.get("revoked") for one in found) else BAD


def _message(options: argparse.Namespace) -> bytes:
    if options.message == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(options.message, "rb") as file:
            data = file.read()
    return data if options.exact else re.sub(rb"(?<!\r)\n", b"\r\n", data)


def _key(path: str) -> PrivateKey:
    from mox_dkim import load_key

    with open(path, "rb") as file:
        return load_key(file.read())


def _resolver(options: argparse.Namespace) -> BlockingResolver:
    if options.zone:
        from mox_dns import Zone

        with open(options.zone, encoding="utf-8") as file:
            return Zone.parse(file.read())
    from mox_dns.resolver import BlockingUdpResolver

    return BlockingUdpResolver.from_system()


if __name__ == "__main__":
    sys.exit(main())

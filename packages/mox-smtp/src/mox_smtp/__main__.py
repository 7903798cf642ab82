"""The command line: `python -m mox_smtp probe mx.example.org`, and others.

Exit codes: 0 yes, or all recipients taken; 1 refused for good; 2 the question makes no sense; 75 not reached, or
refused for now: try later."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox_dns import Resolver
    from mox_smtp.client import ClientConfig
    from mox_smtp.parameters import MailOptions, RcptOptions

GOOD, BAD, USAGE, LATER = 0, 1, 2, 75
PASSWORD = "SMTP_PASSWORD"  # noqa: S105 the name of a variable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError) as error:
        print(f"python -m mox_smtp: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_smtp", description="Mail across the wire, both ways.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="write JSON")
    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("--zone", metavar="FILE", help="answer from a file of records instead of DNS")
    asking.add_argument("--server", metavar="ADDRESS", action="append", help="ask this DNS server; may be repeated")
    asking.add_argument("--family", type=int, choices=[4, 6], help="IPv4 or IPv6 only, of the addresses in DNS")
    talking = argparse.ArgumentParser(add_help=False)
    talking.add_argument("--port", type=int, default=0, help="25, with --tls 465, with --lmtp 24")
    talking.add_argument("--tls", action="store_true", help="TLS from the first octet (RFC 8314)")
    talking.add_argument("--hello", default="localhost", metavar="NAME", help="what to call ourselves")
    talking.add_argument("--lmtp", action="store_true", help="speak LMTP (RFC 2033)")
    talking.add_argument("--seconds", type=float, default=30.0, help="to wait for each answer (default 30)")

    mx = commands.add_parser("mx", parents=[common, asking], help="which hosts take mail for a domain")
    mx.add_argument("domain")
    mx.set_defaults(command=_mx)

    probe = commands.add_parser("probe", parents=[common, asking, talking], help="look at a server: offers and TLS")
    probe.add_argument("host", help="a host, or with --mx a domain")
    probe.add_argument("--mx", action="store_true", help="each host that takes mail for a domain")
    probe.add_argument("--explain", action="store_true", help="tell the whole conversation")
    probe.set_defaults(command=_probe)

    send = commands.add_parser("send", parents=[common, asking, talking], help="send a message as it is")
    send.add_argument("file", help="the message, with CRLF or LF; - for the standard input")
    send.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="empty: the null path")
    send.add_argument("--to", action="append", required=True, metavar="ADDRESS", help="may be repeated")
    send.add_argument("--host", help="hand it to this host, not to the hosts of the first recipient's domain")
    send.add_argument("--user", default="", help=f"log in; the password is in the variable {PASSWORD}")
    send.add_argument("--plaintext-login", action="store_true", help="show the password to a host without TLS")
    send.add_argument("--trust", choices=["any", "encrypted", "verified"], default="any", help="what TLS must prove")
    send.add_argument("--roots", default="", metavar="FILE", help="certificates to trust instead of the system's")
    send.add_argument("--notify", default="", help="NEVER, or of SUCCESS,FAILURE,DELAY (RFC 3461)")
    send.add_argument("--ret", choices=["FULL", "HDRS"], help="what a notice returns")
    send.add_argument("--envid", help="an identifier that notices repeat")
    send.add_argument("--requiretls", action="store_true", help="RFC 8689")
    send.add_argument("--no-chunking", action="store_true", help="DATA also where BDAT is offered")
    send.add_argument("--explain", action="store_true", help="tell the whole conversation")
    send.set_defaults(command=_send)

    sink = commands.add_parser("serve-sink", parents=[common], help="take every message, into a folder or nowhere")
    sink.add_argument("--listen", default="127.0.0.1:2525", metavar="ADDRESS:PORT", help="port 0: any that is free")
    sink.add_argument("--directory", type=Path, help="where messages become N.eml, with their envelope in N.json")
    sink.add_argument("--refuse", action="append", default=[], metavar="LOCALPART", help="refuse it; may be repeated")
    sink.add_argument("--lmtp", action="store_true")
    sink.add_argument("--certificate", type=Path, help="offers STARTTLS; with --tls speaks TLS from the start")
    sink.add_argument("--key", type=Path)
    sink.add_argument("--tls", action="store_true")
    sink.add_argument("--user", default="", help=f"demand a login; the password is in the variable {PASSWORD}")
    sink.add_argument("--proxy-from", action="append", default=[], metavar="NETWORK", help="whose PROXY header counts")
    sink.add_argument("--size", type=int, default=100 * 1024 * 1024, help="octets of a message (default 100 MB)")
    sink.set_defaults(command=_serve_sink)
    return parser


def _resolver(options: argparse.Namespace) -> Resolver:
    from mox_dns import UdpResolver, Zone

    if options.zone:
        return Zone.parse(Path(options.zone).read_text(encoding="utf-8"))
    return UdpResolver(options.server, trust_ad=False) if options.server else UdpResolver.from_system()


def _families(options: argparse.Namespace) -> tuple[int, ...]:
    return (options.family,) if options.family else (6, 4)


def _shown(text: str) -> str:
    # What a server says is foreign; a terminal must not obey it.
    return "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in text.split("\n"))


def _tell(facts: object, text: str, as_json: bool) -> None:
    print(json.dumps(facts, indent=1) if as_json else _shown(text))


def _port(options: argparse.Namespace) -> int:
    return int(options.port) or (465 if options.tls else 24 if options.lmtp else 25)


def _config(options: argparse.Namespace) -> ClientConfig:
    from mox_smtp.client import ClientConfig, Timeouts

    seconds = options.seconds
    timeouts = Timeouts(seconds, seconds, seconds, seconds, seconds, seconds, max(seconds, 60.0), 5.0)
    return ClientConfig(options.hello, lmtp=options.lmtp, timeouts=timeouts)


def _mx(options: argparse.Namespace) -> int:
    from mox_smtp.aio.tools import find

    hosts, addresses = asyncio.run(find(_a_form(options.domain), _resolver(options), _families(options)))
    facts = {
        "domain": hosts.domain, "refusal": hosts.refusal, "status": hosts.status, "temporary": hosts.temporary,
        "authentic": hosts.authentic, "implicit": hosts.implicit,
        "hosts": [{"name": one.host, "addresses": list(map(str, one.addresses))} for one in addresses],
    }  # fmt: skip
    lines = [f"{one.host} {' '.join(map(str, one.addresses)) or one.refusal}" for one in addresses]
    _tell(facts, "\n".join(lines) or hosts.refusal, options.json)
    return GOOD if hosts.names else LATER if hosts.temporary else BAD


def _a_form(domain: str) -> str:
    from mox_dns import Domain

    return domain if domain.startswith("[") else Domain.parse(domain).ascii


def _places(options: argparse.Namespace, name: str, *, by_mx: bool) -> list[tuple[str, list[str]]]:
    """Hosts and their addresses.  Raises ValueError where there are none."""
    from mox_smtp.aio.tools import find

    try:
        literal = name.strip("[]").removeprefix("IPv6:")
        return [(name, [str(ip_address(literal))])]
    except ValueError:
        pass
    if not by_mx and not options.zone and not options.server:
        return [(name, [name])]
    hosts, addresses = asyncio.run(find(_a_form(name), _resolver(options), _families(options)))
    if not hosts.names:
        raise ValueError(hosts.refusal)
    return [(one.host, list(map(str, one.addresses))) for one in addresses]


def _probe(options: argparse.Namespace) -> int:
    from mox_smtp.aio.tools import Probe, probe

    places = _places(options, options.host, by_mx=options.mx)

    async def all_of_them() -> list[Probe]:
        return [
            await probe(name, address, _config(options), port=_port(options), implicit_tls=options.tls)
            for name, addresses in places
            for address in addresses
        ]

    found = asyncio.run(all_of_them())
    lines = [one.explain() if options.explain else one.explain().split("\n    ")[0] for one in found]
    _tell([one.to_dict() for one in found], "\n".join(lines), options.json)
    if not any(one.reached for one in found):
        return LATER
    return GOOD


def _send(options: argparse.Namespace) -> int:
    from mox_message import Content
    from mox_smtp.aio.tools import send
    from mox_smtp.envelope import Envelope

    data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    if b"\r\n" not in data:
        data = data.replace(b"\n", b"\r\n")
    content = Content.of(data)
    recipients = tuple(options.to)
    asked = {"options": _mail_options(options), "rcpt_options": dict.fromkeys(recipients, _rcpt_options(options))}
    envelope = Envelope.of(options.sender, recipients, content, **asked)
    domain = options.host or recipients[0].rpartition("@")[2]
    places = _places(options, domain, by_mx=not options.host)
    found = asyncio.run(
        send(places, _login(options, places), envelope, content, port=_port(options), implicit_tls=options.tls)
    )
    delivered, why = found
    if delivered is None:
        _tell({"problem": why}, why, options.json)
        return LATER
    text = delivered.explain() if options.explain else "\n".join(f"{to}: {r}" for to, r in delivered.replies.items())
    _tell(delivered.to_dict(), text, options.json)
    replies = delivered.replies.values()
    return GOOD if all(r.good for r in replies) else BAD if any(r.permanent for r in replies) else LATER


def _login(options: argparse.Namespace, places: list[tuple[str, list[str]]]) -> ClientConfig:
    from dataclasses import replace

    import mox_sasl
    from mox_smtp.trust import ENCRYPTED, OPPORTUNISTIC, Pkix, Trust

    trust: Trust = ENCRYPTED if options.trust == "encrypted" else OPPORTUNISTIC
    if options.trust == "verified":
        trust = Pkix(tuple(name for name, _ in places), options.roots)
    config = replace(_config(options), trust=trust, chunking=not options.no_chunking)
    if not options.user:
        return config
    if PASSWORD not in os.environ:
        raise ValueError(f"--user needs the password in the variable {PASSWORD}")
    credentials = mox_sasl.Credentials(options.user, mox_sasl.Secret(os.environ[PASSWORD]))
    return replace(config, auth=credentials, auth_in_clear=options.plaintext_login)


def _mail_options(options: argparse.Namespace) -> MailOptions:
    from mox_smtp.parameters import MailOptions, Parameters, xtext

    asked: dict[str, str | None] = {}
    if options.ret:
        asked["RET"] = options.ret
    if options.envid:
        asked["ENVID"] = xtext(options.envid)
    if options.requiretls:
        asked["REQUIRETLS"] = None
    return MailOptions.read(Parameters(asked))


def _rcpt_options(options: argparse.Namespace) -> RcptOptions:
    from mox_smtp.parameters import Parameters, RcptOptions

    return RcptOptions.read(Parameters({"NOTIFY": options.notify} if options.notify else {}))


def _serve_sink(options: argparse.Namespace) -> int:
    from mox_smtp.aio.tools import SinkOptions, serve_sink

    host, _, port = options.listen.rpartition(":")
    if not port.isdigit() or not host:
        raise ValueError("--listen is ADDRESS:PORT, for example 127.0.0.1:2525")
    if options.user and PASSWORD not in os.environ:
        raise ValueError(f"--user needs the password in the variable {PASSWORD}")
    if (options.certificate is None) != (options.key is None) or (options.tls and options.certificate is None):
        raise ValueError("TLS needs --certificate and --key")
    sink = SinkOptions(
        options.directory, frozenset(name.lower() for name in options.refuse), options.lmtp, options.certificate,
        options.key, options.tls, options.user, os.environ.get(PASSWORD, ""),
        tuple(map(ip_network, options.proxy_from)), options.size,
    )  # fmt: skip

    def tell(facts: dict[str, Any]) -> None:
        to = ", ".join(one["path"] for one in facts["to"])
        text = f"{facts['number']}: <{facts['from']}> to {to}, {facts['size']} octets, from {facts['peer']}"
        print(json.dumps(facts) if options.json else _shown(text), flush=True)

    def ready(address: str, port: int) -> None:
        print(json.dumps({"listening": [address, port]}) if options.json else f"listening on {address} port {port}")
        sys.stdout.flush()

    asyncio.run(serve_sink(host.strip("[]"), int(port), sink, tell, ready))
    return GOOD


if __name__ == "__main__":
    sys.exit(main())

"""`moxd sendmail`: what programs expect under that name.  Reads a message, hands it to a submission server.

Also under the name sendmail itself: link /usr/sbin/sendmail to moxd."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    import mox_smtp

# sysexits.h
USAGE, DATA, NO_HOST, TRY_LATER, NO_PERMISSION, BAD_CONFIG = 64, 65, 68, 75, 77, 78
MAX_MESSAGE = 200 * 1024 * 1024
MAX_HEADER = 1024 * 1024
KEYS = {"host", "port", "security", "username", "password", "password_file", "from", "ca"}
PORTS = {"tls": 465, "starttls": 587, "none": 25}


class SendmailError(Exception):
    """It cannot be sent: `status` is the exit status."""

    def __init__(self, text: str, status: int) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Server:
    """sendmail.toml: whom to hand mail to."""

    host: str
    port: int
    security: str
    username: str
    password: str
    sender: str
    ca: str


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the command to the parser."""
    one = commands.add_parser(
        "sendmail",
        help="hand a message to a mail server, as programs expect of sendmail",
        description="Reads a message from standard input and submits it.  Settings: --settings FILE, MOXD_SENDMAIL, "
        "~/.config/moxd/sendmail.toml or /etc/moxd/sendmail.toml, with host, port, security (tls, starttls, none), "
        "username, password or password_file, from, ca.  Exit status as sysexits.h: 75 try later, 65 refused, "
        "64 usage, 78 settings.",
    )
    one.add_argument("recipient", nargs="*")
    one.add_argument(
        "-t", action="store_true", dest="read", help="recipients are those of To, Cc and Bcc; Bcc is removed"
    )
    one.add_argument("-f", "-r", dest="sender", help="the reverse-path (default: `from` of the settings)")
    one.add_argument("-F", dest="name", help="the sender's full name, if From is missing")
    one.add_argument("-i", action="store_true", help="a line with a single dot does not end the message (always so)")
    one.add_argument("-o", action="append", default=[], help="ignored")
    for ignored in ("-b", "-B", "-N", "-R", "-V", "-L", "-O", "-q"):
        one.add_argument(ignored, help=argparse.SUPPRESS)
    one.add_argument("-v", action="store_true", help="print the conversation")
    one.add_argument("--settings", type=Path, metavar="FILE", help="where to submit, and as whom (see above)")
    one.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        return send(options, sys.stdin.buffer)
    except SendmailError as error:
        print(f"sendmail: {error}", file=sys.stderr)
        return error.status


def settings(path: Path | None) -> Server:
    """The settings.  Raises SendmailError that says which file, what and what to do."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    named = path or (Path(os.environ["MOXD_SENDMAIL"]) if os.environ.get("MOXD_SENDMAIL") else None)
    places = [named] if named else [home / "moxd" / "sendmail.toml", Path("/etc/moxd/sendmail.toml")]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise SendmailError(f"no settings: write host, username and password to {places[0]}", BAD_CONFIG)
    try:
        values = tomllib.loads(found.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SendmailError(f"{found}: {error}", BAD_CONFIG) from None
    return _server(found, values)


def _server(place: Path, values: dict[str, Any]) -> Server:
    unknown = ", ".join(sorted(set(values) - KEYS))
    if unknown:
        raise SendmailError(f"{place}: there is no setting {unknown}; there are {', '.join(sorted(KEYS))}", BAD_CONFIG)
    security = values.get("security", "tls")
    if security not in PORTS:
        raise SendmailError(f"{place}: security is tls, starttls or none", BAD_CONFIG)
    if not isinstance(values.get("host"), str):
        raise SendmailError(f"{place}: host is missing: the name of the server to hand mail to", BAD_CONFIG)
    password = values.get("password", "")
    if values.get("password_file"):
        try:
            password = (place.parent / values["password_file"]).read_text("utf-8").rstrip("\n")
        except OSError as error:
            raise SendmailError(f"{place}: password_file: {error}", BAD_CONFIG) from None
    username = str(values.get("username", ""))
    port = values.get("port", PORTS[security])
    if not isinstance(port, int):
        raise SendmailError(f"{place}: port is a number", BAD_CONFIG)
    sender = str(values.get("from", username if "@" in username else ""))
    return Server(values["host"], port, security, username, str(password), sender, str(values.get("ca", "")))


def send(options: argparse.Namespace, source: BinaryIO) -> int:
    """Reads, completes, submits; 0.  Raises SendmailError."""
    import asyncio

    server = settings(options.settings)
    message = source.read(MAX_MESSAGE + 1)
    if len(message) > MAX_MESSAGE:
        raise SendmailError(f"the message is larger than {MAX_MESSAGE >> 20} MB", DATA)
    message = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    message, found = completed(message, options.read, options.sender or server.sender, options.name or "")
    recipients = tuple(dict.fromkeys([*options.recipient, *found]))
    if not recipients:
        raise SendmailError("no recipients: name them, or use -t", USAGE)
    sender = options.sender if options.sender is not None else server.sender
    return asyncio.run(_submit(server, sender.strip("<>"), recipients, message, options.v))


def completed(message: bytes, read: bool, sender: str, name: str) -> tuple[bytes, Sequence[str]]:
    """(the message with the fields that it lacks and, with `read`, without Bcc; the recipients that its fields
    name)."""
    import mox_message
    from mox_message.compose import fold

    fields = mox_message.Fields.parse(message[:MAX_HEADER])
    recipients: list[str] = []
    if read:
        for field in ("to", "cc", "bcc"):
            for one in fields.all(field):
                recipients += _mailboxes(one.text)
        kept = b"".join([field.raw for field in fields if field.name != "bcc"])
        message = kept + message[fields.end :]
    if fields.first("from") is None and sender:
        shown = f'"{name}" <{sender}>' if name else sender
        message = fold("From", shown) + (message if len(fields) else b"\r\n" + message.removeprefix(b"\r\n"))
    return message, recipients


def _mailboxes(text: str) -> list[str]:
    import mox_message

    return [str(one.address) for one in mox_message.addresses(text).mailboxes if one.address is not None]


async def _submit(server: Server, sender: str, recipients: tuple[str, ...], message: bytes, verbose: bool) -> int:
    import secrets
    import socket

    import mox_sasl
    from mox_message import Content
    from mox_smtp import CLEAR, Pkix
    from mox_smtp.aio import ConnectError, connect
    from mox_smtp.client import ClientConfig, Envelope, TlsFailed, Trouble

    credentials = mox_sasl.Credentials(server.username, mox_sasl.Secret(server.password)) if server.username else None
    trust = CLEAR if server.security == "none" else Pkix((server.host,), server.ca)
    config = ClientConfig(
        socket.gethostname() or "localhost", trust=trust, auth=credentials, nonce=secrets.token_urlsafe(18)
    )
    try:
        listed = await _resolve(server)
        connection = await connect(listed, server.host, config, port=server.port, implicit_tls=server.security == "tls")
    except (ConnectError, TlsFailed) as error:
        raise SendmailError(str(error), TRY_LATER) from None
    except Trouble as trouble:
        status = TRY_LATER if trouble.reply.temporary else NO_PERMISSION
        raise SendmailError(f"{server.host} does not let us in: {trouble}", status) from None
    async with connection:
        eightbit, utf8 = not message.isascii(), not all(map(str.isascii, (sender, *recipients)))
        delivered = await connection.deliver(Envelope(sender, recipients, utf8, eightbit), Content.of(message))
        await connection.quit()
    if verbose:
        print("\n".join(delivered.transcript))
    return _told(delivered.replies)


async def _resolve(server: Server) -> list[str]:
    import asyncio
    import socket

    try:
        found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SendmailError(f"{server.host}: {error.strerror or error}", TRY_LATER) from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _told(replies: Any) -> int:
    worst = 0
    refused: dict[str, mox_smtp.Reply] = {one: reply for one, reply in replies.items() if not reply.good}
    for recipient, reply in refused.items():
        print(f"sendmail: {recipient}: {reply}", file=sys.stderr)
        worst = DATA if not reply.temporary or worst == DATA else TRY_LATER
    return worst

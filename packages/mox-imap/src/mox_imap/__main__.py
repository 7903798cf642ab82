"""The command line: python -m mox_imap parse | serve-demo | structure | look."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

GOOD, BAD, USAGE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code: 0 good, 1 not, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (OSError, ValueError) as error:
        print(f"mox_imap: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return GOOD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_imap", description="IMAP4rev2 (RFC 9051) and rev1.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    parse = commands.add_parser(
        "parse", help="read one client command; 0 if its grammar is right, 1 with the place if not"
    )
    parse.add_argument("text", help=r"such as 'a UID FETCH 1:* (FLAGS BODY[1])'; \r and \n stand for themselves")
    parse.add_argument("--json", action="store_true", help="for scripts")
    parse.set_defaults(run=_parse)

    demo = commands.add_parser("serve-demo", help="serve a mailbox in memory, in the clear; not for real mail")
    demo.add_argument("--host", default="127.0.0.1")
    demo.add_argument("--port", type=int, default=1143, help="0: any (default 1143)")
    demo.add_argument("--user", default="demo")
    demo.add_argument("--password", default="demo")
    demo.add_argument("message", nargs="*", help="files with one message each, for the Inbox")
    demo.set_defaults(run=_serve_demo)

    structure = commands.add_parser("structure", help="ENVELOPE, BODY and BODYSTRUCTURE of a message")
    structure.add_argument("message", nargs="?", default="-", help="a file, or - for standard input")
    structure.set_defaults(run=_structure)

    look = commands.add_parser("look", help="log in to a server: what it can do, its mailboxes, what is in them")
    look.add_argument("host")
    look.add_argument("--port", type=int, help="default 993, or 143 with --starttls or --plain")
    look.add_argument("--user", required=True)
    look.add_argument("--password-file", help="its first line; default: asked for")
    how = look.add_mutually_exclusive_group()
    how.add_argument("--starttls", action="store_true")
    how.add_argument("--plain", action="store_true", help="no TLS; for this machine only")
    look.add_argument("--cafile", help="the authority to trust instead of the system's")
    look.add_argument("--json", action="store_true", help="for scripts")
    look.set_defaults(run=_look)
    return parser


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|~?\{(\d{1,9})\+?\}\r\n|[()]|[^ ()"\r\n]+')


def outline(data: bytes) -> list[Any]:
    """A command as nested lists of words, whatever they mean."""
    stack: list[list[Any]] = [[]]
    at = 0
    while (match := _TOKEN.search(data, at)) is not None:
        at = match.end()
        word = match[0]
        if word == b"(":
            stack[-1].append([])
            stack.append(stack[-1][-1])
        elif word == b")":
            if len(stack) > 1:
                stack.pop()
        elif match[1] is not None:
            stack[-1].append(data[at : at + int(match[1])].decode("utf-8", "backslashreplace"))
            at += int(match[1])
        else:
            stack[-1].append(word.decode("utf-8", "backslashreplace"))
    return stack[0]


def _parse(options: argparse.Namespace) -> int:
    from mox_imap import ImapConfig, ImapServer
    from mox_imap.memory import MemoryBackend

    data = options.text.replace("\\r", "\r").replace("\\n", "\n").encode("utf-8", "surrogateescape")
    words = outline(data)
    # The grammar is asked where it lives: a session in the state that takes the command, with a message to work on.
    backend = MemoryBackend()
    backend.add("demo", "demo").deliver("Inbox", b"Subject: hello\r\n\r\nHello.\r\n")
    session = ImapServer(
        ImapConfig(plaintext_login=True, modseqs=True, starttls=True), backend, now=0.0, clock=lambda: 0.0
    )
    name = next((word.upper() for word in words[1:3] if isinstance(word, str) and word.upper() != "UID"), "")
    if name not in ("LOGIN", "AUTHENTICATE", "STARTTLS"):
        session.receive(b"x LOGIN demo demo\r\nx ENABLE QRESYNC\r\nx SELECT Inbox\r\n", 0.0)
        session.run()
    session.outgoing()
    session.receive(data.removesuffix(b"\r\n") + b"\r\n", 0.0)
    session.run()
    said = session.outgoing().decode("utf-8", "replace")
    wrong = re.search(r"^\S+ BAD (.*?)(?: \(octet (\d+)\))?\r$", said, re.MULTILINE)
    if options.json:
        found = {
            "tag": words[0] if words else "",
            "command": name,
            "words": words,
            "error": wrong[1] if wrong else None,
        }
        print(json.dumps({**found, "octet": int(wrong[2]) if wrong and wrong[2] else None}))
    elif wrong is not None:
        print(f"{wrong[1]}\n    {options.text}")
        if wrong[2]:
            print("    " + " " * (int(wrong[2]) - 1) + "^")
    else:
        print(f"tag      {words[0]}\ncommand  {name}")
        for word in words[2:]:
            print(f"         {word}")
    return BAD if wrong is not None else GOOD


SAMPLE = b"""From: Mox <mox@example.org>\r
To: You <you@example.org>\r
Subject: Welcome to the demonstration\r
Date: Tue, 14 Nov 2023 22:13:20 +0000\r
Message-ID: <welcome@example.org>\r
\r
This mailbox lives in memory, and is gone when the server ends.\r
"""


def _serve_demo(options: argparse.Namespace) -> int:
    import secrets
    import signal
    import socket
    import time

    from mox_imap import ImapConfig, aio

    # Also where a shell has started us in the background, with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from mox_imap.memory import MemoryBackend

    backend = MemoryBackend(clock=time.time, nonce=lambda: secrets.token_urlsafe(18))
    account = backend.add(options.user, options.password)
    for name, use in (("Sent", "\\Sent"), ("Trash", "\\Trash"), ("Drafts", "\\Drafts")):
        account.create(name, use)
    for data in [Path(path).read_bytes() for path in options.message] or [SAMPLE]:
        account.deliver("Inbox", re.sub(rb"\r?\n", b"\r\n", data))
    with socket.create_server((options.host, options.port)) as sock:
        host, port = sock.getsockname()[:2]
        print(
            f"imap://{options.user}@{host}:{port}/  password {options.password}  (in the clear; Ctrl-C ends)",
            flush=True,
        )
        aio.run(backend, sock, ImapConfig(plaintext_login=True, modseqs=True))
    return GOOD


def _structure(options: argparse.Namespace) -> int:
    from mox_imap import structure
    from mox_message import Content, parse

    data = sys.stdin.buffer.read() if options.message == "-" else Path(options.message).read_bytes()
    part = parse(Content.of(data))
    extended = structure.bodystructure(part)
    for name, value in (
        (b"ENVELOPE", structure.envelope(part)),
        (b"BODY", structure.short(extended)),
        (b"BODYSTRUCTURE", extended),
    ):
        sys.stdout.buffer.write(name + b" " + value + b"\n")
    sys.stdout.buffer.flush()
    return GOOD


ITEMS = ("MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY")


def _look(options: argparse.Namespace) -> int:
    import asyncio
    import getpass

    from mox_imap.aio import ImapDisconnected, ImapError
    from mox_sasl import ExchangeError

    if options.password_file:
        password = Path(options.password_file).read_text("utf-8").split("\n", 1)[0]
    else:
        password = getpass.getpass(f"Password of {options.user} at {options.host}: ")
    try:
        found = asyncio.run(_looked(options, password))
    except (ImapError, ImapDisconnected, ExchangeError) as error:
        print(f"mox_imap: {options.host} says: {error}", file=sys.stderr)
        return BAD
    if options.json:
        print(json.dumps(found))
        return GOOD
    print(" ".join(found["capabilities"]))
    for one in found["mailboxes"]:
        counts = "  ".join(f"{name.lower()} {value}" for name, value in one["status"].items())
        print(f"{one['name']:30} {' '.join(one['attributes'])}  {counts}".rstrip())
    return GOOD


async def _looked(options: argparse.Namespace, password: str) -> dict[str, Any]:
    import ssl

    from mox_imap.aio import connect

    tls = None if options.plain else ssl.create_default_context(cafile=options.cafile)
    port = options.port or (143 if options.plain or options.starttls else 993)
    async with await connect(options.host, port, tls=tls, starttls=options.starttls) as client:
        await client.login(options.user, password, in_the_clear=options.plain)
        mailboxes = []
        for one in await client.mailboxes():
            closed = {"\\NOSELECT", "\\NONEXISTENT"} & {word.upper() for word in one.attributes}
            status = {} if closed else await client.status(one.name, *ITEMS)
            mailboxes.append({"name": one.name, "attributes": one.attributes, "status": status})
        return {"capabilities": sorted(await client.capabilities()), "mailboxes": mailboxes}


if __name__ == "__main__":
    raise SystemExit(main())

"""`moxd account …`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moxd.cli import config as config_cli

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    account = commands.add_parser("account", help="look after accounts")
    actions = account.add_subparsers(metavar="ACTION", required=True)
    password = actions.add_parser(
        "password", help="set an account's password (read from standard input, or made up with --generate)"
    )
    password.add_argument("name", help="the account's name in domains.toml")
    password.add_argument("--generate", action="store_true", help="make one up and print it")
    config_cli.option(password)
    password.set_defaults(run=_password)
    listing = actions.add_parser("list", help="the accounts, their addresses, messages and sizes")
    listing.add_argument("--json", action="store_true")
    config_cli.option(listing)
    listing.set_defaults(run=_list)


def _password(options: argparse.Namespace) -> int:
    import getpass
    import secrets
    import time

    import mox_store
    from moxd.cli.serve import StartError, disk_sentence
    from moxd.config import read_config
    from moxd.login import generate_password, make_credentials
    from moxd.neighbours import Neighbours

    config = read_config(options.config)
    if options.name not in config.domains.accounts:
        known = ", ".join(config.domains.accounts) or "none"
        raise StartError(f"there is no account {options.name!r} in domains.toml; there is: {known}")
    if options.generate:
        password = generate_password(secrets.choice)
    elif sys.stdin.isatty():
        password = getpass.getpass("new password: ")
        if getpass.getpass("once more: ") != password:
            raise StartError("the two differ; nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < 8:
        raise StartError("a password has at least 8 characters; nothing was changed")
    try:
        credentials = make_credentials(password, secrets.token_bytes(16))
    except ValueError as error:
        raise StartError(f"this cannot be a password: {error}; nothing was changed") from None
    try:
        neighbours = Neighbours(config.data / "run")
        store = mox_store.Store(config.data / "accounts", clock=time.time, notify=neighbours.tell)
        try:
            with store.open(options.name).write() as tx:
                tx.set_credential("password", credentials.to_text())
        finally:
            store.close()
            neighbours.close()
        as_owner(config.data)
    except (OSError, mox_store.StoreError) as error:
        raise StartError(disk_sentence(error, config.data)) from error
    if options.generate:
        print(f"password: {password}")
    else:
        print(f"password of {options.name} is set", file=sys.stderr)
    return 0


def as_owner(data: Path) -> None:
    """As root, what we made belongs to whoever owns the data folder."""
    import os

    if os.geteuid() != 0:
        return
    owner = data.stat()
    for path in data.rglob("*"):
        if path.lstat().st_uid != owner.st_uid:
            os.lchown(path, owner.st_uid, owner.st_gid)


def _list(options: argparse.Namespace) -> int:
    import json
    import time

    import mox_store
    from moxd.config import read_config

    config = read_config(options.config)
    store = mox_store.Store(config.data / "accounts", clock=time.time)
    rows: list[dict[str, Any]] = []
    try:
        have = set(store.names())
        for name, settings in config.domains.accounts.items():
            boxes = store.open(name).mailboxes() if name in have else []
            rows.append(
                {
                    "account": name,
                    "addresses": list(settings.addresses),
                    "messages": sum(box.total for box in boxes),
                    "bytes": sum(box.size for box in boxes),
                    "password": name in have and store.open(name).credential("password") is not None,
                }
            )
    finally:
        store.close()
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        note = "" if row["password"] else "   (no password yet: moxd account password)"
        counts = f"{row['messages']:>8} messages {row['bytes']:>12} bytes"
        print(f"{row['account']:<20} {counts}  {', '.join(row['addresses'])}{note}")
    return 0

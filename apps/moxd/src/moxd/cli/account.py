"""`moxd account …`"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moxd.cli import config as config_cli
from moxd.cli import share

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    import mox_store


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
    apps = actions.add_parser("app-password", help="passwords for single programs: made up, shown once, removed alone")
    ways = apps.add_subparsers(metavar="ACTION", required=True)
    adding = ways.add_parser("add", help="make one up and print it")
    adding.add_argument("name", help="the account")
    adding.add_argument("label", help="what it is for: phone, laptop …")
    adding.add_argument(
        "--for",
        dest="scopes",
        action="append",
        choices=("imap", "submission"),
        default=[],
        help="good for this only (may be repeated; default: for everything)",
    )
    adding.add_argument("--days", type=float, help="good for so many days (default: until it is removed)")
    removing = ways.add_parser("remove", help="the program that has it is locked out")
    removing.add_argument("name", help="the account")
    removing.add_argument("label")
    showing = ways.add_parser("list", help="labels, and when each was used last")
    showing.add_argument("name", help="the account")
    share.add(actions)
    logins = actions.add_parser("logins", help="who logged in, or tried to, from where and how")
    logins.add_argument("name", help="the account")
    for one, run in ((adding, _add_app), (removing, _remove_app), (showing, _list_apps), (logins, _logins)):
        one.add_argument("--json", action="store_true")
        config_cli.option(one)
        one.set_defaults(run=run)


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[mox_store.Account]:
    """The account that is named.  Raises StartError."""
    import time

    import mox_store
    from moxd.cli.serve import StartError, disk_sentence
    from moxd.config import read_config
    from moxd.neighbours import Neighbours

    config = read_config(options.config)
    if options.name not in config.domains.accounts:
        known = ", ".join(config.domains.accounts) or "none"
        raise StartError(f"there is no account {options.name!r} in domains.toml; there is: {known}")
    try:
        neighbours = Neighbours(config.data / "run")
        store = mox_store.Store(config.data / "accounts", clock=time.time, notify=neighbours.tell)
        try:
            yield store.open(options.name)
        finally:
            store.close()
            neighbours.close()
        as_owner(config.data)
    except (OSError, mox_store.StoreError) as error:
        raise StartError(disk_sentence(error, config.data)) from error


def _add_app(options: argparse.Namespace) -> int:
    import json
    import secrets

    from mox_store import MailboxError
    from moxd.cli.serve import StartError
    from moxd.login import app_verifier, generate_app_password

    password = generate_app_password(secrets.choice)
    with _opened(options) as account:
        expires = account.now() + options.days * 86400 if options.days is not None else None
        try:
            with account.write() as tx:
                tx.people.add_app_password(
                    options.label, app_verifier(password), scopes=tuple(options.scopes), expires=expires
                )
        except MailboxError as error:
            raise StartError(f"{error}; remove it first, or choose another label") from error
    row = {"account": options.name, "label": options.label, "password": password}
    print(json.dumps(row) if options.json else f"app password: {password}\nIt is not shown again.")
    return 0


def _remove_app(options: argparse.Namespace) -> int:
    from moxd.cli.serve import StartError

    with _opened(options) as account:
        found = next((one for one in account.people.app_passwords() if one.name == options.label), None)
        if found is None:
            raise StartError(f"{options.name} has no app password {options.label!r}")
        with account.write() as tx:
            tx.people.remove_app_password(found.id)
    return 0


def _app_row(one: mox_store.AppPassword) -> dict[str, Any]:
    row = asdict(one)
    del row["verifier"], row["id"]
    return row


def _list_apps(options: argparse.Namespace) -> int:
    with _opened(options) as account:
        rows = [_app_row(one) for one in account.people.app_passwords()]
    _table(
        options,
        rows,
        lambda row: (
            f"{row['name']:<20} for {', '.join(row['scopes']) or 'everything':<18} made {_when(row['created'])}"
            f"  used {_when(row['used'])}" + (f"  until {_when(row['expires'])}" if row["expires"] else "")
        ),
    )
    return 0


def _logins(options: argparse.Namespace) -> int:
    with _opened(options) as account:
        rows = [asdict(one) for one in account.people.login_attempts()]
    _table(
        options,
        rows,
        lambda row: (
            f"{_when(row['last'])}  {row['result']:<8} {row['protocol']:<11} {row['mechanism']:<20} {row['ip']:<39}"
            f" {row['times']} times since {_when(row['first'])}"
        ),
    )
    return 0


def _table(options: argparse.Namespace, rows: Sequence[dict[str, Any]], line: Callable[[dict[str, Any]], str]) -> None:
    import json

    if options.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(line(row))


def _when(seconds: float | None) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "never"


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

"""`moxd store …`: the command line of mox-store for the accounts of a configuration, and mail from other servers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moxd.cli import message as message_cli

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    import mox_store
    from moxd.pull import Place, Pull, Remote

# Those that name no store: a backup is enough.
_WITHOUT_STORE = ("verify",)
_HELP = """\
usage: moxd store COMMAND … [--config DIR | --data DIR]

The accounts are those of the configuration, so that STORE is not named.  The server may run meanwhile.

  check [ACCOUNT …]            walk every invariant, say what is wrong and what mends it (--mend, --quick)
  stat [ACCOUNT …]             what accounts hold
  import ACCOUNT PATH          mail of mbox files, maildirs, or zip, tar, tgz of them
  import ACCOUNT imaps://user@host/   mail of another server (imap:// is STARTTLS; a pattern of mailboxes may follow)
  export ACCOUNT FOLDER        as maildir or mbox, or in a .zip or .tgz
  bin ACCOUNT                  what was expunged and can be brought back
  undelete ACCOUNT MESSAGE …   bring it back
  backup BACKUP                all accounts, only what is new is written (--keep N)
  verify BACKUP                read a whole backup and compare (--deep: restore it for a trial)
  restore BACKUP [ACCOUNT …]   accounts that are not there, from a backup

more about one: moxd store COMMAND --help"""


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser, for its help."""
    commands.add_parser("store", help="check, import, export, undelete and back up the mail of accounts")


def run(arguments: Sequence[str]) -> int:
    """Runs a command; the exit status."""
    from importlib import import_module

    from moxd.cli.account import as_owner
    from moxd.neighbours import Neighbours

    places = argparse.ArgumentParser(add_help=False)
    message_cli.data_option(places)
    options, rest = places.parse_known_args(list(arguments))
    if not rest or rest[0] in ("-h", "--help"):
        print(_HELP)
        return 0 if rest else 64
    library = import_module("mox_store.__main__")
    command, *others = rest
    if command in _WITHOUT_STORE or {"-h", "--help"} & set(others):
        return int(library.main(rest))
    data = message_cli.data_folder(options)
    neighbours = Neighbours(data / "run")
    try:
        if command == "import" and any("://" in word for word in others):
            return _pull(data / "accounts", others, neighbours.tell)
        at = _after_backup(others) if command == "restore" else 0
        return int(library.main([command, *others[:at], str(data / "accounts"), *others[at:]], notify=neighbours.tell))
    finally:
        neighbours.close()
        as_owner(data)


def _after_backup(words: Sequence[str]) -> int:
    """Where STORE goes in `restore`: behind BACKUP, the first word that is no option and no value of one."""
    for at, word in enumerate(words):
        if not word.startswith("-") and (at == 0 or words[at - 1] != "--generation"):
            return at + 1
    return len(words)


# -- mail of another server


def _parser() -> ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moxd store import",
        description="Takes mail from another server by IMAP; goes on where it was stopped, takes nothing twice.",
    )
    parser.add_argument("account", metavar="ACCOUNT")
    parser.add_argument("url", metavar="URL", help="imaps://user@host/, imap://user@host/Archive/* …")
    parser.add_argument("--password-file", type=Path, help="with the password there (default: $MOXD_PULL_PASSWORD)")
    parser.add_argument("--ca", type=Path, help="PEM file of CAs to trust instead of the system's")
    parser.add_argument("--flag", action="append", default=[], help="give every message this flag, as $Junk or \\Seen")
    parser.add_argument("--again", action="store_true", help="begin anew; what is there already is found as duplicate")
    parser.add_argument("--dry-run", action="store_true", help="only say which mailboxes there are")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _pull(accounts: Path, words: Sequence[str], notify: Callable[[str, int], None]) -> int:
    import ssl

    from moxd.cli.serve import StartError
    from moxd.pull import Place, Pull, PullError

    options = _parser().parse_args(list(words))
    try:
        place = Place.parse(options.url)
        context = ssl.create_default_context(cafile=options.ca)
        with Pull(place, _password(options, place), context) as pull:
            remotes = pull.mailboxes()
            if options.dry_run:
                for one in remotes:
                    row = {"there": one.there, "here": one.here, "special": one.special}
                    print(json.dumps(row) if options.json else f"{one.there} -> {one.here} {one.special}".rstrip())
                return 0
            return _take(accounts, options, pull, remotes, notify)
    except (PullError, OSError) as error:
        raise StartError(str(error)) from error


def _password(options: argparse.Namespace, place: Place) -> str:
    import getpass
    import os

    from moxd.pull import PullError

    if options.password_file is not None:
        text: str = options.password_file.read_text()
        return text.rstrip("\r\n")
    if (given := os.environ.get("MOXD_PULL_PASSWORD")) is not None:
        return given
    if not sys.stdin.isatty():
        raise PullError("no password: give --password-file FILE or $MOXD_PULL_PASSWORD")
    return getpass.getpass(f"password of {place}: ")


def _take(
    accounts: Path,
    options: argparse.Namespace,
    pull: Pull,
    remotes: Sequence[Remote],
    notify: Callable[[str, int], None],
) -> int:
    import time

    import mox_store
    from moxd import deliver
    from moxd.cli.serve import StartError

    store = mox_store.Store(accounts, clock=time.time, notify=notify)
    if options.account not in store.names():
        store.close()
        raise StartError(f"there is no account {options.account!r}; there is: {', '.join(store.names()) or 'none'}")
    account = store.open(options.account)

    def progress(one: mox_store.importing.Imported) -> None:
        if sys.stderr.isatty():
            print(f"\r{one.mailbox}: {one.taken} taken, {one.skipped} duplicates", end="", file=sys.stderr, flush=True)

    try:
        for remote in remotes:
            _make(account, remote)
            source = pull.source(remote)
            if options.again:
                mox_store.importing.forget(account, source)
            done = mox_store.importing.run(
                account, source, make_traits=deliver.remade, flags=tuple(options.flag), progress=progress
            )
            if sys.stderr.isatty():
                print(file=sys.stderr)
            said = f"{done.mailbox}: {done.taken} taken, {done.skipped} duplicates, {done.source}"
            print(json.dumps(done.to_dict()) if options.json else said, flush=True)
    except mox_store.MailboxError as error:
        raise StartError(f"{error}; what was taken stays") from error
    finally:
        store.close()
    return 0


def _make(account: mox_store.Account, remote: Remote) -> None:
    """The mailbox, with its special use where no other has it, and its subscription."""
    from mox_store import MailboxError

    if account.mailbox(remote.here) is not None:
        return
    taken = {one.special.lower() for one in account.mailboxes() if one.special}
    with account.write() as tx:
        try:
            tx.create(remote.here, "" if remote.special.lower() in taken else remote.special)
        except MailboxError:  # a special use that we do not have
            tx.create(remote.here)
        if not remote.subscribed:
            tx.subscribe(remote.here, False)

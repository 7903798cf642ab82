"""`python -m mox_store …`: look at accounts, mend them, take mail in and out, back them up."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mox_store import check, exporting, importing
from mox_store.account import Account, Store
from mox_store.backup import Backup, Outcome
from mox_store.disk import StoreError
from mox_store.mailbox import MailboxError

# sysexits(3), where there is one that fits.
FINE, PROBLEMS, USAGE, NO_INPUT, CANNOT_CREATE = 0, 1, 64, 66, 73


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m mox_store",
        description="Accounts of mail: a folder (STORE) with one folder for each account.",
        epilog="Exit status: 0 fine, 1 problems were found, 64 wrong usage, 66 not there, 73 cannot be written.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, help: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        one.add_argument("--json", action="store_true", help="print JSON")
        one.set_defaults(run=run)
        return one

    one = command("check", "walk every invariant of accounts and say what is wrong and what mends it", _check)
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", nargs="*", metavar="ACCOUNT", help="default: all")
    one.add_argument("--mend", action="store_true", help="repair what can be worked out from the rest")
    one.add_argument("--quick", action="store_true", help="do not read large messages for their checksums")
    one = command("stat", "say what accounts hold", _stat)
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", nargs="*", metavar="ACCOUNT", help="default: all")
    one = command(
        "export",
        "write an account's mail as maildir or mbox, or both in a zip or tgz; goes on where it was stopped",
        _export,
    )
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", metavar="ACCOUNT")
    one.add_argument("folder", type=Path, metavar="FOLDER", help="or a file.zip, file.tar, file.tgz")
    one.add_argument("--format", choices=("maildir", "mbox"), default="maildir")
    one.add_argument("--mailbox", action="append", default=[], help="only this one (may be repeated)")
    one = command(
        "import", "take mail from mbox files, maildirs, or zip, tar, tgz of them; goes on where it was stopped", _import
    )
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", metavar="ACCOUNT")
    one.add_argument("path", type=Path, metavar="PATH")
    one.add_argument("--mailbox", help="into this mailbox, whatever the file is called")
    one.add_argument("--flag", action="append", default=[], help="give every message this flag, as $Junk or \\Seen")
    one.add_argument("--again", action="store_true", help="begin anew; what is there already is found as duplicate")
    one = command("bin", "list what was expunged and can be brought back, the last to go first", _bin)
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", metavar="ACCOUNT")
    one.add_argument("--most", type=int, default=1000, help="so many (default 1000)")
    one = command("undelete", "bring expunged messages back to the mailboxes that had them last", _undelete)
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", metavar="ACCOUNT")
    one.add_argument("message", nargs="*", type=int, metavar="MESSAGE", help="numbers that `bin` shows")
    one.add_argument("--hours", type=float, help="instead: all that went within so many hours")
    one.add_argument("--from", dest="origin", metavar="MAILBOX", help="only what this mailbox had last")
    one.add_argument("--into", metavar="MAILBOX", help="all into this mailbox")
    one = command("backup", "back up all accounts, while they are in use; only what is new is written", _backup)
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("backup", type=Path, metavar="BACKUP")
    one.add_argument("--keep", type=int, help="then forget all but so many generations")
    one = command("restore", "write accounts from a backup to where they are not yet", _restore)
    one.add_argument("backup", type=Path, metavar="BACKUP")
    one.add_argument("store", type=Path, metavar="STORE")
    one.add_argument("account", nargs="*", metavar="ACCOUNT", help="default: all")
    one.add_argument("--generation", help="default: the newest")
    one.add_argument(
        "--keep-uidvalidity", action="store_true", help="no mail came since the backup: clients need not read anew"
    )
    one = command("verify", "read a whole backup and compare; with --deep also restore it for a trial", _verify)
    one.add_argument("backup", type=Path, metavar="BACKUP")
    one.add_argument("--generation", help="default: the newest")
    one.add_argument("--deep", action="store_true")
    return top


def _opened(options: argparse.Namespace, *, make: bool = False) -> tuple[Store, list[str]]:
    """The store and the names that are meant.  Raises StoreError."""
    folder: Path = options.store
    wanted = [options.account] if isinstance(options.account, str) else options.account
    if not make and not folder.is_dir():
        raise StoreError(f"{folder} is not there")
    store = Store(folder, clock=time.time, notify=options.notify)
    missing = [name for name in wanted if name not in store.names()]
    if missing and not make:
        raise StoreError(f"{folder} has no account {missing[0]!r}; it has {', '.join(store.names()) or 'none'}")
    return store, wanted or store.names()


def _say(options: argparse.Namespace, value: object, text: str) -> None:
    print(json.dumps(value) if options.json else text, flush=True)


def _check(options: argparse.Namespace) -> int:
    store, names = _opened(options)
    clean = True
    for name in names:
        account = store.open(name)
        report = check.mend(account) if options.mend else check.check(account, contents=not options.quick)
        clean = clean and report.clean
        _say(options, report.to_dict(), report.explain())
    store.close()
    return FINE if clean else PROBLEMS


def _stat(options: argparse.Namespace) -> int:
    store, names = _opened(options)
    for name in names:
        account = store.open(name)
        _say(options, _facts(account), _table(account))
    store.close()
    return FINE


def _facts(account: Account) -> dict[str, object]:
    quota = account.quota()
    return {
        "account": account.name, "messages": quota.messages, "bytes": quota.size, "size limit": quota.size_limit,
        "message limit": quota.message_limit, "modseq": account.modseq(), "in the bin": len(account.bin()),
        "mailboxes": [
            {"name": one.name, "messages": one.total, "unseen": one.unseen, "bytes": one.size, "special": one.special}
            for one in account.mailboxes()
        ],
    }  # fmt: skip


def _table(account: Account) -> str:
    quota = account.quota()
    lines = [f"{account.name}: {quota.messages} messages, {quota.size} bytes, modseq {account.modseq()}"]
    for one in account.mailboxes():
        lines.append(
            f"  {one.name:<30} {one.total:>8} messages {one.unseen:>8} unseen {one.size:>14} bytes {one.special}"
        )
    return "\n".join(lines)


def _export(options: argparse.Namespace) -> int:
    store, (name,) = _opened(options)

    def progress(one: exporting.Exported) -> None:
        _say(options, one.to_dict(), f"{one.mailbox}: {one.messages} messages in {one.path}")

    exporting.run(store.open(name), options.folder, options.format, tuple(options.mailbox), progress)
    store.close()
    return FINE


def _import(options: argparse.Namespace) -> int:
    found = list(importing.sources(options.path, options.mailbox))
    store, (name,) = _opened(options, make=True)
    account = store.open(name)

    def progress(one: importing.Imported) -> None:
        if sys.stderr.isatty():
            print(f"\r{one.mailbox}: {one.taken} taken, {one.skipped} duplicates", end="", file=sys.stderr, flush=True)

    for source in found:
        if options.again:
            importing.forget(account, source)
        done = importing.run(account, source, flags=tuple(options.flag), progress=progress)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        _say(options, done.to_dict(), f"{done.mailbox}: {done.taken} taken, {done.skipped} duplicates, {done.source}")
    store.close()
    return FINE


def _bin(options: argparse.Namespace) -> int:
    store, (name,) = _opened(options)
    for one in store.open(name).bin(options.most):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.expunged))
        row = {
            "message": one.message, "mailbox": one.mailbox, "expunged": one.expunged, "bytes": one.size,
            "subject": one.subject, "flags": list(one.flags),
        }  # fmt: skip
        _say(options, row, f"{one.message:>8}  {when}  {one.mailbox:<20} {one.size:>10} bytes  {one.subject}")
    store.close()
    return FINE


def _undelete(options: argparse.Namespace) -> int:
    store, (name,) = _opened(options)
    account = store.open(name)
    wanted = set(options.message)
    if options.hours is not None:
        since = account.now() - options.hours * 3600
        wanted |= {one.message for one in account.bin(10_000_000) if one.expunged >= since}
    if options.origin is not None:
        wanted &= {one.message for one in account.bin(10_000_000) if one.mailbox == options.origin}
    with account.write() as tx:
        back = tx.undelete(wanted, options.into)
    names = {one.id: one.name for one in account.mailboxes()}
    for one in back:
        row = {"message": one.message, "mailbox": names.get(one.mailbox, ""), "uid": one.uid}
        _say(options, row, f"{one.message} is in {row['mailbox']} again, with UID {one.uid}")
    missing = wanted - {one.message for one in back}
    if missing:
        print(f"mox_store: not in the bin: {', '.join(map(str, sorted(missing)))}", file=sys.stderr)
    store.close()
    return PROBLEMS if missing else FINE


def _backup(options: argparse.Namespace) -> int:
    backup = Backup(options.backup)
    outcome = backup.take(options.store, time.time())
    if options.keep is not None:
        backup.prune(options.keep)
    return _outcome(options, outcome, f"generation {outcome.generation}: {outcome.written} new bytes")


def _restore(options: argparse.Namespace) -> int:
    outcome = Backup(options.backup).restore(
        options.store,
        time.time(),
        options.generation,
        tuple(options.account),
        keep_uidvalidity=options.keep_uidvalidity,
    )
    return _outcome(options, outcome, f"generation {outcome.generation}: {outcome.written} bytes restored")


def _verify(options: argparse.Namespace) -> int:
    outcome = Backup(options.backup).verify(options.generation, deep=options.deep)
    return _outcome(options, outcome, f"generation {outcome.generation}: {outcome.pieces} pieces read")


def _outcome(options: argparse.Namespace, outcome: Outcome, text: str) -> int:
    names = ", ".join(outcome.accounts)
    _say(options, outcome.to_dict(), "\n".join([f"{text} ({names})", *(f"  {one}" for one in outcome.problems)]))
    return PROBLEMS if outcome.problems else FINE


def main(
    arguments: Sequence[str] | None = None,
    *,
    notify: Callable[[str, int], None] | None = None,
) -> int:
    """Runs the command line; the exit status.  `notify` as in Store: whom to tell of changes."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:
        return USAGE if end.code else FINE
    options.notify = notify
    try:
        return int(options.run(options))
    except (StoreError, MailboxError) as error:
        print(f"mox_store: {error}", file=sys.stderr)
        return NO_INPUT if "not there" in str(error) or "has no" in str(error) else CANNOT_CREATE
    except OSError as error:
        print(f"mox_store: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return CANNOT_CREATE


if __name__ == "__main__":
    sys.exit(main())

"""`moxd account share`, `unshare`, `shares`: who else may do what in somebody's mailboxes (RFC 4314)"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from moxd.cli import config as config_cli

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    import mox_store
    from moxd.config import Config
    from moxd.shared import Others

T = TypeVar("T")
# What people mean, in letters.
WORDS = {"read": "lrs", "write": "lrswite", "all": "lrswipkxtea"}
_LETTERS = """\
RIGHTS are letters of RFC 4314: l see it listed, r read, s mark as read, w other flags, i add messages, p post,
k make mailboxes below, x delete or rename it, t mark as deleted, e expunge, a give rights;
or a word: read (lrs), write (lrswite), all.  What is given is exactly these."""


def add(actions: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to those of `moxd account`."""
    share = actions.add_parser(
        "share", help="let another account see a mailbox, or everybody", epilog=_LETTERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    unshare = actions.add_parser("unshare", help="take it back")
    shares = actions.add_parser("shares", help="what an account shares, and what others share with it")
    for one, run in ((share, _share), (unshare, _unshare), (shares, _shares)):
        one.add_argument("name", help="the account")
        if one is not shares:
            one.add_argument("mailbox", help="of the account: Inbox, Archive/2026 …")
            one.add_argument("who", help="an account, one of its addresses, or anyone")
        if one is share:
            one.add_argument("rights", help="read, write, all, or letters")
        one.add_argument("--json", action="store_true")
        config_cli.option(one)
        one.set_defaults(run=run)


def _run(options: argparse.Namespace, do: Callable[[Config, mox_store.Account, Others], Awaitable[T]]) -> T:
    """Does something with the account that is named.  Raises StartError."""
    import asyncio
    import time

    import mox_store
    from moxd.cli.account import as_owner
    from moxd.cli.serve import StartError, disk_sentence
    from moxd.config import read_config
    from moxd.directory import Directory
    from moxd.neighbours import Neighbours
    from moxd.shared import Others

    config = read_config(options.config)
    accounts = config.domains.accounts
    if options.name not in accounts:
        raise StartError(f"there is no account {options.name!r} in domains.toml; there is: {', '.join(accounts)}")
    directory = Directory(config.domains, config.static.postmaster, config.static.hostname)

    async def run() -> T:
        neighbours = Neighbours(config.data / "run")
        store = mox_store.Store(
            config.data / "accounts", clock=time.time, loop=asyncio.get_running_loop(), notify=neighbours.tell
        )
        try:
            others = Others(
                lambda name: store.open(name) if name in accounts else None, directory.login, lambda: accounts
            )
            return await do(config, store.open(options.name), others)
        finally:
            store.close()
            neighbours.close()

    try:
        result = asyncio.run(run())
        as_owner(config.data)
    except (OSError, mox_store.StoreError) as error:
        raise StartError(disk_sentence(error, config.data)) from error
    return result


def _share(options: argparse.Namespace) -> int:
    from moxd.cli.serve import StartError
    from moxd.shared import ALL

    rights = WORDS.get(options.rights, options.rights)
    if not rights or not set(rights) <= set(ALL):
        raise StartError(f"{options.rights!r} are no rights: {', '.join(WORDS)}, or letters of {ALL}")
    return _give(options, rights)


def _unshare(options: argparse.Namespace) -> int:
    return _give(options, "")


def _give(options: argparse.Namespace, rights: str) -> int:
    from moxd.cli.serve import StartError
    from moxd.shared import ANYONE, give, shown

    async def do(config: Config, account: mox_store.Account, others: Others) -> tuple[str, str]:
        mailbox = account.mailbox(options.mailbox)
        if mailbox is None:
            names = ", ".join(one.name for one in account.mailboxes())
            raise StartError(f"{options.name} has no mailbox {options.mailbox!r}; there is: {names}")
        who = ANYONE if options.who == ANYONE else others.login(options.who)
        if who is None or who == account.name:
            known = ", ".join(name for name in config.domains.accounts if name != account.name)
            raise StartError(f"{options.who!r} is nobody to share with; there is: {known or 'nobody'}, or anyone")
        await give(account, mailbox.id, who, "replace", rights, others)
        return who, mailbox.name

    import json

    who, mailbox = _run(options, do)
    row = {"account": options.name, "mailbox": mailbox, "who": who, "rights": rights}
    said = f"{who} may do {rights} there, and sees it as {shown(options.name, mailbox)}" if rights else f"{who} may not"
    print(json.dumps(row) if options.json else said)
    return 0


def _shares(options: argparse.Namespace) -> int:
    import json

    from moxd.shared import held, ordered, shown

    async def do(config: Config, account: mox_store.Account, others: Others) -> list[dict[str, str]]:
        given = account.all_rights()
        rows = [
            {"mailbox": mailbox.name, "who": who, "rights": ordered(rights)}
            for mailbox in account.mailboxes()
            for who, rights in given.get(mailbox.id, {}).items()
        ]
        for owner in account.sharers():
            other = others.open(owner)
            lent = other.all_rights() if other is not None else {}
            for mailbox in other.mailboxes() if other is not None else ():
                if rights := held(lent.get(mailbox.id, {}), account.name):
                    rows.append({"mailbox": shown(owner, mailbox.name), "who": account.name, "rights": rights})
        return rows

    for row in _run(options, do):
        print(json.dumps(row) if options.json else f"{row['mailbox']}\t{row['who']}\t{row['rights']}")
    return 0

"""`moxd junk …`: what the word filter of an account has learned, and what it says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from moxd.cli import message as message_cli

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

# A message on standard input or in a file is read into memory.
MAX_INPUT = 64 << 20


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    junk = commands.add_parser("junk", help="what the junk filter has learned, and what it says")
    actions = junk.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="how much was learned, and what is still to be learned")
    show.add_argument("name", nargs="?", help="the account (default: all)")
    classify = actions.add_parser(
        "classify", help="what the words of a message say to an account; exit status 1 when they say junk"
    )
    classify.add_argument("name", help="the account")
    classify.add_argument("file", type=Path, nargs="?", help="the message (default: standard input)")
    retrain = actions.add_parser("retrain", help="forget what was learned, and learn every mark anew")
    retrain.add_argument("name", help="the account")
    for one, run in ((show, _show), (classify, _classify), (retrain, _retrain)):
        one.add_argument("--json", action="store_true", help="print JSON")
        message_cli.data_option(one)
        one.set_defaults(run=_told(run))


def _told(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """What goes wrong is one sentence."""

    def told(options: argparse.Namespace) -> int:
        import mox_junk
        import mox_store
        from moxd.cli.serve import StartError

        try:
            return run(options)
        except (mox_junk.TableError, mox_store.StoreError, OSError) as error:
            raise StartError(str(error)) from error

    return told


def _known(store: object, name: str) -> None:
    import mox_store
    from moxd.cli.serve import StartError

    assert isinstance(store, mox_store.Store)
    if name not in store.names():
        raise StartError(f"there is no account {name!r}; there is: {', '.join(store.names()) or 'none'}")


def _show(options: argparse.Namespace) -> int:
    import time

    import mox_junk
    import mox_store

    data = message_cli.data_folder(options)
    store = mox_store.Store(data / "accounts", clock=time.time)
    try:
        if options.name is not None:
            _known(store, options.name)
        for name in [options.name] if options.name is not None else store.names():
            wanted = junk = 0
            if (data / "junk" / name / "words").exists():
                table = mox_junk.Table(data / "junk" / name)
                wanted, junk = table.totals()
                table.close()
            waiting = len(store.open(name).history.untrained(1_000_000))
            row = {"account": name, "wanted": wanted, "junk": junk, "to learn": waiting}
            later = f", {waiting} marks still to be learned" if waiting else ""
            print(json.dumps(row) if options.json else f"{name}: {wanted} wanted, {junk} junk messages learned{later}")
    finally:
        store.close()
    return 0


def _classify(options: argparse.Namespace) -> int:
    import time

    import mox_junk
    import mox_message
    import mox_store

    data = message_cli.data_folder(options)
    if options.file is None:
        content = mox_message.Content.of(sys.stdin.buffer.read(MAX_INPUT))
    else:
        content = mox_message.Content.of(options.file.read_bytes()[:MAX_INPUT])
    store = mox_store.Store(data / "accounts", clock=time.time)
    try:
        _known(store, options.name)
    finally:
        store.close()
    table = mox_junk.Table(data / "junk" / options.name)
    found = mox_junk.classify(mox_junk.words_of(mox_message.parse(content), content), table)
    table.close()
    print(json.dumps(found.to_dict(), ensure_ascii=False) if options.json else found.explain())
    return int(found.significant and found.probability > mox_junk.Parameters().threshold)


def _retrain(options: argparse.Namespace) -> int:
    import asyncio
    import time

    import mox_store
    from moxd.training import Filters, Trainer

    data = message_cli.data_folder(options)

    async def run() -> int:
        store = mox_store.Store(data / "accounts", clock=time.time, loop=asyncio.get_running_loop())
        filters = Filters(data / "junk")
        try:
            _known(store, options.name)
            return await Trainer(store, filters).relearn(options.name)
        finally:
            filters.close()
            store.close()

    learned = asyncio.run(run())
    row = {"account": options.name, "learned": learned}
    print(json.dumps(row) if options.json else f"{options.name}: {learned} messages learned anew")
    return 0

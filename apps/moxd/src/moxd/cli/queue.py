"""`moxd queue …`"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from moxd.cli.message import data_folder, data_option

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    import mox_queue


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    queue = commands.add_parser("queue", help="look at outgoing mail and act on it")
    actions = queue.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what waits, and why")
    listing.add_argument("--json", action="store_true")
    data_option(listing)
    listing.set_defaults(run=_list)
    for name, help_ in (
        ("kick", "try now"),
        ("hold", "do not try until released"),
        ("release", "let held mail go"),
        ("drop", "forget without telling the sender"),
    ):
        action = actions.add_parser(name, help=help_)
        action.add_argument("recipient", type=int, nargs="+", help="numbers in the first column of `moxd queue list`")
        data_option(action)
        action.set_defaults(run=_change, action=name)
    schedule = actions.add_parser("schedule", help="when is a message tried again, when is it given up")
    schedule.add_argument("--json", action="store_true")
    schedule.set_defaults(run=_schedule)


def open_rows(data: Path) -> mox_queue.Rows | None:
    """The queue on disk, opened beside a running server; None when there is none."""
    import mox_queue
    import mox_store

    path = data / "queue" / "queue.db"
    if not path.exists():
        return None
    return mox_queue.Rows(mox_store.Database(path, mox_queue.schema()), data / "queue" / "messages")


def _list(options: argparse.Namespace) -> int:
    rows = open_rows(data_folder(options))
    listed = []
    if rows is not None:
        listed = rows.listed()
        rows.database.close()
    if options.json:
        from moxd.decision import id_text

        fields = ("recipient", "sender", "address", "domain", "state", "attempts", "next", "last", "arrived", "size")
        print(
            json.dumps(
                [{"message": id_text(row.message), **{name: getattr(row, name) for name in fields}} for row in listed],
                indent=2,
            )
        )
        return 0
    if not listed:
        print("nothing waits")
    for row in listed:
        tried = f"{row.recipient:>6}  {row.state:<8} {row.attempts:>3} attempts  next {_when(row.next)}"
        print(f"{tried}  <{row.sender}> -> <{row.address}>  {row.last[:120]}")
    return 0


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _change(options: argparse.Namespace) -> int:
    import time

    from moxd.cli.serve import StartError
    from moxd.neighbours import Neighbours

    data = data_folder(options)
    rows = open_rows(data)
    if rows is None:
        raise StartError(f"there is no queue in {data}")
    state, expected = {
        "kick": (None, ("waiting",)),
        "hold": ("held", ("waiting",)),
        "release": ("waiting", ("held",)),
        "drop": ("dropped", ("waiting", "held")),
    }[options.action]
    try:
        count = rows.change_now(
            options.recipient,
            state=state,
            next=None if options.action in ("hold", "drop") else time.time(),
            expected=expected,
        )
    finally:
        rows.database.close()
    neighbours = Neighbours(data / "run")
    neighbours.tell("queue", 1)
    neighbours.close()
    print(f"{count} of {len(options.recipient)} changed")
    return 0 if count == len(options.recipient) else 1


def _schedule(options: argparse.Namespace) -> int:
    import mox_queue

    schedule = mox_queue.Schedule()
    plan = list(schedule.plan())
    if options.json:
        print(
            json.dumps(
                {"attempts_seconds": plan, "warn_after": schedule.warn_after, "give_up_after": schedule.give_up_after}
            )
        )
        return 0
    for number, at in enumerate(plan, 1):
        print(f"attempt {number:>3}  {at / 3600:8.2f} h after the message came")
    warned, failed = schedule.warn_after / 3600, schedule.give_up_after / 3600
    print(f"the sender hears of a delay after {warned:g} h, and of the failure after {failed:g} h")
    return 0

"""`moxd queue …`: look at outgoing mail and act on it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moxd.cli.message import data_folder, data_option

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    import mox_queue

CHANGES = {
    "kick": "try now",
    "hold": "do not try until released",
    "release": "let held mail go, and try it now",
    "fail": "give up now, and tell the sender",
    "drop": "forget without telling the sender",
}


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    queue = commands.add_parser("queue", help="look at outgoing mail and act on it")
    actions = queue.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what waits, and why")
    _filters(listing)
    listing.add_argument("--all", action="store_true", help="also what is finished and still kept")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    for name, help_ in CHANGES.items():
        action = actions.add_parser(name, help=help_)
        _filters(action)
        action.set_defaults(run=_change, action=name)
    delay = actions.add_parser("delay", help="set when it is tried next")
    delay.add_argument(
        "--until", required=True, type=_moment, help="a time such as 2026-12-01T08:00, or +90m, +2h, +3d"
    )
    _filters(delay)
    delay.set_defaults(run=_change, action="delay")
    transport = actions.add_parser("transport", help="choose the way it takes, whatever the routes say")
    transport.add_argument(
        "--name", required=True, help='a transport of moxd.toml, "direct", "fail", or "" for the routes'
    )
    _filters(transport)
    transport.set_defaults(run=_change, action="transport")
    dump = actions.add_parser("dump", help="write a queued message to standard output, as it will be sent")
    dump.add_argument("message", help="the message's id, as `moxd queue list` shows it")
    data_option(dump)
    dump.set_defaults(run=_dump)
    _rules(actions)
    _suppressions(actions)
    schedule = actions.add_parser("schedule", help="when is a message tried again, when is it given up")
    shown = schedule.add_subparsers(metavar="ACTION", required=True)
    show = shown.add_parser("show", help="every attempt, the delay notice and the end, computed from the configuration")
    show.add_argument("--config", type=Path, help="folder with moxd.toml (default: the built-in schedule)")
    show.add_argument("--json", action="store_true")
    show.set_defaults(run=_schedule)


def _filters(parser: ArgumentParser) -> None:
    parser.add_argument("recipient", type=int, nargs="*", help="numbers in the first column of `moxd queue list`")
    parser.add_argument("--message", action="append", default=[], help="all recipients of a message, by its id")
    parser.add_argument("--account", default="")
    parser.add_argument("--sender", default="")
    parser.add_argument("--to", default="", help="a recipient's address")
    parser.add_argument("--domain", default="", help="recipients of a domain")
    data_option(parser)


def _rules(actions: _SubParsersAction[ArgumentParser]) -> None:
    rules = actions.add_parser("rules", help="hold rules: new messages that match wait for `moxd queue release`")
    what = rules.add_subparsers(metavar="ACTION", required=True)
    listing = what.add_parser("list", help="all hold rules")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_rule, action="list")
    new = what.add_parser("add", help="hold new messages; what is not given matches all")
    for name in ("account", "sender-domain", "recipient-domain"):
        new.add_argument(f"--{name}", default="")
    new.set_defaults(run=_rule, action="add")
    gone = what.add_parser("remove", help="by its number")
    gone.add_argument("number", type=int)
    gone.set_defaults(run=_rule, action="remove")
    for one in (listing, new, gone):
        data_option(one)


def _suppressions(actions: _SubParsersAction[ArgumentParser]) -> None:
    lists = actions.add_parser("suppress", help="addresses that an account no longer writes to")
    what = lists.add_subparsers(metavar="ACTION", required=True)
    listing = what.add_parser("list", help="all, or an account's")
    listing.add_argument("--account", default="")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_suppress, action="list")
    for name, help_ in (("add", "stop writing to an address"), ("remove", "write to it again")):
        one = what.add_parser(name, help=help_)
        one.add_argument("--account", required=True)
        one.add_argument("address")
        one.set_defaults(run=_suppress, action=name)
        data_option(one)
    data_option(listing)


def _moment(text: str) -> float:
    """A time, or one from now, as seconds since 1970.  Raises ValueError."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    now = datetime.now().astimezone()
    if text.startswith("+") and text[-1:] in units:
        return (now + timedelta(**{units[text[-1]]: float(text[1:-1])})).timestamp()
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)).timestamp()


def open_rows(data: Path) -> mox_queue.Rows | None:
    """The queue on disk, opened beside a running server; None when there is none."""
    import mox_queue
    import mox_store

    path = data / "queue" / "queue.db"
    if not path.exists():
        return None
    return mox_queue.Rows(mox_store.Database(path, mox_queue.schema(), mox_queue.UPGRADES), data / "queue" / "messages")


@contextmanager
def _desk(options: argparse.Namespace) -> Iterator[mox_queue.Desk]:
    import mox_queue
    from moxd.cli.serve import StartError

    data = data_folder(options)
    rows = open_rows(data)
    if rows is None:
        raise StartError(f"there is no queue in {data}; it is made when the server is first started")
    try:
        yield mox_queue.Desk(rows.database)
    finally:
        rows.database.close()


def _wake(options: argparse.Namespace) -> None:
    from moxd.neighbours import Neighbours

    neighbours = Neighbours(data_folder(options) / "run")
    neighbours.tell("queue", 1)
    neighbours.close()


def _filter(options: argparse.Namespace, states: tuple[str, ...]) -> mox_queue.Filter:
    import mox_queue
    from moxd.cli.serve import StartError
    from moxd.decision import id_number

    messages = []
    for text in options.message:
        number = id_number(text)
        if number is None:
            raise StartError(f"{text!r} is not the id of a message; `moxd queue list` shows them")
        messages.append(number)
    return mox_queue.Filter(
        tuple(options.recipient), tuple(messages), states, options.account, options.sender, options.to, options.domain
    )


def _list(options: argparse.Namespace) -> int:
    from moxd.decision import id_text

    states = ("waiting", "held", *(("delivered", "failed", "dropped") if options.all else ()))
    rows = open_rows(data_folder(options))
    listed: list[mox_queue.Listed] = []
    if rows is not None:
        import mox_queue

        listed = mox_queue.Desk(rows.database).listed(_filter(options, states))
        rows.database.close()
    if options.json:
        print(json.dumps([{**asdict(row), "message": id_text(row.message)} for row in listed], indent=2))
        return 0
    if not listed:
        print("nothing waits")
    for row in listed:
        state = "trying" if row.under_way else row.state
        following = f"next {_when(row.next)}" if row.state == "waiting" and not row.under_way else ""
        print(f"{row.recipient:>6}  {id_text(row.message)}  {state:<9} {row.attempts:>3} attempts  {following}")
        way = f" by {row.transport}" if row.transport else ""
        print(f"        <{row.sender}> -> <{row.address}>{way}  {row.last[:160]}")
    return 0


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _change(options: argparse.Namespace) -> int:
    import time

    from moxd.cli.serve import StartError

    chosen = (options.recipient, options.message, options.account, options.sender, options.to, options.domain)
    if not any(chosen):
        raise StartError("say which: numbers of `moxd queue list`, or --message, --account, --sender, --to, --domain")
    action, now = options.action, time.time()
    states = {"hold": ("waiting",), "release": ("held",), "kick": ("waiting",)}.get(action, ("waiting", "held"))
    which = _filter(options, states)
    if action == "transport":
        _check_transport(options)
    with _desk(options) as desk:
        if action in ("kick", "delay"):
            count = desk.schedule(which, now if action == "kick" else options.until)
        elif action == "hold":
            count = desk.hold(which)
        elif action == "release":
            count = desk.release(which, now)
        elif action == "transport":
            count = desk.transport(which, options.name)
        elif action == "fail":
            count = desk.fail(which, now)
        else:
            count = desk.drop(which, now)
    _wake(options)
    print(f"{count} changed")
    return 0 if count else 1


def _check_transport(options: argparse.Namespace) -> None:
    """Raises StartError where the configuration does not have it."""
    from moxd.cli.message import config_folder
    from moxd.cli.serve import StartError
    from moxd.config import BUILT_IN, read_config

    folder = config_folder(options)
    known = (*BUILT_IN, *(read_config(folder).static.transports if folder is not None else ()))
    if options.name and options.name not in known:
        raise StartError(f"there is no transport {options.name!r}; there are: {', '.join(known)}")


def _dump(options: argparse.Namespace) -> int:
    from moxd.cli.serve import StartError
    from moxd.decision import id_number

    number, rows = id_number(options.message), open_rows(data_folder(options))
    content = rows.content(number) if rows is not None and number is not None else None
    if rows is None or content is None:
        raise StartError(f"no message {options.message} is in the queue")
    for chunk in content.chunks():
        sys.stdout.buffer.write(chunk)
    rows.database.close()
    return 0


def _rule(options: argparse.Namespace) -> int:
    import mox_queue

    with _desk(options) as desk:
        if options.action == "list":
            rules = desk.rules()
            if options.json:
                print(json.dumps([asdict(rule) for rule in rules], indent=2))
            for rule in () if options.json else rules:
                parts = {"account": rule.account, "from": rule.sender_domain, "to": rule.recipient_domain}
                said = " ".join(f"{name} {value}" for name, value in parts.items() if value) or "everything"
                print(f"{rule.id:>4}  {said}")
        elif options.action == "add":
            rule = mox_queue.HoldRule(options.account, options.sender_domain, options.recipient_domain)
            print(f"rule {desk.add_rule(rule)} holds new messages")
        elif not desk.remove_rule(options.number):
            print(f"there is no rule {options.number}", file=sys.stderr)
            return 1
    return 0


def _suppress(options: argparse.Namespace) -> int:
    import time

    with _desk(options) as desk:
        if options.action == "list":
            found = desk.suppressions(options.account)
            if options.json:
                print(json.dumps([asdict(one) for one in found], indent=2))
            for one in () if options.json else found:
                print(f"{one.account:<16} {one.address:<40} since {_when(one.since)}  {one.reason[:120]}")
        elif options.action == "add":
            desk.suppress(options.account, options.address, time.time(), "added by the administrator")
        elif not desk.unsuppress(options.account, options.address):
            print(f"{options.account} does write to {options.address}", file=sys.stderr)
            return 1
    return 0


def _schedule(options: argparse.Namespace) -> int:
    import mox_queue

    schedule = mox_queue.Schedule()
    if options.config is not None:
        from moxd.config import read_config
        from moxd.outgoing import schedule_of

        outgoing = read_config(options.config).static.outgoing
        schedule = schedule_of(outgoing.retry_minutes, outgoing.give_up_hours)
    plan = list(schedule.plan())
    if options.json:
        told: dict[str, Any] = {
            "attempts_seconds": plan, "warn_after": schedule.warn_after, "give_up_after": schedule.give_up_after,
        }  # fmt: skip
        print(json.dumps(told))
        return 0
    for number, at in enumerate(plan, 1):
        print(f"attempt {number:>3}  {at / 3600:8.2f} h after the message came")
    warned, failed = schedule.warn_after / 3600, schedule.give_up_after / 3600
    print(f"the sender hears of a delay after {warned:g} h, and of the failure after {failed:g} h")
    return 0

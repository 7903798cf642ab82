"""`python -m mox_queue …`: the schedule, and what is in a queue's folder."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from mox_queue.rows import Desk, Filter, open_rows
from mox_queue.schedule import DAY, HOUR, MINUTE, Schedule

_UNITS = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def duration(text: str) -> float:
    """Seconds of `90m`, `1.5h`, `5d`.  Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time such as 90m, 1.5h or 5d")
    return float(found[1]) * _UNITS[found[2]]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m mox_queue", description="How does mail leave, whatever happens?")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    schedule = commands.add_parser("schedule", help="when is a message tried again, when is it given up")
    actions = schedule.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="every attempt, in time after the message came")
    simulate = actions.add_parser("simulate", help="when does it arrive if the other side is down for so long")
    simulate.add_argument("--down", required=True, type=duration, help="such as 90m, 26h, 6d")
    for one, run in ((show, _show), (simulate, _simulate)):
        one.add_argument("--waits", type=duration, nargs="+", help="times between attempts; the last one repeats")
        one.add_argument("--give-up-after", type=duration, help="default 5d")
        one.add_argument("--warn-after", type=duration, help="default 4h")
        one.add_argument("--json", action="store_true")
        one.set_defaults(run=run)
    listing = commands.add_parser("list", help="what waits in a queue's folder")
    listing.add_argument("folder", type=Path)
    listing.add_argument("--all", action="store_true", help="also what is finished and still kept")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    return top


def _schedule(options: argparse.Namespace) -> Schedule:
    plain = Schedule()
    return Schedule(
        tuple(options.waits or plain.waits),
        plain.give_up_after if options.give_up_after is None else options.give_up_after,
        plain.warn_after if options.warn_after is None else options.warn_after,
    )


def _show(options: argparse.Namespace) -> int:
    schedule = _schedule(options)
    plan = list(schedule.plan())
    if options.json:
        told = {"attempts": plan, "warn_after": schedule.warn_after, "give_up_after": schedule.give_up_after}
        print(json.dumps(told))
        return 0
    for number, at in enumerate(plan, 1):
        print(f"attempt {number:>3}  after {at / HOUR:8.2f} h")
    print(f"a delay is told after {schedule.warn_after / HOUR:g} h, the failure after {plan[-1] / HOUR:g} h")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    schedule = _schedule(options)
    number, arrives, warned = schedule.simulate(options.down)
    if options.json:
        print(json.dumps({"attempts": number, "delivered_after": arrives, "delay_told": warned}))
    elif arrives is None:
        print(f"given up after {number} attempts")
    else:
        told = "the sender heard of the delay" if warned else "nobody heard of the delay"
        print(f"delivered after {arrives / HOUR:.2f} h, at attempt {number}; {told}")
    return 0 if arrives is not None else 1


def _list(options: argparse.Namespace) -> int:
    if not (options.folder / "queue.db").exists():
        print(f"mox_queue: there is no queue in {options.folder}", file=sys.stderr)
        return 2
    states = ("waiting", "held", *(("delivered", "failed", "dropped") if options.all else ()))
    rows = open_rows(options.folder)
    try:
        listed = Desk(rows.database).listed(Filter(states=states))
    finally:
        rows.database.close()
    if options.json:
        print(json.dumps([asdict(row) for row in listed], indent=2))
        return 0
    for row in listed:
        following = datetime.fromtimestamp(row.next, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        print(f"{row.recipient:>6}  {row.state:<9} {row.attempts:>3} attempts  next {following}")
        print(f"        <{row.sender}> -> <{row.address}>  {row.last[:160]}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 yes, 1 given up, 2 wrong usage."""
    options = parser().parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    raise SystemExit(main())

"""The command line: one file per family of commands, each with `add(commands)`; `run` is the door.

Nothing heavy is imported before a command is known, so that `--help` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from moxd.cli import account, config, junk, message, queue, sendmail, serve, store, tools

# sysexits.h
OK, FAILED, USAGE, UNAVAILABLE, SOFTWARE, NO_PERMISSION, BAD_CONFIG = 0, 1, 2, 69, 70, 77, 78


_NEXT = """\
to try it on this machine:         moxd localserve
to run it for a domain:            moxd serve --help   (shows a first configuration)
why did this message go there:     moxd message explain ID
more about one command:            moxd COMMAND --help"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="moxd",
        description="A complete, secure, modern mail server for your own domain.",
        epilog=_NEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"moxd {_version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for family in (serve, config, account, message, junk, queue, store, sendmail, tools):
        family.add(commands)
    return top


def _version() -> str:
    from importlib.metadata import version

    return version("moxd")


def run(arguments: Sequence[str]) -> int:
    """Runs one command; the exit status.  What went wrong is one sentence on standard error."""
    try:
        if arguments and arguments[0] in tools.LIBRARIES:
            return tools.run(arguments[0], arguments[1:])
        if arguments and arguments[0] == "store":
            return store.run(arguments[1:])
        options = parser().parse_args(arguments)
        status: int = options.run(options)
    except BrokenPipeError:
        return FAILED
    except KeyboardInterrupt:
        return 130
    except serve.EXPECTED as error:
        print(f"moxd: {error}", file=sys.stderr)
        return serve.status_of(error)
    return status

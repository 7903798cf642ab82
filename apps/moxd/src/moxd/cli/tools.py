"""`moxd smtp …`, `moxd dane …` and their like: the command lines of the libraries, under one name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

LIBRARIES = {
    "dns": "ask DNS, reverse names and block lists",
    "spf": "may this host send mail for this domain",
    "dkim": "verify and make signatures, keys and their records",
    "dmarc": "what a domain asks for, and reports",
    "mtasts": "policies for mail over TLS",
    "dane": "certificates that signed DNS vouches for",
    "tlsrpt": "reports about TLS",
    "smtp": "probe a host, send a message",
}


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    for name, help_ in LIBRARIES.items():
        # What follows is the library's; so is its --help.
        tool = commands.add_parser(name, help=help_, add_help=False)
        tool.add_argument("rest", nargs=argparse.REMAINDER)
        tool.set_defaults(run=_run, library=f"mox_{name}")


def _run(options: argparse.Namespace) -> int:
    from importlib import import_module

    status: int = import_module(f"{options.library}.__main__").main(options.rest)
    return status

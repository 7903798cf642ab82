"""`moxd smtp …`, `moxd dane …` and their like: the command lines of the libraries, under one name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
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
    """Adds the commands to the parser, for its help; what follows their names is the library's, its --help too."""
    for name, help_ in LIBRARIES.items():
        commands.add_parser(name, help=help_)


def run(name: str, arguments: Sequence[str]) -> int:
    """Runs the command line of a library; the exit status."""
    status: int = import_module(f"mox_{name}.__main__").main(list(arguments))
    return status

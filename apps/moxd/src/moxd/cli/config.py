"""`moxd config …`"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def option(parser: ArgumentParser) -> None:
    """`--config DIR`, the same for every command that needs the configuration."""
    parser.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("MOXD_CONFIG", "/etc/moxd")),
        help="folder with moxd.toml and domains.toml (default: $MOXD_CONFIG, else /etc/moxd)",
    )


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    config = commands.add_parser("config", help="look at the configuration")
    actions = config.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read and check both files, say every problem with its place")
    option(check)
    check.add_argument("--json", action="store_true", help="problems as JSON")
    check.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from moxd.config import ConfigError, read_config

    try:
        config = read_config(options.config)
    except ConfigError as error:
        if options.json:
            rows = [{"file": str(p.file), "line": p.line, "setting": p.setting, "text": p.text} for p in error.problems]
            print(json.dumps({"ok": False, "problems": rows}, indent=2))
        else:
            print(error, file=sys.stderr)
        return 78
    if options.json:
        print(json.dumps({"ok": True, "problems": []}))
    else:
        print(f"{config.folder}: good ({len(config.domains.domains)} domains, {len(config.domains.accounts)} accounts)")
    return 0

"""`moxd message …`"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


def data_option(parser: ArgumentParser) -> None:
    """Where the data are: of a configuration, or of localserve."""
    parser.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        default=None,
        help="folder with moxd.toml (default: $MOXD_CONFIG, else /etc/moxd if it is there)",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=None,
        help="data folder of localserve (default when there is no configuration)",
    )


def config_folder(options: argparse.Namespace) -> Path | None:
    """The folder with moxd.toml that --config, the environment or the system means; None: none, as with --data."""
    import os

    if options.data is not None:
        return None
    named: Path | None = options.config or (Path(os.environ["MOXD_CONFIG"]) if "MOXD_CONFIG" in os.environ else None)
    return Path("/etc/moxd") if named is None and Path("/etc/moxd/moxd.toml").exists() else named


def data_folder(options: argparse.Namespace) -> Path:
    """The data folder that --config or --data means.  Raises StartError, ConfigError."""
    from moxd.cli.serve import StartError
    from moxd.config import read_config
    from moxd.localserve import default_data

    if options.data is not None:
        inner: Path = options.data / "data"
        folder = inner if inner.is_dir() else options.data
    else:
        named = config_folder(options)
        folder = read_config(named).data if named is not None else default_data() / "data"
    if not folder.is_dir():
        raise StartError(f"there are no data in {folder}; name the folder with --config or --data")
    return folder


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    message = commands.add_parser("message", help="look at messages")
    actions = message.add_subparsers(metavar="ACTION", required=True)
    explain = actions.add_parser("explain", help="why a message went where it went: inputs, steps, outcome")
    explain.add_argument("id", help="the id in the server's reply and in the Received field, 13 characters")
    explain.add_argument("--json", action="store_true", help="the record as it is kept")
    data_option(explain)
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from moxd.cli.serve import StartError
    from moxd.decision import explain, id_number

    try:
        number = id_number(options.id)
    except ValueError as error:
        raise StartError(str(error)) from None
    record = find(data_folder(options), number, options.id)
    if record is None:
        raise StartError(
            f"no message {options.id}: nothing delivered, queued or refused has this id"
            " (refusals are kept for two weeks)"
        )
    print(json.dumps(record, indent=2, ensure_ascii=False) if options.json else explain(record))
    return 0


def find(data: Path, number: int, text: str) -> dict[str, Any] | None:
    """The record with that id in accounts, queue or refusals."""
    import time

    import mox_store
    from moxd import decisions
    from moxd.cli.queue import open_rows
    from moxd.outgoing import explain as explain_queued

    store = mox_store.Store(data / "accounts", clock=time.time)
    try:
        for name in store.names():
            stored = store.open(name).decision(number)
            if stored is not None:
                found: dict[str, Any] = json.loads(stored)
                return found
    finally:
        store.close()
    rows = open_rows(data)
    if rows is not None:
        try:
            queued = explain_queued(rows, number)
        finally:
            rows.database.close()
        if queued is not None:
            return queued
    refused = decisions.find(data / "refused", text)
    return dict(refused) if refused is not None else None

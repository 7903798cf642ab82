"""`moxd serve` and `moxd localserve`."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moxd.config import ConfigError
from moxd.sockets import BindError
from moxd.workers import PrivilegeError

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction


class StartError(Exception):
    """The server cannot start; the message is one sentence that says why and what to do."""


# With less free than this, what fails fails for want of room.
LITTLE_ROOM = 1024 * 1024

EXPECTED: tuple[type[Exception], ...] = (ConfigError, BindError, PrivilegeError, StartError)
_STATUS = {ConfigError: 78, BindError: 69, PrivilegeError: 77, StartError: 74}


def status_of(error: Exception) -> int:
    """The exit status (sysexits.h) for one of EXPECTED."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 70)


def disk_sentence(error: Exception, folder: Path) -> str:
    """One sentence for a data folder that cannot be used: what OSError, sqlite3.Error or StoreError mean."""
    number = getattr(error, "errno", None)
    # What SQLite keeps beside a database is memory mapped: without room for it the word is "disk I/O error".
    if number == errno.ENOSPC or "full" in str(error) or ("I/O" in str(error) and _room(folder) < LITTLE_ROOM):
        return f"the disk of {folder} is full; free some space and start again"
    if number in (errno.EACCES, errno.EPERM) or "readonly" in str(error):
        return f"no permission to write in {folder}; give it to the user that moxd runs as"
    if number == errno.EROFS:
        return f"{folder} is on a file system mounted read-only; choose another folder"
    if number == errno.ENOTDIR or number == errno.EEXIST:
        return f"{folder} or a part of its path is not a folder; choose another one"
    if "not a database" in str(error) or "malformed" in str(error):
        return f"the database in {folder} is damaged ({error}); restore it from a backup"
    return f"{folder} cannot be used: {error}"


def _room(folder: Path) -> int:
    """Octets that are free where `folder` is, or would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize


def _start_error(error: Exception, folder: Path) -> StartError:
    """What goes wrong with the data, as one sentence."""
    import mox_store
    from moxd.app import DataError

    if isinstance(error, DataError):
        folder, error = error.folder, error.cause
    cause = error.__cause__ if isinstance(error, mox_store.StoreError) else error
    return StartError(disk_sentence(cause, folder) if isinstance(cause, OSError | sqlite3.Error) else str(error))


FIRST_CONFIGURATION = """\
a first configuration:

  moxd.toml
    hostname = "mx.example.org"
    data = "data"
    postmaster = "you"
    user = "nobody"

    [listeners.public]
    addresses = ["127.0.0.1"]
    smtp = 25
    submission = 587
    submissions = 465
    imap = 143
    imaps = 993
    tls = { certificate = "chain.pem", key = "key.pem" }

  domains.toml
    [domains."example.org".dkim.selectors.first]
    key = "first.pem"

    [accounts.you]
    addresses = ["you@example.org"]

then, in that folder:

  moxd dkim keygen --out first.pem
  moxd dkim txt --domain example.org --selector first first.pem     what DNS must say of the key
  moxd config check --config .                                      all that is wrong, each with its place
  moxd account password you --config .
  moxd serve --config ."""


@contextmanager
def _nothing_swept() -> Iterator[None]:
    """While modules are imported: nothing of them is garbage, and the collector would look again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    serve = commands.add_parser(
        "serve",
        help="run the mail server from a configuration",
        description=_serve.__doc__,
        epilog=FIRST_CONFIGURATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("MOXD_CONFIG", "/etc/moxd")),
        help="folder with moxd.toml and domains.toml (default: $MOXD_CONFIG, else /etc/moxd)",
    )
    serve.set_defaults(run=_serve)
    local = commands.add_parser(
        "localserve",
        help="run a mail server on this machine only, for trying and developing",
        description=_localserve.__doc__,
    )
    local.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=None,
        help="where mail and keys are kept (default: $MOXD_DATA, else your data folder)",
    )
    local.add_argument(
        "--ports-from",
        metavar="N",
        type=int,
        default=1000,
        help="added to each standard port (default 1000: SMTP 1025, IMAP 1143, …)",
    )
    local.add_argument("--workers", metavar="N", type=int, default=1, help="processes that serve (default 1)")
    local.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="warning",
        help="how much is told on standard error (default warning; info names each message and login)",
    )
    local.set_defaults(run=_localserve)


def _serve(options: argparse.Namespace) -> int:
    """Runs the mail server in the foreground: binds its ports, drops to the configured user, serves until SIGTERM
    (which lets what is under way end first).  SIGHUP reads domains.toml again."""
    with _nothing_swept():
        import mox_store
        from moxd.app import DataError, serve
        from moxd.config import read_config
        from moxd.tls.client_keys import ClientKeyError
        from moxd.tls.contexts import CertificateError
        from moxd.tls.dkim_keys import KeyFileError

    config = read_config(options.config)
    try:
        return serve(config)
    except (CertificateError, ClientKeyError, KeyFileError) as error:
        raise StartError(str(error)) from None
    except (DataError, mox_store.StoreError, OSError, sqlite3.OperationalError) as error:
        raise _start_error(error, config.data) from error


def _localserve(options: argparse.Namespace) -> int:
    """Runs a complete mail server on loopback: own certificates, one account, everything sent is delivered to it.
    Magic addresses make it fail on purpose: temperror@, permerror@, timeout@, 4xx@ and 5xx@ (any code), also with
    mailfrom or rcptto in front."""
    with _nothing_swept():
        import mox_store
        from moxd import localserve
        from moxd.app import DataError

    folder: Path = options.data or localserve.default_data()
    try:
        return localserve.run(folder, options.ports_from, options.workers, options.log_level)
    except BindError as error:
        raise BindError(f"{error}; --ports-from N takes other ports") from None
    except (DataError, mox_store.StoreError, OSError, sqlite3.OperationalError) as error:
        raise _start_error(error, folder) from error

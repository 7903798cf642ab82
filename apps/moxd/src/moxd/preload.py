"""Everything that a worker will ever import, imported before privileges are dropped and workers are forked.

The user that we become may not be able to read Python's own folder, and what is imported before the fork is in memory
once for all workers.  Character sets are modules too: mail names them, and a name in a message should not be the first
to ask for one."""

from __future__ import annotations

import codecs
import encodings
import importlib
import logging
import pkgutil

log = logging.getLogger("moxd")

MODULES = (
    "concurrent.futures.thread", "uvloop", "idna.uts46data", "idna.codec", "stringprep", "unicodedata",
    "dns.message", "dns.rdatatype", "dns.rdtypes.ANY.TXT", "dns.rdtypes.ANY.MX", "dns.rdtypes.ANY.PTR",
    "dns.rdtypes.ANY.TLSA", "dns.rdtypes.IN.A", "dns.rdtypes.IN.AAAA", "mox_dns.from_dnspython",
    "mox_imap.commands", "mox_imap.commands.append", "mox_imap.aio", "mox_smtp.aio", "mox_queue.direct",
    "mox_message.authres", "mox_message.dsn", "mox_message.sender", "mox_message.text", "mox_message.thread",
    "precis_i18n", "cryptography.hazmat.primitives.asymmetric.padding", "traceback", "linecache",
)  # fmt: skip


def preload() -> None:
    """Imports it all; what is not there is not needed."""
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            log.debug("not preloaded", extra={"module": name})
    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            codecs.lookup(module.name)
        except (LookupError, ImportError, AttributeError):
            continue

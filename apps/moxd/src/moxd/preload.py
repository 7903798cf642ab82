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

# Libraries of others that are only imported when they are needed.
MODULES = (
    "concurrent.futures.thread", "uvloop", "idna.uts46data", "idna.codec", "stringprep", "unicodedata",
    "dns.message", "dns.rdatatype", "dns.rdtypes.ANY.TXT", "dns.rdtypes.ANY.MX", "dns.rdtypes.ANY.PTR",
    "dns.rdtypes.ANY.TLSA", "dns.rdtypes.IN.A", "dns.rdtypes.IN.AAAA", "h11", "precis_i18n", "publicsuffixlist",
    "cryptography.x509", "cryptography.hazmat.primitives.asymmetric.padding", "traceback", "linecache",
)  # fmt: skip
# Ours are imported whole, but for command lines, what is for other people's tests, and what nobody asks a server for.
OURS = (
    "mox_dns", "mox_message", "mox_spf", "mox_dkim", "mox_dmarc", "mox_mtasts", "mox_tlsrpt", "mox_dane", "mox_sasl",
    "mox_smtp", "mox_imap", "mox_junk", "mox_store", "mox_queue",
)  # fmt: skip
# When there is a web to serve.
WEB = ("moxd.web.server", "moxd.web.site", "uvicorn.lifespan.off", "uvicorn.protocols.http.flow_control")
LEFT_OUT = ("__main__", "testing")


def ours() -> list[str]:
    """Every room of our packages."""
    found = []
    for name in OURS:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not any(part in LEFT_OUT for part in module.name.split(".")):
                found.append(module.name)
    return found


def preload(*, web: bool = False) -> None:
    """Imports it all; what is not there is not needed."""
    for name in (*MODULES, *ours(), *(WEB if web else ())):
        try:
            importlib.import_module(name)
        except ImportError:
            log.debug("not preloaded", extra={"module": name})
    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            codecs.lookup(module.name)
        except (LookupError, ImportError, AttributeError):
            continue

"""Must mail to this domain use verified TLS?  MTA-STS, RFC 8461.

    record.py    TXT text at _mta-sts.  <-> Record     as a grammar in testing/record.lark
    policy.py    policy text            <-> Policy     as a grammar in testing/policy.lark
    check.py     domain, what is cached  -> Result     asks DNS and for a fetch by yielding
    exchange.py  the fetch without I/O: TLS, HTTP and every limit
    fetched.py   what it comes to, and the limits
    fetch.py     fetch, check, refresh and their blocking twins: the only file that waits
    cache.py     what is kept, when it is used, refreshed, forgotten
    judge.py     policy and MX host      -> Ruling     may this host be used, and what must it prove

Not here: checking the MX host's certificate (whoever speaks SMTP to it does), and DANE, which goes first."""

from typing import TYPE_CHECKING, Any

from mox_mtasts.cache import Cache, Entry, MemoryCache, due, forgotten
from mox_mtasts.check import Fetch, Result, Source, Status, Step, plan_check
from mox_mtasts.fetch import (
    Fetcher,
    SharedFetcher,
    SyncFetcher,
    check,
    check_sync,
    fetch,
    fetch_sync,
    refresh,
    refresh_sync,
)
from mox_mtasts.fetched import LIMITS, Failure, Fetched, Limits
from mox_mtasts.judge import Action, Finding, Ruling, agreement, judge_host
from mox_mtasts.policy import (
    CONTENT_TYPE,
    MAX_MAX_AGE,
    PATH,
    Mode,
    Policy,
    PolicySyntaxError,
    of_patterns,
    policy_host,
    policy_url,
)
from mox_mtasts.record import Record, RecordSyntaxError

if TYPE_CHECKING:
    from mox_mtasts.exchange import Exchange, default_context

__all__ = [
    "CONTENT_TYPE",
    "LIMITS",
    "MAX_MAX_AGE",
    "PATH",
    "Action",
    "Cache",
    "Entry",
    "Exchange",
    "Failure",
    "Fetch",
    "Fetched",
    "Fetcher",
    "Finding",
    "Limits",
    "MemoryCache",
    "Mode",
    "Policy",
    "PolicySyntaxError",
    "Record",
    "RecordSyntaxError",
    "Result",
    "Ruling",
    "SharedFetcher",
    "Source",
    "Status",
    "Step",
    "SyncFetcher",
    "agreement",
    "check",
    "check_sync",
    "default_context",
    "due",
    "fetch",
    "fetch_sync",
    "forgotten",
    "judge_host",
    "of_patterns",
    "plan_check",
    "policy_host",
    "policy_url",
    "refresh",
    "refresh_sync",
]


def __getattr__(name: str) -> Any:
    # TLS and HTTP are loaded when somebody fetches.
    if name in ("Exchange", "default_context"):
        from mox_mtasts import exchange

        return getattr(exchange, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

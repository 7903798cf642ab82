"""How did TLS go, and who wants to know?  SMTP TLS reporting, RFC 8460.

    record.py    TXT text at _smtp._tls.  <-> Record      as a grammar in testing/record.lark
    lookup.py    domain                    -> Found       who wants reports, and where to
    aio.py       lookup, lookup_sync: the same with a resolver
    result.py    policies and failures, in the words of RFC 8460 4
    collect.py   sessions as they happen   -> counts by day, domain and policy -> Report
    report.py    Report                   <-> JSON
    read.py      JSON, gzip or a message   -> Report, within limits
    mail.py      Report                    -> the message, or the HTTPS request, that brings it

Not here: the DKIM signature that a report must have, sent or received (mox-dkim), and sending (mox-queue)."""

from mox_tlsrpt.aio import lookup, lookup_sync
from mox_tlsrpt.collect import Count, Counts, MemoryCounts, day_of, report_for, send_time
from mox_tlsrpt.lookup import Found, Status, Step, plan_lookup
from mox_tlsrpt.mail import Post, compose, filename, post
from mox_tlsrpt.read import LIMITS, Limits, Received, gunzip, read, read_message
from mox_tlsrpt.record import Https, Mailto, Record, RecordSyntaxError
from mox_tlsrpt.report import PolicyResult, Report, ReportSyntaxError
from mox_tlsrpt.result import Failure, Policy, PolicyType, ResultType

__all__ = [
    "LIMITS",
    "Count",
    "Counts",
    "Failure",
    "Found",
    "Https",
    "Limits",
    "Mailto",
    "MemoryCounts",
    "Policy",
    "PolicyResult",
    "PolicyType",
    "Post",
    "Received",
    "Record",
    "RecordSyntaxError",
    "Report",
    "ReportSyntaxError",
    "ResultType",
    "Status",
    "Step",
    "compose",
    "day_of",
    "filename",
    "gunzip",
    "lookup",
    "lookup_sync",
    "plan_lookup",
    "post",
    "read",
    "read_message",
    "report_for",
    "send_time",
]

"""What does the From domain ask for?  DMARC, RFC 9989, and RFC 7489 as a mode.

    record.py     the policy record, both ways
    discover.py   From domain -> the record that governs it (Lookup; tree walk or public suffix list)
    align.py      domains that passed -> which are aligned with the From domain (Lookup)
    evaluate.py   both together -> Verdict and disposition
    aio.py        check with a resolver, waiting or blocking

Not here: SPF and DKIM, whose passes come in as plain values; and what is really done with a message."""

from mox_dmarc.aio import check, check_sync
from mox_dmarc.align import Alignment, Pass
from mox_dmarc.discover import Discovery, Mode, Organization, Presence, plan_discover
from mox_dmarc.evaluate import Status, Verdict, author_domain, plan_check, plan_evaluate
from mox_dmarc.record import Problem, Psd, Record, RecordSyntaxError, ReportUri, Request, Strictness

__all__ = [
    "Alignment",
    "Discovery",
    "Mode",
    "Organization",
    "Pass",
    "Presence",
    "Problem",
    "Psd",
    "Record",
    "RecordSyntaxError",
    "ReportUri",
    "Request",
    "Status",
    "Strictness",
    "Verdict",
    "author_domain",
    "check",
    "check_sync",
    "plan_check",
    "plan_discover",
    "plan_evaluate",
]

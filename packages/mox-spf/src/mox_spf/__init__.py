"""May this host send mail for this domain?  SPF, RFC 7208.

    record.py    TXT text          -> Record
    macro.py     "%{i}._spf.%{d}"  -> a domain name or a text
    check.py     caller and domain -> Result; asks DNS by yielding questions
    received.py  Result            -> the Received-SPF field

Not here: what to do about a "fail".  That is for DMARC or for the server."""

from mox_spf.check import Limits, Result, Status, Step, check, check_sync, plan_check
from mox_spf.received import received_spf
from mox_spf.record import Directive, Record, RecordSyntaxError

__all__ = [
    "Directive",
    "Limits",
    "Record",
    "RecordSyntaxError",
    "Result",
    "Status",
    "Step",
    "check",
    "check_sync",
    "plan_check",
    "received_spf",
]

"""May this host send mail for this domain?  SPF, RFC 7208.

    record.py    TXT text          -> Record           as a grammar in testing/record.lark
    macro.py     "%{i}._spf.%{d}"  -> a domain name or a text
    check.py     caller and sender -> Result           asks DNS by yielding questions
    aio.py       check, check_sync: the same with a resolver
    received.py  Result            -> the Received-SPF field
    audit.py     a domain          -> what is wrong with its record and all it includes

Not here: what to do about a "fail".  That is for DMARC or for the server."""

from mox_spf.aio import check, check_sync
from mox_spf.audit import Audit, Finding, Severity, audit, audit_sync, plan_audit
from mox_spf.check import LIMITS, Limits, Result, Status, Step, plan_check
from mox_spf.macro import Macro, MacroString, MacroSyntaxError
from mox_spf.received import received_spf
from mox_spf.record import Directive, Record, RecordSyntaxError

__all__ = [
    "LIMITS",
    "Audit",
    "Directive",
    "Finding",
    "Limits",
    "Macro",
    "MacroString",
    "MacroSyntaxError",
    "Record",
    "RecordSyntaxError",
    "Result",
    "Severity",
    "Status",
    "Step",
    "audit",
    "audit_sync",
    "check",
    "check_sync",
    "plan_audit",
    "plan_check",
    "received_spf",
]

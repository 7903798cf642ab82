"""May this host send mail for this domain?  SPF, RFC 7208.

    record.py    TXT text          -> Record           as a grammar in testing/record.lark
    macro.py     "%{i}._spf.%{d}"  -> a domain name or a text
    check.py     caller and sender -> Result           asks DNS by yielding questions
    result.py    Result, its steps, and the domain's explanation
    walk.py      a domain          -> Audit            what is wrong with its record and all it leads to
    findings.py  Audit and its findings
    received.py  Result           <-> the field Received-SPF
    aio.py       check, check_sync, audit, audit_sync: the same with a resolver

Not here: what to do about a "fail".  That is for DMARC or for the server."""

from typing import TYPE_CHECKING, Any

from mox_spf.aio import audit, audit_sync, check, check_sync
from mox_spf.check import LIMITS, Limits, plan_check
from mox_spf.macro import Macro, MacroString, MacroSyntaxError
from mox_spf.record import Block, Directive, Record, RecordSyntaxError, examine
from mox_spf.result import ForeignText, Result, Status, Step

if TYPE_CHECKING:
    from mox_spf.findings import Audit, AuditStatus, Finding, Severity, Visit
    from mox_spf.received import ReceivedSpf, ReceivedSyntaxError, received_spf
    from mox_spf.walk import plan_audit

__all__ = [
    "LIMITS",
    "Audit",
    "AuditStatus",
    "Block",
    "Directive",
    "Finding",
    "ForeignText",
    "Limits",
    "Macro",
    "MacroString",
    "MacroSyntaxError",
    "ReceivedSpf",
    "ReceivedSyntaxError",
    "Record",
    "RecordSyntaxError",
    "Result",
    "Severity",
    "Status",
    "Step",
    "Visit",
    "audit",
    "audit_sync",
    "check",
    "check_sync",
    "examine",
    "plan_audit",
    "plan_check",
    "received_spf",
]

# Rooms that a check does not need are opened when somebody asks for them.
_LATER = {
    **dict.fromkeys(("Audit", "AuditStatus", "Finding", "Severity", "Visit"), "findings"),
    **dict.fromkeys(("ReceivedSpf", "ReceivedSyntaxError", "received_spf"), "received"),
    "plan_audit": "walk",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return globals().setdefault(name, getattr(import_module(f"mox_spf.{_LATER[name]}"), name))


def __dir__() -> list[str]:
    return sorted(__all__)

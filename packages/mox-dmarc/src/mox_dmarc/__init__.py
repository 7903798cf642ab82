"""What does the From domain ask for?  DMARC, RFC 9989, and RFC 7489 as a mode.

    record.py           the policy record, both ways
    discover.py         From domain -> the record that governs it (Lookup; tree walk or public suffix list)
    align.py            domains that passed -> which are aligned with the From domain (Lookup)
    evaluate.py         both together -> Verdict and disposition
    aggregate.py        the aggregate report (RFC 9990) as a value
    aggregate_read.py   XML, gzip, zip or a mail -> that value; aggregate_tree.py and unpack.py below it
    aggregate_write.py  that value -> XML, file name, mail
    collect.py          verdicts -> reports, when they are due
    destination.py      may reports be sent where the record says? (Lookup)
    failure.py          reports about single messages (RFC 9991)
    aio.py              check with a resolver, waiting or blocking

Not here: SPF and DKIM, whose passes come in as plain values; and what is really done with a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox_dmarc.aio import check, check_destinations, check_destinations_sync, check_sync
from mox_dmarc.align import Alignment, Pass
from mox_dmarc.discover import Discovery, Mode, Organization, Presence, plan_discover
from mox_dmarc.evaluate import Status, Verdict, author_domain, plan_check, plan_evaluate
from mox_dmarc.record import Problem, Psd, Record, RecordSyntaxError, ReportUri, Request, Strictness

if TYPE_CHECKING:
    from mox_dmarc.aggregate import (
        AggregateReport,
        DiscoveryMethod,
        Disposition,
        DkimAuth,
        Extension,
        Format,
        Metadata,
        Override,
        OverrideType,
        PolicyPublished,
        Row,
        SpfAuth,
    )
    from mox_dmarc.aggregate_read import iter_rows, read_aggregate
    from mox_dmarc.aggregate_tree import ReportSyntaxError
    from mox_dmarc.aggregate_write import file_name, pack, report_message, to_xml
    from mox_dmarc.collect import Keeper, MemoryKeeper, Period, Ready, Reporter, due, note, reports_of, row_of
    from mox_dmarc.destination import Destination, Permission, addresses, plan_destinations
    from mox_dmarc.failure import FailureReport, FailureReportSyntaxError, read_failure
    from mox_dmarc.unpack import Limits, Unusable, xml_of

# Reports are none of a verdict's business, so their rooms are entered when first asked for.
_LATER = {
    "aggregate": (
        *("AggregateReport", "DiscoveryMethod", "Disposition", "DkimAuth", "Extension", "Format", "Metadata"),
        *("Override", "OverrideType", "PolicyPublished", "Row", "SpfAuth"),
    ),
    "aggregate_read": ("iter_rows", "read_aggregate"),
    "aggregate_tree": ("ReportSyntaxError",),
    "aggregate_write": ("file_name", "pack", "report_message", "to_xml"),
    "collect": ("Keeper", "MemoryKeeper", "Period", "Ready", "Reporter", "due", "note", "reports_of", "row_of"),
    "destination": ("Destination", "Permission", "addresses", "plan_destinations"),
    "failure": ("FailureReport", "FailureReportSyntaxError", "read_failure"),
    "unpack": ("Limits", "Unusable", "xml_of"),
}
_ROOM = {name: room for room, names in _LATER.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOM[name]}"), name)


__all__ = [
    "AggregateReport",
    "Alignment",
    "Destination",
    "Discovery",
    "DiscoveryMethod",
    "Disposition",
    "DkimAuth",
    "Extension",
    "FailureReport",
    "FailureReportSyntaxError",
    "Format",
    "Keeper",
    "Limits",
    "MemoryKeeper",
    "Metadata",
    "Mode",
    "Organization",
    "Override",
    "OverrideType",
    "Pass",
    "Period",
    "Permission",
    "PolicyPublished",
    "Presence",
    "Problem",
    "Psd",
    "Ready",
    "Record",
    "RecordSyntaxError",
    "ReportSyntaxError",
    "ReportUri",
    "Reporter",
    "Request",
    "Row",
    "SpfAuth",
    "Status",
    "Strictness",
    "Unusable",
    "Verdict",
    "addresses",
    "author_domain",
    "check",
    "check_destinations",
    "check_destinations_sync",
    "check_sync",
    "due",
    "file_name",
    "iter_rows",
    "note",
    "pack",
    "plan_check",
    "plan_destinations",
    "plan_discover",
    "plan_evaluate",
    "read_aggregate",
    "read_failure",
    "report_message",
    "reports_of",
    "row_of",
    "to_xml",
    "xml_of",
]

"""Reports as XML that the RFCs' schemas allow, as files, as mail."""

from __future__ import annotations

import gzip
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from hypothesis import HealthCheck, given, settings

from mox_dmarc import (
    AggregateReport,
    Disposition,
    DkimAuth,
    Extension,
    Format,
    Metadata,
    Override,
    OverrideType,
    PolicyPublished,
    Request,
    Row,
    SpfAuth,
    file_name,
    pack,
    read_aggregate,
    report_message,
    to_xml,
)
from mox_dmarc.testing.reports import reports
from mox_dmarc.testing.texts import matches, texts
from mox_message import Content, Fields, Mailbox, parse

SCHEMAS = Path(__file__).parent / "schema"
QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

META = Metadata("Receiver & Söhne <x>", "dmarc@receiver.example", "3f2a", 1_700_006_400, 1_700_092_799)
POLICY = PolicyPublished("example.com", Request.REJECT)
ROW = Row("192.0.2.1", 2, Disposition.PASS, True, False, "example.com", "")


def complaint(xml: bytes, format: Format, tmp_path: Path | None = None) -> str:
    """What a validator has against it; "" if it is valid.  lxml, or else xmllint."""
    schema = SCHEMAS / f"{format}.xsd"
    if find_spec("lxml"):
        etree = import_module("lxml.etree")
        checker = etree.XMLSchema(etree.parse(str(schema)))
        return "" if checker.validate(etree.fromstring(xml)) else str(checker.error_log)
    if which("xmllint"):
        done = subprocess.run(
            ["xmllint", "--noout", "--schema", str(schema), "-"], input=xml, capture_output=True, check=False
        )
        return done.stderr.decode() if done.returncode else ""
    pytest.skip("neither lxml nor xmllint is here: pip install lxml, or apt install libxml2-utils")


# RFC 9990 A
@QUICK
@given(reports())
def test_rfc_9990_is_valid_and_read_again_the_same(report: AggregateReport) -> None:
    xml = to_xml(report)
    assert complaint(xml, Format.RFC9990) == ""
    again = read_aggregate(xml)
    assert again.problems == ()
    assert again == report


# RFC 7489 C
@QUICK
@given(reports(Format.RFC7489))
def test_rfc_7489_is_valid_and_read_again_the_same(report: AggregateReport) -> None:
    xml = to_xml(report)
    assert complaint(xml, Format.RFC7489) == ""
    assert read_aggregate(xml) == report


@QUICK
@given(reports())
def test_the_one_as_the_other_is_valid(report: AggregateReport) -> None:
    xml = to_xml(report, Format.RFC7489)
    assert complaint(xml, Format.RFC7489) == ""
    assert [row.count for row in read_aggregate(xml).rows] == [row.count for row in report.rows]


@QUICK
@given(reports(Format.RFC7489))
def test_the_other_as_the_one_is_valid(report: AggregateReport) -> None:
    assert complaint(to_xml(report, Format.RFC9990), Format.RFC9990) == ""


def test_the_validator_can_complain() -> None:
    xml = to_xml(AggregateReport(META, POLICY, (ROW,)))
    assert "disposition" in complaint(xml.replace(b"<disposition>pass", b"<disposition>maybe"), Format.RFC9990)
    assert complaint(xml.replace(b"<count>2</count>", b""), Format.RFC9990)
    assert complaint(xml, Format.RFC7489)


# RFC 9990 3.1.6 and 3.1.1.9
def test_words_that_the_other_format_lacks() -> None:
    def overrides(kind: OverrideType, format: Format, comment: str = "") -> tuple[Override, ...]:
        row = Row("192.0.2.1", 1, Disposition.PASS, True, True, "example.com", overrides=(Override(kind, comment),))
        return read_aggregate(to_xml(AggregateReport(META, POLICY, (row,)), format)).rows[0].overrides

    assert overrides(OverrideType.SAMPLED_OUT, Format.RFC9990) == (Override(OverrideType.OTHER, "sampled_out"),)
    assert overrides(OverrideType.FORWARDED, Format.RFC9990, "x") == (Override(OverrideType.OTHER, "forwarded: x"),)
    assert overrides(OverrideType.POLICY_TEST_MODE, Format.RFC7489)[0].comment == "policy_test_mode"
    old = read_aggregate(to_xml(AggregateReport(META, POLICY, (ROW,)), Format.RFC7489))
    assert old.rows[0].disposition is Disposition.NONE
    assert old.rows[0].spf == (SpfAuth("example.com", "none", "mfrom"),)
    assert old.policy.sp is Request.REJECT


# RFC 9990 3.1.1.13
def test_helo_has_no_place_in_rfc_9990() -> None:
    row = Row(
        "192.0.2.1", 1, Disposition.NONE, False, False, "example.com",
        spf=(SpfAuth("h.example", "pass", "helo"), SpfAuth("m.example", "fail", "mfrom")),
    )  # fmt: skip
    xml = to_xml(AggregateReport(META, POLICY, (row,)))
    assert read_aggregate(xml).rows[0].spf == (SpfAuth("m.example", "fail", "mfrom"),)


def test_hostile_text_stays_text() -> None:
    """What senders choose (selectors, domains, comments) ends up in our XML."""
    evil = "</domain><script>&\x00\x0b\ud800\"'\r\n]]>"
    row = Row("192.0.2.1", 1, Disposition.NONE, False, False, evil, evil, evil, (Override(OverrideType.OTHER, evil),),
              (DkimAuth(evil, evil, "pass", evil),), (SpfAuth(evil, "pass", "mfrom", evil),),
              (Extension("x", "urn:a", evil), Extension("bad name", "urn:a"), Extension("none"), Extension("z", 'urn:"><a>')))  # fmt: skip
    xml = to_xml(AggregateReport(META, POLICY, (row,), extensions=(Extension("y", evil, evil),)))
    assert complaint(xml, Format.RFC9990) == ""
    again = read_aggregate(xml).rows[0]
    assert again.dkim[0].selector == "</domain><script>&���\"'\r\n]]>"
    assert [one.name for one in again.extensions] == ["x"]


NOT_WRITABLE = {
    "no rows": AggregateReport(META, POLICY, ()),
    "no policy": AggregateReport(META, PolicyPublished("example.com"), (ROW,)),
}


@pytest.mark.parametrize("report", NOT_WRITABLE.values(), ids=NOT_WRITABLE)
def test_what_the_schema_has_no_place_for(report: AggregateReport) -> None:
    with pytest.raises(ValueError, match=r"no p=|at least one row"):
        to_xml(report)


# RFC 9990 3.5.2
def test_file_name() -> None:
    report = AggregateReport(META, POLICY, (ROW,))
    name = file_name(report, "mx.receiver.example")
    assert name == "mx.receiver.example!example.com!1700006400!1700092799!3f2a.xml.gz"
    assert matches("filename", name)
    odd = AggregateReport(Metadata("a", "b", "1.2@c", 1, 2), POLICY, (ROW,))
    assert file_name(odd, "mx.example", packed=False) == "mx.example!example.com!1!2.xml"


def test_the_same_report_is_the_same_file() -> None:
    xml = to_xml(AggregateReport(META, POLICY, (ROW,)))
    assert pack(xml) == pack(xml)
    assert gzip.decompress(pack(xml)) == xml


def mail(report: AggregateReport) -> bytes:
    return report_message(
        report,
        sender=Mailbox("DMARC", "dmarc", "receiver.example"),
        to=[Mailbox("", "rua", "example.com"), Mailbox("", "all", "reports.example")],
        receiver="mx.receiver.example",
        message_id="3f2a@receiver.example",
        now=1_700_100_000,
    )


def test_the_mail() -> None:
    report = AggregateReport(META, POLICY, (ROW,), version="1.0")
    data = mail(report)
    fields = Fields.parse(data)
    assert matches("subject", fields.text("subject") or "")
    assert fields.text("to") == "rua@example.com, all@reports.example"
    text, file = parse(Content.of(data)).children
    assert text.media_type == "text/plain"
    assert file.media_type == "application/gzip"
    assert file.filename == file_name(report, "mx.receiver.example")
    assert read_aggregate(data) == report
    assert max(map(len, data.split(b"\r\n"))) <= 998


# RFC 9990 3.5.1
@pytest.mark.parametrize("report_id", ["", "a b", "a\r\nBcc: x@y.example", "<a>", "a@b@c"])
def test_a_report_id_that_is_none(report_id: str) -> None:
    with pytest.raises(ValueError, match="no report id"):
        mail(AggregateReport(Metadata("a", "b", report_id, 1, 2), POLICY, (ROW,)))


@QUICK
@given(texts("subject"), texts("filename"))
def test_every_report_id_of_the_grammar_is_taken(subject: str, name: str) -> None:
    """What the grammar makes of an id, we send; and names of the grammar are what `file_name` makes of their parts."""
    if "Report-ID:" in subject:
        report_id = subject.partition("Report-ID:")[2].strip().removeprefix("<").removesuffix(">")
        made = mail(AggregateReport(Metadata("a", "b", report_id, 1, 2), POLICY, (ROW,)))
        assert matches("subject", Fields.parse(made).text("subject") or "")
    receiver, domain, begin, end, *rest = name.removesuffix(".gz").removesuffix(".xml").split("!")
    meta = Metadata("a", "b", rest[0] if rest else "-", int(begin), int(end))
    policy = PolicyPublished(domain, Request.NONE)
    again = file_name(AggregateReport(meta, policy, (ROW,)), receiver, packed=name.endswith(".gz"))
    assert matches("filename", again)
    assert again.split("!")[:2] == [receiver, domain]

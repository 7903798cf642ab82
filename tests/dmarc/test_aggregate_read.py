"""Aggregate reports from XML: the two schemas, what reporters make of them, and what attackers would."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dmarc import (
    DiscoveryMethod,
    Disposition,
    DkimAuth,
    Extension,
    Format,
    Limits,
    Override,
    OverrideType,
    ReportSyntaxError,
    Request,
    SpfAuth,
    Unusable,
    iter_rows,
    read_aggregate,
)

NEW = """<?xml version="1.0"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0" xmlns:e="urn:example:e">
 <version>1.0</version>
 <report_metadata>
  <org_name>Sample Reporter</org_name><email>report_sender@reporter.example</email>
  <extra_contact_info lang="en">ask us</extra_contact_info>
  <report_id>3v98abbp8ya9n3va8yr8oa3ya</report_id>
  <date_range><begin>302832000</begin><end>302918399</end></date_range>
  <error lang="en">two records</error><generator>a generator</generator>
 </report_metadata>
 <policy_published>
  <domain>example.com</domain><p>quarantine</p><sp>none</sp><np>reject</np><adkim>r</adkim><aspf>s</aspf>
  <testing>y</testing><discovery_method>treewalk</discovery_method><fo>1:d</fo>
 </policy_published>
 <extension><e:arc-override>never</e:arc-override></extension>
 <record>
  <row><source_ip>2001:DB8::1</source_ip><count>123</count>
   <policy_evaluated><disposition>pass</disposition><dkim>pass</dkim><spf>fail</spf>
    <reason><type>policy_test_mode</type><comment lang="en">t</comment></reason></policy_evaluated></row>
  <identifiers><header_from>Example.com.</header_from><envelope_from/><envelope_to>b.example</envelope_to></identifiers>
  <auth_results>
   <dkim><domain>example.com</domain><selector>abc</selector><result>pass</result><human_result>ok</human_result></dkim>
   <spf><domain>example.com</domain><scope>mfrom</scope><result>softfail</result></spf>
  </auth_results>
  <e:arc-results><e:one>fine</e:one> <e:two>also</e:two></e:arc-results>
 </record>
</feedback>
"""


# RFC 9990 3.1.1, 5 and A
def test_every_element_of_rfc_9990() -> None:
    report = read_aggregate(NEW.encode())
    assert report.problems == ()
    assert (report.format, report.version) == (Format.RFC9990, "1.0")
    meta = report.metadata
    assert (meta.org_name, meta.email) == ("Sample Reporter", "report_sender@reporter.example")
    assert (meta.begin, meta.end, meta.report_id) == (302832000, 302918399, "3v98abbp8ya9n3va8yr8oa3ya")
    assert (meta.extra_contact_info, meta.errors, meta.generator) == ("ask us", ("two records",), "a generator")
    policy = report.policy
    assert (policy.domain, policy.p, policy.sp, policy.np) == (
        "example.com", Request.QUARANTINE, Request.NONE, Request.REJECT,
    )  # fmt: skip
    assert (policy.adkim, policy.aspf, policy.testing, policy.fo) == ("r", "s", True, "1:d")
    assert policy.discovery_method is DiscoveryMethod.TREEWALK
    assert policy.pct is None
    assert report.extensions == (Extension("arc-override", "urn:example:e", "never"),) or report.extensions[0].text
    (row,) = report.rows
    assert (row.source_ip, row.count, row.disposition) == ("2001:db8::1", 123, Disposition.PASS)
    assert (row.dkim_aligned, row.spf_aligned) == (True, False)
    assert (row.header_from, row.envelope_from, row.envelope_to) == ("example.com", "", "b.example")
    assert row.overrides == (Override(OverrideType.POLICY_TEST_MODE, "t"),)
    assert row.dkim == (DkimAuth("example.com", "abc", "pass", "ok"),)
    assert row.spf == (SpfAuth("example.com", "softfail", "mfrom"),)
    assert [one.text for one in row.extensions] == ["fine also"]


OLD = re.sub(
    r"<np>.*</np>|<testing>.*?</discovery_method>|<extension>.*?</extension>|<generator>.*?</generator>", "", NEW
)
OLD = OLD.replace(' xmlns="urn:ietf:params:xml:ns:dmarc-2.0"', "").replace("<fo>", "<pct>50</pct><fo>")


# RFC 7489 7.2 and C
def test_rfc_7489() -> None:
    report = read_aggregate(OLD.encode())
    assert report.format is Format.RFC7489
    assert report.policy.pct == 50
    assert report.policy.testing is None
    assert report.rows[0].count == 123


def test_new_elements_without_the_namespace_are_new() -> None:
    assert read_aggregate(NEW.replace('xmlns="urn:ietf:params:xml:ns:dmarc-2.0"', "").encode()).format is Format.RFC9990


def test_a_prefix_for_everything() -> None:
    prefixed = re.sub(r"<(/|(?!/))(?!e:|\?)", r"<\1d:", NEW).replace('xmlns="', 'xmlns:d="')
    report = read_aggregate(prefixed.encode())
    assert report.problems == ()
    assert report.rows == read_aggregate(NEW.encode()).rows
    assert report.format is Format.RFC9990


def changed(old: str, new: str) -> bytes:
    assert old in NEW
    return NEW.replace(old, new).encode()


# a change to the report -> what of it is told, what is read instead
ODD = {
    "words in capitals": (
        ("<disposition>pass<", "<disposition>Reject<"), "is written 'Reject'", lambda r: r.rows[0].disposition, "reject",
    ),
    "an unknown word": (("<p>quarantine<", "<p>maybe<"), "<p> is 'maybe'", lambda r: r.policy.p, None),
    "a result by its old name": (
        ("<result>softfail<", "<result>hardfail<"), "read as fail", lambda r: r.rows[0].spf[0].result, "fail",
    ),
    "a result that is none": (
        ("<result>softfail<", "<result>fine<"), "which is unknown", lambda r: r.rows[0].spf[0].result, "none",
    ),
    "no address": (("2001:DB8::1", "nowhere"), "no address", lambda r: r.rows[0].source_ip, "nowhere"),
    "a count that is none": (("<count>123<", "<count>many<"), "a row was left out", lambda r: r.rows, ()),
    "a negative count": (("<count>123<", "<count>-1<"), "a row was left out", lambda r: r.rows, ()),
    "neither pass nor fail": (("<dkim>pass<", "<dkim>yes<"), "counted as fail", lambda r: r.rows[0].dkim_aligned, False),
    "an unknown reason": (
        ("<type>policy_test_mode<", "<type>whim<"), "'whim'", lambda r: r.rows[0].overrides[0].type, "other",
    ),
    "an empty reason": (
        ('<type>policy_test_mode</type><comment lang="en">t</comment>', "<type/><comment/>"), "", lambda r: r.rows[0].overrides, (),
    ),
    "a bare ampersand": (("Sample Reporter", "A & B &amp; C"), "&amp;", lambda r: r.metadata.org_name, "A & B & C"),
    "control characters": (("Sample Reporter", "A\x00\x07B"), "left out", lambda r: r.metadata.org_name, "AB"),
    "a fraction of a second": (("302832000", "302832000.5"), "fraction", lambda r: r.metadata.begin, 302832000),
    "an end before the begin": (("302918399", "7"), "before it begins", lambda r: r.metadata.end, 7),
    "no reporter": (("<org_name>Sample Reporter</org_name>", ""), "no <org_name>", lambda r: r.metadata.org_name, ""),
    "an unknown element": (("<version>", "<what/><version>"), "<what> is not known", lambda r: r.version, "1.0"),
    "text without end": (
        ("Sample Reporter", "x" * 9000), "longer than 2048", lambda r: len(r.metadata.org_name), 2048,
    ),
    "an unknown scope": (("<scope>mfrom<", "<scope>rcpt<"), "<scope>", lambda r: r.rows[0].spf[0].scope, ""),
    "no identifiers": (("header_from>", "x>"), "no <header_from>", lambda r: r.rows[0].header_from, ""),
    "something behind the end": (("</feedback>", "</feedback> and < so on"), "", lambda r: len(r.rows), 1),
}  # fmt: skip


@pytest.mark.parametrize("change, told, what, want", ODD.values(), ids=ODD)
def test_what_is_odd_is_told_and_the_rest_stays(change: tuple[str, str], told: str, what: object, want: object) -> None:
    report = read_aggregate(changed(*change))
    assert what(report) == want  # type: ignore[operator]
    assert told == "" or any(told in problem for problem in report.problems), report.problems


FATAL = {
    "no policy domain": ("<domain>example.com</domain><p>", "<p>"),
    "no time": ("<date_range><begin>302832000</begin><end>302918399</end></date_range>", ""),
    "a time that is none": ("302832000", "yesterday"),
    "no metadata": ("report_metadata", "something"),
    "no policy": ("policy_published", "something"),
    "a tag that is not closed": ("</record>", ""),
    "another root": ("feedback", "html"),
    "a document type": ("<feedback", '<!DOCTYPE feedback [<!ENTITY a "b">]><feedback'),
    "an entity": ("Sample Reporter", '<![CDATA[x]]></org_name><!DOCTYPE a SYSTEM "file:///etc/passwd">'),
}


@pytest.mark.parametrize("old, new", FATAL.values(), ids=FATAL)
def test_no_report(old: str, new: str) -> None:
    with pytest.raises(ReportSyntaxError):
        read_aggregate(changed(old, new))


def test_an_error_points() -> None:
    with pytest.raises(ReportSyntaxError) as caught:
        read_aggregate(b"<feedback>\n  <a></b>")
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert "line 2" in str(caught.value)


def test_nothing_outside_is_read_and_nothing_grows(tmp_path: Path) -> None:
    """Entities: within (a billion laughs), and without (a file)."""
    (tmp_path / "secret").write_text("secret")
    laughs = '<!ENTITY a "ha">' + "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    for declared in (laughs, f'<!ENTITY a SYSTEM "{tmp_path}/secret">', f'<!ENTITY % a SYSTEM "{tmp_path}/secret">%a;'):
        text = NEW.replace("<feedback", f"<!DOCTYPE feedback [{declared}]><feedback").replace("Sample", "&a9;&a;")
        with pytest.raises(ReportSyntaxError, match="document type"):
            read_aggregate(text.encode())
    # Without a declaration a reference is text.
    report = read_aggregate(changed("Sample Reporter", "&xxe;"))
    assert report.metadata.org_name == "&xxe;"


LIMITS = {
    "rows": (NEW.replace("</feedback>", NEW[NEW.index("<record>") :]), Limits(rows=1), "more than 1 rows"),
    "depth": (NEW.replace("<version>", "<a>" * 40 + "</a>" * 40 + "<version>"), Limits(), "deep"),
    "elements": (NEW.replace("<row>", "<a/>" * 5000 + "<row>"), Limits(), "more than 4000 elements"),
    "octets": (NEW, Limits(xml=500), "more than 500 octets"),
    "a tag": (NEW.replace("<row>", "<row a='" + "x" * 3_000_000 + "'>"), Limits(), "one tag without an end"),
    "a comment": (NEW.replace("<row>", "<!--" + "x" * 3_000_000), Limits(), "one tag without an end"),
}


@pytest.mark.parametrize("text, limits, why", LIMITS.values(), ids=LIMITS)
def test_limits(text: str, limits: Limits, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        read_aggregate(text.encode(), limits)


def test_rows_one_by_one() -> None:
    rows = iter_rows(NEW.replace("</feedback>", NEW[NEW.index("<record>") :]).encode())
    assert [row.count for row in rows] == [123, 123]
    with pytest.raises(ReportSyntaxError):
        list(iter_rows(b"<feedback></feedback>"))


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_bytes(NEW.encode())
    assert read_aggregate(path) == read_aggregate(NEW.encode())
    with pytest.raises(OSError, match="nowhere"):
        read_aggregate(tmp_path / "nowhere")


CHARSETS = {
    "Latin-1": (b'<?xml version="1.0" encoding="ISO-8859-1"?>', "iso-8859-1", "Bücher"),
    "Windows": (b"<?xml version='1.0' encoding='windows-1252'?>", "windows-1252", "Bücher €"),
    "UTF-8 with a mark": (b"\xef\xbb\xbf", "utf-8", "Bücher"),
    "UTF-16": (b"", "utf-16", "Bücher"),
    "said to be what it is not": (b'<?xml version="1.0" encoding="utf-16"?>', "utf-8", "Bücher"),
    "an unknown one": (b'<?xml version="1.0" encoding="x-none"?>', "utf-8", "Bücher"),
    "one that is no charset": (b'<?xml version="1.0" encoding="bz2"?>', "utf-8", "Bücher"),
}


@pytest.mark.parametrize("start, charset, text", CHARSETS.values(), ids=CHARSETS)
def test_charsets(start: bytes, charset: str, text: str) -> None:
    body = NEW.partition("?>\n")[2].replace("Sample Reporter", text).encode(charset)
    report = read_aggregate(start + body)
    assert report.metadata.org_name == text
    assert report.problems == ()


def test_octets_of_another_charset_are_replaced() -> None:
    report = read_aggregate(NEW.encode().replace(b"Sample", b"S\xe4mple"))
    assert report.metadata.org_name == "S\ufffdmple Reporter"
    assert "octets that do not fit the charset were replaced" in report.problems


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(NEW) - 1), st.integers(0, len(NEW) - 1)), max_size=4), st.binary(max_size=9)
)
def test_only_declared_errors(cuts: list[tuple[int, int]], more: bytes) -> None:
    data = NEW.encode()
    for start, end in cuts:
        data = (
            data[: min(start, end)] + more + data[max(start, end) :]
            if len(cuts) % 2
            else data[:start] + more + data[end:]
        )
    try:
        report = read_aggregate(data)
    except Unusable:
        return
    assert report.explain()
    assert report.to_dict()


def test_memory_is_that_of_a_row() -> None:
    record = NEW[NEW.index("<record>") : NEW.index("</feedback>")].encode()
    packed = gzip.compress(NEW.encode().replace(record, record * 1600))
    tracemalloc.start()
    assert sum(1 for _ in iter_rows(packed)) == 1600
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # all rows together take twice as much and more

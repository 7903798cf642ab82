"""Reports drawn at random, as values and as what a reporter may send.  Needs hypothesis."""

from __future__ import annotations

import gzip
import io
import zipfile

from hypothesis import strategies as st

from mox_dmarc import (
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
    Request,
    Row,
    SpfAuth,
    Strictness,
    to_xml,
)
from mox_dmarc.aggregate_read import DKIM_RESULTS, SPF_RESULTS

_SEEN = st.characters(min_codepoint=0x21, max_codepoint=0xD7FF)
_NEW_OVERRIDES = [kind for kind in OverrideType if kind not in (OverrideType.FORWARDED, OverrideType.SAMPLED_OUT)]
_OLD_OVERRIDES = [kind for kind in OverrideType if kind is not OverrideType.POLICY_TEST_MODE]

names = st.sampled_from(["example.com", "a.example", "mail.example.org", "xn--bcher-kva.example"])
words = st.text(_SEEN, min_size=1, max_size=30)  # nothing that white space around it would lose
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
_maybe_words = st.one_of(st.just(""), words)


def _optional(values: type) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), st.sampled_from(list(values)))  # type: ignore[call-overload]


@st.composite
def reports(draw: st.DrawFn, format: Format = Format.RFC9990) -> AggregateReport:
    """A report that its format can say in full: written and read again it is the same."""
    new = format is Format.RFC9990
    begin = draw(st.integers(0, 10**11))
    meta = Metadata(
        draw(words),
        draw(words),
        draw(words),
        begin,
        begin + draw(st.integers(0, 10**6)),
        draw(_maybe_words),
        tuple(draw(st.lists(words, max_size=1 if new else 3))),
        draw(_maybe_words) if new else "",
    )
    return AggregateReport(
        meta,
        draw(_new_policies() if new else _old_policies()),
        tuple(draw(st.lists(_rows(new), min_size=1, max_size=4))),
        format,
        "1.0",
        tuple(draw(st.lists(_extensions(), max_size=2))) if new else (),
    )


def _new_policies() -> st.SearchStrategy[PolicyPublished]:
    return st.builds(
        PolicyPublished,
        domain=names,
        p=st.sampled_from(Request),
        sp=_optional(Request),
        np=_optional(Request),
        adkim=_optional(Strictness),
        aspf=_optional(Strictness),
        testing=st.one_of(st.none(), st.booleans()),
        discovery_method=_optional(DiscoveryMethod),
        fo=st.sampled_from(["", "0", "1:d:s"]),
        pct=st.none(),
    )


def _old_policies() -> st.SearchStrategy[PolicyPublished]:
    return st.builds(
        PolicyPublished,
        domain=names,
        p=st.sampled_from(Request),
        sp=st.sampled_from(Request),
        adkim=_optional(Strictness),
        aspf=_optional(Strictness),
        fo=st.sampled_from(["0", "1:d:s"]),
        pct=st.integers(0, 100),
    )


def _rows(new: bool) -> st.SearchStrategy[Row]:
    dispositions = list(Disposition) if new else [one for one in Disposition if one is not Disposition.PASS]
    dkim = st.builds(DkimAuth, names, words, st.sampled_from(sorted(DKIM_RESULTS)), _maybe_words)
    if new:
        spf = st.builds(
            SpfAuth, names, st.sampled_from(sorted(SPF_RESULTS)), st.sampled_from(["", "mfrom"]), _maybe_words
        )
    else:
        spf = st.builds(
            SpfAuth, names, st.sampled_from(sorted(SPF_RESULTS - {"policy"})), st.sampled_from(["helo", "mfrom"])
        )
    return st.builds(
        Row,
        source_ip=addresses,
        count=st.integers(0, 10**9),
        disposition=st.sampled_from(dispositions),
        dkim_aligned=st.booleans(),
        spf_aligned=st.booleans(),
        header_from=names,
        envelope_from=st.one_of(st.none(), st.just(""), names) if new else st.one_of(st.just(""), names),
        envelope_to=st.one_of(st.just(""), names),
        overrides=st.lists(
            st.builds(Override, st.sampled_from(_NEW_OVERRIDES if new else _OLD_OVERRIDES), _maybe_words), max_size=2
        ).map(tuple),
        dkim=st.lists(dkim, max_size=3).map(tuple),
        spf=st.lists(spf, min_size=0 if new else 1, max_size=1 if new else 2).map(tuple),
        extensions=st.lists(_extensions(), max_size=1).map(tuple) if new else st.just(()),
    )


def _extensions() -> st.SearchStrategy[Extension]:
    return st.builds(
        Extension, st.sampled_from(["arc-results", "score"]), st.sampled_from(["urn:a", "https://a.example/x"]), words
    )


@st.composite
def packed(draw: st.DrawFn) -> bytes:
    """A report as a reporter may send it: bare, gzipped, zipped, or both."""
    report = draw(st.one_of(reports(), reports(Format.RFC7489)))
    data = to_xml(report)
    for how in draw(st.lists(st.sampled_from(["gzip", "zip", "stored"]), max_size=2)):
        data = gzip.compress(data, mtime=0) if how == "gzip" else zipped({"report.xml": data}, stored=how == "stored")
    return data


def zipped(files: dict[str, bytes], *, stored: bool = False) -> bytes:
    """A zip archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()

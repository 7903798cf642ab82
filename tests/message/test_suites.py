"""The suites of others: address-isemail, mime-header-fields, and the five mime-* collections of awkward messages.

deviations.toml beside this file says where we differ, with the sentence that decides."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.suites import SUITES, counted, suite
from mox_message import (
    Address,
    AddressSyntaxError,
    Content,
    Fields,
    Group,
    Mailbox,
    Part,
    addresses,
    bodies,
    date,
    decode,
    decoded_parameters,
    decoded_subject,
    from_address,
    message_ids,
    parse,
    preview,
    readable,
    sent_date,
    thread_keys,
)
from mox_message.words import without_comments

TABLE: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parent / "deviations.toml").read_text(encoding="utf-8")
)


def judge(suite_name: str, case: str, same: bool, seen: object) -> None:
    """A case passes, or it is in the table; one that passes has no place there."""
    why = TABLE.get(suite_name, {}).get(case)
    counted(suite_name, int(why is None), int(why is not None))
    if why is None:
        assert same, seen
    else:
        assert not same, f"{case} passes: take it out of deviations.toml, where it says {why}"


def names(suite_name: str, pattern: str) -> list[str]:
    folder = SUITES / suite_name
    return sorted(str(path.relative_to(folder)) for path in folder.glob(pattern)) if folder.is_dir() else ["not there"]


# address-isemail: its README says who must take what.


def isemail_cases() -> list[tuple[str, str, str]]:
    folder = SUITES / "address-isemail"
    if not folder.is_dir():
        return [("not there", "", "")]
    found = []
    for path in sorted(folder.glob("tests*.xml")):
        for test in ET.parse(path).iter("test"):
            text = "".join(control(char) for char in test.findtext("address") or "")
            found.append((test.get("id") or "", text, (test.findtext("category") or "").removeprefix("ISEMAIL_")))
    return found


def control(char: str) -> str:
    """Control characters are written as their pictures."""
    return chr(ord(char) - 0x2400) if 0x2400 <= ord(char) < 0x2420 or ord(char) == 0x2421 else char


ISEMAIL = isemail_cases()


@pytest.mark.parametrize("number, text, category", ISEMAIL, ids=[one[0] for one in ISEMAIL])
def test_isemail_suite_mailbox(number: str, text: str, category: str) -> None:
    suite("address-isemail")
    try:
        Address.parse(text)
        taken = True
    except AddressSyntaxError:
        taken = False
    judge("address-isemail", f"mailbox {number}", taken == (category in ("VALID_CATEGORY", "DNSWARN", "RFC5321")), text)


@pytest.mark.parametrize("number, text, category", ISEMAIL, ids=[one[0] for one in ISEMAIL])
def test_isemail_suite_header(number: str, text: str, category: str) -> None:
    suite("address-isemail")
    found = addresses(re.sub(r"\r\n(?=[ \t])", "", text))
    one = len(found.entries) == 1 and isinstance(found.entries[0], Mailbox) and found.entries[0].domain != ""
    taken = one and not found.defects
    judge("address-isemail", f"header {number}", taken == (category != "ERR"), (text, found))


# mime-header-fields


def unfolded(header: str) -> str:
    return Fields.parse(b"X:" + header.encode("utf-8", "surrogateescape") + b"\r\n\r\n").text("x") or ""


def address_shape(header: str) -> object:
    def facts(mailbox: Mailbox) -> tuple[str, str]:
        return (mailbox.name, mailbox.address)

    shape: list[object] = []
    for entry in addresses(unfolded(header)).entries:
        shape += [(entry.name, [facts(one) for one in entry.members])] if isinstance(entry, Group) else [facts(entry)]
    return shape


def wanted_addresses(expected: Any) -> object:
    def facts(one: dict[str, Any]) -> tuple[str, str]:
        return (one["name"] or "", one["address"] or "")

    if "Group" not in expected:
        return [facts(one) for one in expected["List"]]
    shape: list[object] = []
    for group in expected["Group"]:
        members = [facts(one) for one in group["addresses"]]
        # Addresses between groups are shown as a group without a name.
        shape += [(group["name"], members)] if group["name"] is not None else members
    return shape


def content_type_shape(header: str) -> object:
    part = parse(Content.of(b"Content-Type:" + header.encode("utf-8", "surrogateescape") + b"\r\n\r\n"))
    return (part.type, part.subtype, decoded_parameters(part.parameters))


def wanted_content_type(expected: Any) -> object:
    if expected is None:
        return ("text", "plain", {})
    attributes = {name: value for name, value in expected["attributes"] or () if not name.endswith("-language")}
    return (expected["c_type"].lower(), (expected["c_subtype"] or "").lower(), attributes)


def date_shape(header: str) -> object:
    moment = date(unfolded(header))
    if moment is None:
        return None
    offset = moment.utcoffset()
    assert offset is not None
    minutes = int(offset.total_seconds()) // 60
    facts = {name: getattr(moment, name) for name in ("year", "month", "day", "hour", "minute", "second")}
    return facts | {"tz_before_gmt": minutes < 0, "tz_hour": abs(minutes) // 60, "tz_minute": abs(minutes) % 60}


def without_sign_of_zero(facts: dict[str, Any] | None) -> dict[str, Any] | None:
    """Zones with a name, and none, are shown there as before GMT by nothing."""
    if facts is not None and not facts["tz_hour"] and not facts["tz_minute"]:
        return facts | {"tz_before_gmt": False}
    return facts


HEADER_FIELDS: dict[str, tuple[Callable[[str], object], Callable[[Any], object]]] = {
    "address": (address_shape, wanted_addresses),
    "content_type": (content_type_shape, wanted_content_type),
    "date": (date_shape, lambda expected: expected),
    "id": (lambda header: list(message_ids(unfolded(header))), lambda expected: expected or []),
    "list": (
        lambda header: [decode(one.strip()) for one in unfolded(header).split(",") if one.strip()],
        lambda expected: expected,
    ),
    # Of Received only the date; its clauses are read by mox-smtp.
    "received": (
        lambda header: date_shape(without_comments(unfolded(header)).rpartition(";")[2]),
        lambda expected: without_sign_of_zero(expected.get("date")),
    ),
    # Unfolding leaves white space as it is; theirs makes one space of it.
    "unstructured": (lambda header: " ".join(decode(unfolded(header)).split()), lambda text: " ".join(text.split())),
}


def header_cases() -> Iterator[tuple[str, int, dict[str, Any]]]:
    folder = SUITES / "mime-header-fields"
    for kind in HEADER_FIELDS:
        path = folder / f"{kind}.json"
        for case in json.loads(path.read_text()) if path.exists() else [None]:
            if case is not None:
                yield kind, 0, case


HEADERS = list(header_cases()) or [("address", 0, {})]


@pytest.mark.parametrize(
    "kind, _, case", HEADERS, ids=[f"{kind}-{number}" for number, (kind, *_) in enumerate(HEADERS)]
)
def test_header_fields_suite(kind: str, _: int, case: dict[str, Any]) -> None:
    suite("mime-header-fields")
    ours, theirs = HEADER_FIELDS[kind]
    got, wanted = ours(case["header"]), theirs(case["expected"])
    judge("mime-header-fields", f"{kind} {case['header'].strip()}", got == wanted, (got, wanted))


# mime-mime4j, mime-mimetools: the tree with transfer encodings undone; bodies by their line ends and ends alike.

Tree = tuple[list[str], object]


def our_tree(part: Part, content: Content) -> Tree:
    fields = [one.raw.strip().decode("latin-1").replace("\r", "") for one in part.fields]
    opened = part.opened(content)
    if part.children:
        return fields, [our_tree(child, content) for child in part.children]
    if part.message is not None:
        return fields, ("message", our_tree(part.message, content))
    if opened is not None:
        return fields, ("message", our_tree(*opened))
    if part.type == "multipart":
        return fields, b""
    return fields, b"".join(part.decoded(content)).replace(b"\r\n", b"\n").strip()


def their_tree(element: ET.Element, folder: Path) -> Tree:
    header = element.find("header")
    fields = [(one.text or "").strip() for one in (header if header is not None else ())]
    for child in element:
        if child.tag == "multipart":
            parts = [their_tree(one, folder) for one in child if one.tag == "body-part"]
            return fields, parts or b""
        if child.tag == "message":
            return fields, ("message", their_tree(child, folder))
        if child.tag in ("text-body", "binary-body"):
            return fields, (folder / child.attrib["name"]).read_bytes().replace(b"\r\n", b"\n").strip()
    return fields, b""


@pytest.mark.parametrize("name", names("mime-mime4j", "*.msg"))
def test_mime4j_suite(name: str) -> None:
    folder = suite("mime-mime4j")
    compare_trees("mime-mime4j", folder / name)


@pytest.mark.parametrize("name", names("mime-mimetools", "*.msg"))
def test_mimetools_suite(name: str) -> None:
    folder = suite("mime-mimetools")
    compare_trees("mime-mimetools", folder / name)


def compare_trees(suite_name: str, path: Path) -> None:
    content = Content.of(path.read_bytes())
    wanted_path = path.with_name(path.stem + "_decoded.xml")
    if not wanted_path.exists():
        pytest.skip(f"{path.name} has no expected tree")
    wanted = their_tree(ET.fromstring(wanted_path.read_bytes()), path.parent)
    got = our_tree(parse(content), content)
    judge(suite_name, path.name, got == wanted, (got, wanted))


# mime-mail-parser: part list, fields, offsets, decoded bodies; with LF and with CRLF line ends.


def flat(part: Part) -> list[Part]:
    return [part, *(inner for child in part.children for inner in flat(child))]


def field_name(header: dict[str, Any]) -> str:
    name = header["name"]
    return (name if isinstance(name, str) else name["other"]).replace("_", "-").lower()


def differences(wanted: dict[str, Any], message: Part, content: Content, *, offsets: bool) -> Iterator[object]:
    ours = flat(message)
    if len(ours) != len(wanted["parts"]):
        yield ("parts", len(ours), len(wanted["parts"]))
        return
    for part, facts in zip(ours, wanted["parts"], strict=True):
        fields = [field_name(one) for one in facts["headers"]]
        if [one.name.replace("_", "-") for one in part.fields] != fields:
            yield ("fields", list(part.fields.names), fields)
        places = (facts["offset_header"], facts["offset_body"], facts["offset_end"])
        if offsets and (part.header_start, part.body_start, part.body_end) != places:
            yield ("offsets", part.header_start, part.body_start, part.body_end, places)
        body = facts["body"]
        if "Text" in body or "Html" in body:
            text = body.get("Text", body.get("Html"))
            if part.message is None and part.text(content) != text:
                yield ("text", part.text(content)[:100], text[:100])
        elif "Binary" in body or "InlineBinary" in body:
            data = bytes(body.get("Binary", body.get("InlineBinary")))
            if part.data(content) != data:
                yield ("data", part.data(content)[:100], data[:100])
        elif "Message" in body:
            opened = part.opened(content)
            if part.message is not None:
                yield from differences(body["Message"], part.message, content, offsets=offsets)
            elif opened is not None:
                yield from differences(body["Message"], *opened, offsets=False)
            else:
                yield ("message", part.media_type)


MAIL_PARSER = [
    f"{name} {ends}" for name in names("mime-mail-parser", "*/*.eml") for ends in ("lf", "crlf") if name != "not there"
] or ["not there lf"]


@pytest.mark.parametrize("case", MAIL_PARSER)
def test_mail_parser_suite(case: str) -> None:
    folder = suite("mime-mail-parser")
    name, _, ends = case.rpartition(" ")
    path = folder / name
    wanted_path = path.with_suffix(".json" if ends == "lf" else ".crlf.json")
    if not wanted_path.exists():
        pytest.skip(f"{case} has no expected parse")
    data = path.read_bytes().replace(b"\r\n", b"\n")
    content = Content.of(data if ends == "lf" else data.replace(b"\n", b"\r\n"))
    wanted = json.loads(wanted_path.read_text(encoding="utf-8"))
    found = list(differences(wanted, parse(content), content, offsets=True))
    judge("mime-mail-parser", case, not found, found)


# mime-jsmime, mime-ruby-mail: no expectations beside them.  Nothing raises, nothing of a body is lost, every reader of
# the same message (whole, through a window, from a file) sees the same.

LOOSE = [
    (one, name)
    for one in ("mime-jsmime", "mime-ruby-mail")
    for name in names(one, "**/*")
    if not (SUITES / one / name).is_dir() and not Path(name).stem.isupper() and Path(name).stem != "MIT-LICENSE"
]


@pytest.mark.parametrize("suite_name, name", LOOSE)
def test_loose_messages_suite(suite_name: str, name: str) -> None:
    path = suite(suite_name) / name
    data = path.read_bytes()
    content = Content.of(data)
    message = parse(content)
    for part in message.walk():
        assert 0 <= part.header_start <= part.body_start <= part.body_end <= len(data)
        assert b"".join(part.raw(content)) == data[part.body_start : part.body_end]
        readable(part, content)
        assert part.reader(content).read() == b"".join(part.decoded(content))
        assert isinstance(part.filename, str)
    everything_is_somewhere(message, data)
    bodies(message)
    preview(message, content)
    decoded_subject(message.fields)
    sent_date(message.fields)
    from_address(message.fields)
    thread_keys(message.fields)
    from_file = parse(Content.file(path))
    assert [shape(part) for part in from_file.walk()] == [shape(part) for part in message.walk()]


def shape(part: Part) -> tuple[object, ...]:
    return (
        part.media_type,
        part.header_start,
        part.body_start,
        part.body_end,
        part.lines,
        part.parameters,
        part.defects,
    )


def everything_is_somewhere(message: Part, data: bytes) -> None:
    """A header and the body behind it are all of the message; children lie within, in order, and do not overlap."""
    assert message.header_start == 0
    assert message.body_end == len(data)
    for part in message.walk():
        at = part.body_start
        for child in part.children:
            assert at <= child.header_start
            at = child.body_end
        assert at <= max(part.body_end, part.body_start)


def test_torture_suite() -> None:
    """Crispin's torture test: the sections that IMAP clients have checked since 1991."""
    path = suite("mime-jsmime") / "mime-torture"
    content = Content.file(path)
    message = parse(content)
    found = {number: part.media_type for number, part in message.numbered()}
    assert found["2.2.1"] == "text/richtext"
    assert found["12.3.4"] == "message/rfc822"
    assert found["12.3.4.1"] == "audio/x-sun"
    assert max(number.count(".") for number in found) == 3
    part = message.find("12.3.4.1")
    assert part is not None
    assert part.data(content, 4) == b".snd"

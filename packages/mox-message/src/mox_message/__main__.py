"""The command line: `python -m mox_message structure message.eml`, and others; `-` is the standard input.

Exit codes: 0 understood; 1 understood in part, or not at all: what is odd is told; 2 the question makes no sense, or a
file cannot be read."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mox_message import (
    Address,
    AddressSyntaxError,
    Content,
    Group,
    Mailbox,
    Part,
    addresses,
    date,
    decode,
    encode,
    parse,
)
from mox_message.fields import BARE_LF

if TYPE_CHECKING:
    from mox_message import AddressList

GOOD, ODD, USAGE = 0, 1, 2
# Octets of the standard input that are taken: it cannot be read by offsets, so it is held.
MAX_INPUT = 512 * 1024 * 1024

Facts = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except BrokenPipeError:
        return GOOD
    except (ValueError, OSError) as error:
        print(f"python -m mox_message: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mox_message", description="What does a message say?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="write JSON")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, what: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, parents=[common], help=help, description=help)
        one.add_argument(what, help="a message, or - for the standard input" if what == "file" else None)
        one.set_defaults(command=run)
        return one

    command("parse", _parse, "who wrote what to whom, its parts, and what is odd", "file")
    command("structure", _structure, "the parts with their section numbers and offsets", "file")
    command("headers", _headers, "the header fields with their offsets", "file")
    text = command("text", _text, "what a person would read", "file")
    text.add_argument("--part", default="", metavar="NUMBER", help="of this part, as `structure` counts")
    one = command("part", _part, "the decoded octets of a part", "file")
    one.add_argument("number", help="as `structure` counts")
    one.add_argument("--raw", action="store_true", help="as they are in the message")
    command("addresses", _addresses, "a list of addresses, as in To", "text")
    command("address", _address, "one mailbox, by the strict grammar of SMTP", "text")
    command("date", _date, "a date-time", "text")
    words = command("words", _words, "encoded words (RFC 2047) decoded", "text")
    words.add_argument("--encode", action="store_true", help="encode instead")
    command("parameters", _parameters, "the parameters of a value such as Content-Type's, decoded", "text")
    command("subject", _subject, "the base subject by which threads are found (RFC 5256)", "text")
    command("authres", _authres, "the value of an Authentication-Results field", "text")
    command("dsn", _dsn, "a delivery status notification", "file")
    command("arf", _arf, "a feedback report", "file")
    return parser


def _content(options: argparse.Namespace) -> Content:
    if options.file != "-":
        return Content.file(options.file)
    data = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise ValueError(f"the standard input has more than {MAX_INPUT} octets; name a file instead")
    return Content.of(data)


def _shown(text: str) -> str:
    """Foreign text: a terminal must not obey it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _tell(options: argparse.Namespace, facts: Facts | list[Facts], lines: Sequence[str]) -> None:
    if options.json:
        print(json.dumps(facts, indent=1, ensure_ascii=True))
        return
    for line in lines:
        print(_shown(line).encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8"))


def _clean(value: Any) -> Any:
    """Values as JSON has them; octets that were not UTF-8 are replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, (list, tuple)) else value


def _utc(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def _parse(options: argparse.Namespace) -> int:
    from mox_message import bodies, decoded_subject, from_address, message_id, preview, sent_date

    content = _content(options)
    message = parse(content)
    fields = message.fields
    sender = from_address(fields)
    numbers = {id(part): number for number, part in message.numbered()}
    defects = [defect for part in message.walk() for defect in _odd(part.defects)]
    lists = {name: addresses(text) for name in ("to", "cc") if (text := fields.text(name))}
    attached = [_part_facts(numbers.get(id(part), ""), part) for part in bodies(message).attachments]
    facts = _clean(
        {
            "from": str(sender.address) if sender.address is not None else None,
            "from_reason": sender.reason,
            **{name: _list_facts(found) for name, found in lists.items()},
            "subject": decoded_subject(fields),
            "date": _utc(sent_date(fields)),
            "message_id": message_id(fields),
            "size": content.size,
            "preview": preview(message, content),
            "attachments": attached,
            "defects": defects,
        }
    )
    lines = [
        f"From: {sender.name} <{sender.address}>" if sender.address is not None else f"From: {sender.reason}",
        *(f"{name.title()}: {', '.join(map(_person, found.mailboxes))}" for name, found in lists.items()),
        *(f"{name}: {facts[key]}" for name, key in (("Subject", "subject"), ("Date", "date")) if facts[key]),
        *([f"Message-ID: <{facts['message_id']}>"] if facts["message_id"] else []),
        f"Size: {content.size}",
        *(f"Attachment: {one['section']} {one['type']} {one['filename']}" for one in facts["attachments"]),
        *(f"Odd: {defect}" for defect in defects),
        "",
        facts["preview"],
    ]
    _tell(options, facts, lines)
    return ODD if defects else GOOD


def _odd(defects: Sequence[str]) -> list[str]:
    """Without what is only the habit of files on this machine."""
    return [defect for defect in defects if defect != BARE_LF]


def _person(mailbox: Mailbox) -> str:
    return f"{mailbox.name} <{mailbox.address}>" if mailbox.name else mailbox.address


def _part_facts(number: str, part: Part) -> Facts:
    return {
        "section": number,
        "type": part.media_type,
        "parameters": dict(part.parameters),
        "encoding": part.encoding,
        "disposition": part.disposition,
        "filename": part.filename,
        "header_start": part.header_start,
        "body_start": part.body_start,
        "body_end": part.body_end,
        "lines": part.lines,
        "defects": _odd(part.defects),
    }


def _structure(options: argparse.Namespace) -> int:
    message = parse(_content(options))
    listed = list(message.numbered())
    if message.children:
        listed.insert(0, ("", message))
    facts = [_clean(_part_facts(number, part)) for number, part in listed]
    lines = []
    for one in facts:
        indent = "  " * (one["section"].count(".") + 1 if one["section"] else 0)
        name = f" {one['filename']}" if one["filename"] else ""
        place = f"{one['header_start']} {one['body_start']} {one['body_end']}"
        lines.append(f"{indent}{one['section'] or '-'} {one['type']} {one['encoding']} {place}{name}")
        lines.extend(f"{indent}  odd: {defect}" for defect in one["defects"])
    _tell(options, facts, lines)
    return ODD if any(one["defects"] for one in facts) else GOOD


def _headers(options: argparse.Namespace) -> int:
    fields = parse(_content(options)).fields
    facts = [
        _clean({"name": one.spelling, "start": one.start, "end": one.start + len(one.raw), "text": decode(one.text)})
        for one in fields
    ]
    lines = [f"{one['start']:7} {one['name']}: {one['text']}" for one in facts]
    defects = _odd(fields.defects)
    _tell(options, facts, [*lines, *(f"odd: {defect}" for defect in defects)])
    return ODD if defects else GOOD


def _found(message: Part, number: str) -> Part:
    part = message.find(number)
    if part is None:
        known = ", ".join(one for one, _ in message.numbered())
        raise ValueError(f"there is no part {number}; there are {known}")
    return part


def _text(options: argparse.Namespace) -> int:
    from mox_message import bodies, readable

    content = _content(options)
    message = parse(content)
    parts = [_found(message, options.part)] if options.part else list(bodies(message).text)
    texts = [readable(part, content) for part in parts if part.type == "text"]
    if options.json:
        _tell(options, _clean({"text": "\n".join(texts)}), ())
    else:
        _tell(options, {}, "\n".join(texts).replace("\r\n", "\n").split("\n"))
    return GOOD if texts else ODD


def _part(options: argparse.Namespace) -> int:
    content = _content(options)
    part = _found(parse(content), options.number)
    for chunk in part.raw(content) if options.raw else part.decoded(content):
        sys.stdout.buffer.write(chunk)
    return GOOD


def _list_facts(found: AddressList) -> Facts:
    return {
        "entries": [asdict(entry) | {"text": str(entry)} for entry in found.entries],
        "defects": list(found.defects),
        "ambiguous": found.ambiguous,
    }


def _addresses(options: argparse.Namespace) -> int:
    found = addresses(options.text)
    lines: list[str] = []
    for entry in found.entries:
        people = entry.members if isinstance(entry, Group) else (entry,)
        lines += [entry.name + ":"] if isinstance(entry, Group) else []
        lines += ["  " * isinstance(entry, Group) + _person(one) for one in people]
    lines += [*(f"odd: {defect}" for defect in found.defects)]
    _tell(options, _clean(_list_facts(found)), lines)
    return ODD if found.defects else GOOD


def _address(options: argparse.Namespace) -> int:
    try:
        address = Address.parse(options.text)
    except AddressSyntaxError as error:
        _tell(options, {"at": error.at, "why": error.why}, [str(error)])
        return ODD
    facts = {
        "localpart": address.localpart,
        "domain": str(address.domain),
        "ascii": address.ascii,
        "text": str(address),
    }
    _tell(options, facts, [str(address)])
    return GOOD


def _date(options: argparse.Namespace) -> int:
    moment = date(options.text)
    if moment is None:
        _tell(options, {"date": None}, ["not a date-time of RFC 5322, such as: Fri, 21 Nov 1997 09:55:06 -0600"])
        return ODD
    _tell(options, {"date": moment.isoformat(), "seconds": moment.timestamp()}, [moment.isoformat()])
    return GOOD


def _words(options: argparse.Namespace) -> int:
    text = encode(options.text) if options.encode else decode(options.text)
    _tell(options, _clean({"text": text}), [text])
    return GOOD


def _parameters(options: argparse.Namespace) -> int:
    from mox_message import decoded_parameters, parameters

    found = decoded_parameters(parameters(options.text if ";" in options.text else f"; {options.text}"))
    _tell(options, _clean(found), [f"{name} = {value}" for name, value in found.items()])
    return GOOD if found else ODD


def _subject(options: argparse.Namespace) -> int:
    from mox_message import base_subject, is_reply

    text = decode(options.text)
    facts = {"subject": base_subject(text), "reply": is_reply(text)}
    _tell(options, _clean(facts), [base_subject(text)])
    return GOOD


def _authres(options: argparse.Namespace) -> int:
    from mox_message import AuthenticationResults, AuthResultsSyntaxError

    text = sys.stdin.read() if options.text == "-" else options.text
    name, colon, value = text.partition(":")
    if colon and name.strip().lower() == "authentication-results":
        text = value
    try:
        found = AuthenticationResults.parse(text.replace("\r\n", "").replace("\n", ""))
    except AuthResultsSyntaxError as error:
        _tell(options, {"at": error.at, "why": error.why}, str(error).split("\n"))
        return ODD
    lines = [f"by {found.authserv_id}"]
    for one in found.results:
        seen = "".join(
            f" {kind}.{name}={value}" if kind else f" {name}={value}" for kind, name, value in one.properties
        )
        lines.append(f"{one.method}={one.result}{seen}{f' ({one.comment})' if one.comment else ''}")
    _tell(options, _clean(asdict(found)), lines)
    return GOOD


def _dsn(options: argparse.Namespace) -> int:
    from mox_message import dsn

    content = _content(options)
    report = dsn.parse(parse(content), content)
    if report is None:
        _tell(options, {"recipients": None}, ["not a delivery status notification"])
        return ODD
    facts = {
        "reporting_mta": report.reporting_mta,
        "envelope_id": report.envelope_id,
        "arrival": _utc(report.arrival),
        "recipients": [asdict(one) for one in report.recipients],
        "original_message_id": (report.original.text("message-id") or "") if report.original is not None else None,
    }
    lines = [f"by {report.reporting_mta}"]
    lines += [f"{one.final_recipient}: {one.action} {one.status} {one.diagnostic}" for one in report.recipients]
    _tell(options, _clean(facts), lines)
    return GOOD if report.recipients else ODD


def _arf(options: argparse.Namespace) -> int:
    from mox_message import arf

    content = _content(options)
    report = arf.parse(parse(content), content)
    if report is None:
        _tell(options, {"type": None}, ["not a feedback report"])
        return ODD
    facts = asdict(report.feedback) | {"defects": list(report.defects)}
    lines = [f"{name}: {value}" for name, values in report.feedback.fields.items() for value in values]
    _tell(options, _clean(facts), [*lines, *(f"odd: {defect}" for defect in report.defects)])
    return ODD if report.defects else GOOD


if __name__ == "__main__":
    sys.exit(main())

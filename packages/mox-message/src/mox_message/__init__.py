"""What does a message say?  Internet messages and MIME (RFC 5322, 2045-2047, 2231, 6532) as byte offsets.

    content.py      bytes at rest with a prefix, readable at any offset
    fields.py       header fields as they were written, with offsets
    address.py      mailboxes and paths of SMTP
    structured.py   address lists, message-ids
    dates.py        date-times
    words.py        encoded words and parameters, both ways
    part.py         the MIME tree as offsets; decoding readers
    sender.py       the one From address that DMARC may use, or why there is none
    authres.py      Authentication-Results, both ways
    compose.py      folding, missing fields, parts and multiparts
    dsn.py arf.py   delivery status notifications and feedback reports, both ways; report.py is what they share
    text.py         which parts to show, readable text, preview, subject; html.py for HTML
    thread.py       base subject, references
    transfer.py charsets.py     transfer encodings, charsets

Not here: signatures, verdicts, protocols."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mox_message.address import Address, AddressSyntaxError, Path
from mox_message.content import Content
from mox_message.dates import date
from mox_message.fields import Field, Fields
from mox_message.part import Part, parse
from mox_message.structured import AddressList, Group, Mailbox, addresses, message_ids, phrase
from mox_message.words import decode, decoded_parameters, encode, parameter, parameters

if TYPE_CHECKING:
    from mox_message import arf, compose, dsn
    from mox_message.authres import AuthenticationResults, AuthResultsSyntaxError, MethodResult, claiming
    from mox_message.compose import address_list, complete, date_text, fold, unstructured
    from mox_message.html import html_to_text
    from mox_message.sender import From, FromStatus, from_address
    from mox_message.text import Bodies, bodies, decoded_subject, message_id, preview, readable, sent_date
    from mox_message.thread import ThreadKeys, base_subject, is_reply, references, thread_keys

# Fetched when they are asked for: who only reads headers and parts starts in half the time.
_LATER = {
    "authres": ("AuthenticationResults", "AuthResultsSyntaxError", "MethodResult", "claiming"),
    "compose": ("address_list", "complete", "date_text", "fold", "unstructured"),
    "html": ("html_to_text",),
    "sender": ("From", "FromStatus", "from_address"),
    "text": ("Bodies", "bodies", "decoded_subject", "message_id", "preview", "readable", "sent_date"),
    "thread": ("ThreadKeys", "base_subject", "is_reply", "references", "thread_keys"),
}
_HOMES = {name: home for home, names in _LATER.items() for name in names}
_MODULES = ("arf", "compose", "dsn")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"mox_message.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"mox_message.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Address",
    "AddressList",
    "AddressSyntaxError",
    "AuthResultsSyntaxError",
    "AuthenticationResults",
    "Bodies",
    "Content",
    "Field",
    "Fields",
    "From",
    "FromStatus",
    "Group",
    "Mailbox",
    "MethodResult",
    "Part",
    "Path",
    "ThreadKeys",
    "address_list",
    "addresses",
    "arf",
    "base_subject",
    "bodies",
    "claiming",
    "complete",
    "compose",
    "date",
    "date_text",
    "decode",
    "decoded_parameters",
    "decoded_subject",
    "dsn",
    "encode",
    "fold",
    "from_address",
    "html_to_text",
    "is_reply",
    "message_id",
    "message_ids",
    "parameter",
    "parameters",
    "parse",
    "phrase",
    "preview",
    "readable",
    "references",
    "sent_date",
    "thread_keys",
    "unstructured",
]

"""What does a message say?  Internet messages and MIME (RFC 5322, 2045-2047, 2231, 6532) as byte offsets.

    content.py      bytes at rest with a prefix, readable at any offset
    fields.py       header fields as they were written, with offsets
    address.py      mailboxes and paths of SMTP
    structured.py   address lists, dates, message-ids
    words.py        encoded words and parameters, both ways
    part.py         the MIME tree as offsets; decoding readers
    sender.py       the one From address that DMARC may use, or why there is none
    authres.py      Authentication-Results, both ways
    compose.py      folding, missing fields, multiparts
    dsn.py          delivery status notifications, both ways
    text.py         subject, preview, readable text

Not here: signatures, verdicts, protocols."""

from mox_message.address import Address, AddressSyntaxError, Path
from mox_message.authres import AuthenticationResults, AuthResultsSyntaxError, MethodResult
from mox_message.compose import complete, date_text, fold
from mox_message.content import Content
from mox_message.fields import Field, Fields
from mox_message.part import Part, parse
from mox_message.sender import From, from_address
from mox_message.structured import AddressList, Group, Mailbox, addresses, date, message_ids
from mox_message.text import decoded_subject, html_to_text, message_id, preview, readable, sent_date
from mox_message.words import decode, encode

__all__ = [
    "Address",
    "AddressList",
    "AddressSyntaxError",
    "AuthResultsSyntaxError",
    "AuthenticationResults",
    "Content",
    "Field",
    "Fields",
    "From",
    "Group",
    "Mailbox",
    "MethodResult",
    "Part",
    "Path",
    "addresses",
    "complete",
    "date",
    "date_text",
    "decode",
    "decoded_subject",
    "encode",
    "fold",
    "from_address",
    "html_to_text",
    "message_id",
    "message_ids",
    "parse",
    "preview",
    "readable",
    "sent_date",
]
